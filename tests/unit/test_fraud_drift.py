"""What has moved is told, what has not is not, and a model without a reference says nothing of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.fraud.drift import BINS, ENOUGH, MUCH, SAMPLE, SCORE, SOME, Reference, fit, sampled
from models.fraud.features import FEATURES
from models.fraud.scorer import FRAUD, Scorer
from models.releases import load
from topics.releases import unpack

NAMES = ("steady", "rare", "moving")


def wallets(many: int, moved: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of three features, of which the second is mostly zero or not known, and their scores."""
    chance = np.random.default_rng(seed)
    rare = np.where(chance.random(many) < 0.8, 0.0, chance.random(many))
    rare[chance.random(many) < 0.1] = np.nan
    rows = np.column_stack([chance.normal(size=many), rare, chance.normal(moved, size=many)])
    return rows, chance.random(many)


def reference(seed: int = 1) -> Reference:
    found = Reference.of(NAMES, fit(*wallets(5_000, 0.0, seed)))
    assert found is not None
    return found


def test_by_hand() -> None:
    """Half of the wallets in each of two bins, then a quarter and three quarters."""
    rows = np.array([[0.0], [1.0]] * 5_000)
    made = Reference.of(("one",), fit(rows, rows[:, 0]))
    assert made is not None and made.names == ("one", SCORE)
    served = np.array([[0.0]] * 2_500 + [[1.0]] * 7_500)
    expected = (0.25 - 0.5) * math.log(0.25 / 0.5) + (0.75 - 0.5) * math.log(0.75 / 0.5)
    assert made.psi(made.count(served, served[:, 0])) == pytest.approx([expected, expected], abs=1e-3)
    assert made.psi(made.counts).tolist() == [0.0, 0.0]


def test_bins_hold_equally_many_where_values_differ_and_what_is_not_known_has_its_own() -> None:
    counts = reference().counts
    assert counts[0, :BINS].min() > 400 and counts[0, BINS] == 0
    assert counts[1, 0] > 3_000 and 300 < counts[1, BINS] < 700
    assert counts.sum(axis=1).tolist() == [5_000] * 4


def test_what_has_moved_is_told_and_chance_is_not() -> None:
    made = reference()
    same = made.psi(made.count(*wallets(ENOUGH, 0.0, 2)))
    assert same.max() < SOME
    steady, rare, moving, score = made.psi(made.count(*wallets(ENOUGH, 1.0, 3)))
    assert max(steady, rare, score) < SOME < MUCH < moving


def test_a_bin_that_was_never_seen_is_a_finite_shift() -> None:
    made = reference()
    unknown = np.full((ENOUGH, 3), np.nan)
    found = made.psi(made.count(unknown, np.ones(ENOUGH)))
    assert np.isfinite(found).all() and found.min() > MUCH


def test_counts_of_parts_add_up() -> None:
    made, (rows, scores) = reference(), wallets(100, 0.5, 4)
    parts = made.count(rows[:30], scores[:30]) + made.count(rows[30:], scores[30:])
    assert (parts == made.count(rows, scores)).all()
    assert (made.count(rows[:0], scores[:0]) == 0).all()


@pytest.mark.parametrize(
    "change", [{"reference_counts": np.zeros((4, BINS + 1))}, {"reference_edges": np.ones((2, 2))}]
)
def test_arrays_that_are_no_reference_are_refused(change: dict[str, np.ndarray]) -> None:
    arrays = fit(*wallets(100, 0.0, 1))
    with pytest.raises(ValueError, match="reference_"):
        Reference.of(NAMES, {**arrays, **change})


def test_a_model_without_one_has_none() -> None:
    assert Reference.of(NAMES, {}) is None


def test_one_wallet_in_so_many_is_counted() -> None:
    many = sum(sampled(f"1:0x{number:040x}") for number in range(64_000))
    assert abs(many - 64_000 / SAMPLE) < 100


def test_the_model_that_ships_tells_what_it_was_trained_on() -> None:
    made: Scorer = load(unpack(FRAUD.shipped.read_bytes()), FRAUD).loaded
    assert made.reference is not None and made.reference.names == (*FEATURES, SCORE)
    assert {int(many) for many in made.reference.counts.sum(axis=1)} == {18_203}, (
        "account-quarters of docs/models/fraud.md"
    )
