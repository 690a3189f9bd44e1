"""Trees as arrays say what they say when each is walked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fraud import trees
from models.fraud.features import FEATURES
from models.fraud.shapley import Shapley
from models.fraud.trees import ALIKE, MANY, PATTERNS, Trees
from tests.fraud import arrays, grown

GROWN = grown(20, 4, seed=5)
FLIPPED = arrays("t", GROWN)
FLIPPED["t_missing_left"] = np.arange(len(FLIPPED["t_feature"])) % 3 == 0
TREES = Trees.of(FLIPPED, "t")
VALUES = st.sampled_from([math.nan, -math.inf, math.inf, 0.0, *TREES.threshold.tolist()]) | st.floats(-2, 3)


def walked(row: Any) -> list[int]:
    """The leaf of each tree, by the rules as they are written."""
    out = []
    for root in TREES.roots:
        at = int(root)
        while TREES.feature[at] >= 0:
            value = row[TREES.feature[at]]
            left = bool(TREES.missing_left[at]) if math.isnan(value) else value <= TREES.threshold[at]
            at = int(TREES.left[at] if left else TREES.right[at])
        out.append(at)
    return out


@given(st.lists(st.lists(VALUES, min_size=12, max_size=12), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_each_row_comes_to_the_leaf_that_a_walk_comes_to(given_rows: list[list[float]]) -> None:
    rows = np.array([(one * len(FEATURES))[: len(FEATURES)] for one in given_rows])
    assert TREES.leaves(rows).tolist() == [walked(row) for row in rows]


def test_a_row_is_scored_the_same_alone_and_among_others_to_the_last_bit() -> None:
    rows = np.random.default_rng(1).normal(0.7, 0.7, (300, len(FEATURES)))
    rows[::3, ::4] = np.nan
    together = TREES.sums(rows)
    assert [TREES.sums(rows[place : place + 1])[0] for place in range(len(rows))] == together.tolist()


@given(st.lists(st.lists(VALUES, min_size=12, max_size=12), min_size=1, max_size=3), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_many_rows_that_are_alike_come_to_the_same_leaves(kinds: list[list[float]], seed: int) -> None:
    """Those go by what is left of the trees for them; the last few by all of it."""
    chance = np.random.default_rng(seed)
    rows = np.array([(one * len(FEATURES))[: len(FEATURES)] for one in kinds]).repeat(
        [130, 40, 5][: len(kinds)], axis=0
    )
    rows = np.where(chance.random(rows.shape) < 0.3, rows + chance.normal(0, 0.3, rows.shape), rows)
    rows = rows[chance.permutation(len(rows))]
    assert TREES.leaves(rows).tolist() == [walked(row) for row in rows]
    assert TREES.leaves(rows[::2]).tolist() == TREES.leaves(rows)[::2].tolist()


@pytest.mark.parametrize("many", [MANY - 1, MANY, 3 * MANY])
def test_rows_that_are_the_same_are_scored_once_and_told_each(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit: zero and minus zero, and one NaN and another, may differ."""
    rows = np.random.default_rng(2).normal(0.7, 0.7, (7, len(FEATURES)))
    rows[1] = rows[0]
    rows[2, :3] = 0.0, -0.0, math.nan
    rows[3] = rows[2]
    rows[3, :2] = -0.0, 0.0
    rows = rows[np.random.default_rng(3).integers(0, len(rows), many)]
    told = [TREES.sums(row[None])[0] for row in rows]
    assert len(trees._distinct(rows)[0]) == (6 if many >= MANY else many)
    assert TREES.sums(rows).tolist() == told
    monkeypatch.setattr(trees, "_mixed", lambda words: np.zeros(len(words), np.uint64))  # all that differ fall together
    assert TREES.sums(rows).tolist() == told


def test_patterns_are_forgotten_again() -> None:
    for which in range(PATTERNS + 5):
        row = np.where(np.arange(len(FEATURES)) % (which + 2) == 0, math.nan, 0.5)
        assert TREES.leaves(np.repeat(row[None], ALIKE, axis=0)).tolist() == [walked(row)] * ALIKE
    assert len(TREES._patterns) <= PATTERNS


def test_paths_that_are_too_long_to_be_explained_are_refused() -> None:
    node: Any = 1.0
    for feature in FEATURES[:24]:
        node = (feature, 0.5, 0.0, node)
    with pytest.raises(ValueError, match="less deep"):
        Shapley.of(Trees.of(arrays("t", [node]), "t"))
