"""Decision trees as flat arrays: what boosting and isolation forests are served from, for many rows at once or for one.

scikit-learn's own forest takes 4 ms a row, most of it calls; these take all trees one level down at a time. A test holds them equal
to the original within 1e-6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.fraud.walk import Floats, Places, Walk, doubled

LEAF = -1
ALIKE, MANY = 24, 96
"""Rows that know and do not know the same, from which on they go by what is left of the trees for such rows, and for just these."""
PATTERNS = 64
"""For how many patterns of unknown features that is remembered; about 100 kB each."""
_ODD, _HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(32)
AT_ONCE = 256
"""Rows that go down together: their places in trees then still fit a processor's cache."""


@dataclass(frozen=True, slots=True)
class Trees:
    """Nodes of all trees, level by level: first all roots, then their children, left and right beside each other, and so on.

    A leaf has the feature `LEAF` and leads to itself.
    """

    feature: NDArray[np.int32]
    threshold: Floats
    """A value goes left where it is not above."""
    left: Places
    right: Places
    missing_left: NDArray[np.bool_]
    """Where NaN goes."""
    value: Floats
    """Of leaves: what the tree says."""
    cover: Floats
    """How many training rows came to a node."""
    roots: Places
    levels: tuple[int, ...]
    """Where each level begins, and where the last one ends."""
    asked: Places
    """Which of a row's `doubled` features each node asks for."""
    walk: Walk
    _patterns: dict[bytes, Walk] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, arrays: dict[str, Any], prefix: str) -> Trees:
        """The trees that `arrays` holds under names that begin with `prefix`.

        Raises:
            ValueError: they are no trees: an array is missing, or a node leads outside or back, or two lead to one.
        """
        names = ("feature", "threshold", "left", "right", "missing_left", "value", "cover", "roots")
        kinds = (np.int32, np.float64, np.intp, np.intp, np.bool_, np.float64, np.float64, np.intp)
        if missing := [name for name in names if f"{prefix}_{name}" not in arrays]:
            raise ValueError(f"{prefix}_{missing[0]} is missing")
        found: list[NDArray[Any]] = [
            np.asarray(arrays[f"{prefix}_{name}"]).astype(kind) for name, kind in zip(names, kinds, strict=True)
        ]
        nodes = len(found[0])
        if any(array.ndim != 1 for array in found) or any(len(array) != nodes for array in found[:-1]):
            raise ValueError(f"{prefix}: the arrays of nodes are not equally long")
        feature, threshold, left, right, missing_left, value, cover, roots = found
        here, leaf = np.arange(nodes), feature == LEAF
        for side in (left, right):
            if np.any(np.where(leaf, side != here, (side <= here) | (side >= nodes))):
                raise ValueError(f"{prefix}: a node leads to none behind it")
        if len(roots) == 0 or roots.min() < 0 or roots.max() >= nodes:
            raise ValueError(f"{prefix}: a root is no node")
        order, levels = _levels(left, right, leaf, roots, prefix)
        feature, threshold, missing_left = feature[order], threshold[order], missing_left[order]
        leaf = leaf[order]
        (inner,), (ends,) = np.nonzero(~leaf), np.nonzero(leaf)
        asked = np.where(leaf, 0, 2 * feature.astype(np.intp) + ~missing_left)
        number = np.empty(len(order), np.intp)
        number[inner], number[ends] = np.arange(len(inner)), len(inner) + np.arange(len(ends))
        children = len(roots) + 2 * np.arange(len(inner))
        walk = Walk.of(
            asked[inner],
            threshold[inner],
            number[np.stack([children, children + 1], axis=1)],
            np.searchsorted(inner, levels),
            ends,
            number[: len(roots)],
        )
        left, right = np.arange(len(order)), np.arange(len(order))
        left[inner], right[inner] = children, children + 1
        return cls(
            feature,
            threshold,
            left,
            right,
            missing_left,
            value[order],
            cover[order],
            np.arange(len(roots)),
            levels,
            asked,
            walk,
        )

    @property
    def depth(self) -> int:
        """How many steps lead from a root to the furthest leaf."""
        return len(self.levels) - 2

    def leaves(self, rows: Floats) -> Places:
        """(rows, trees): the leaf that each row, (rows, features), comes to in each tree."""
        found = np.empty((len(rows), len(self.roots)), np.intp)
        for some, leaves in self._ends(rows, np.arange(len(self.feature))):
            found[some] = leaves
        return found

    def sums(self, rows: Floats) -> Floats:
        """(rows,): what all trees say of each row together."""
        first, like = _distinct(rows)
        found: Floats = np.empty(len(first))
        for some, values in self._ends(rows[first], self.value):
            # Each row for itself and in one order: its last bit does not depend on what it is summed with.
            found[some] = values.sum(axis=1)
        return found[like]

    def _ends(self, rows: Floats, says: NDArray[Any]) -> Iterator[tuple[Places, NDArray[Any]]]:
        """Places of a few rows, and what the leaves, (rows, trees), that they come to say."""
        unknown = np.isnan(rows)
        for group in _alike(unknown):
            seen, walk = doubled(rows[group]), self.walk
            # Two patterns may have one key, and the last group has those of all that few rows have.
            if len(group) >= ALIKE and (unknown[group] == unknown[group[0]]).all():
                walk = self._pattern(unknown[group[0]])
                if len(group) >= MANY:
                    walk = walk.within(seen.min(axis=1), seen.max(axis=1))
            for start in range(0, len(group), AT_ONCE):
                some = slice(start, start + AT_ONCE)
                yield group[some], walk.down(seen[:, some], says)

    def _pattern(self, unknown: NDArray[np.bool_]) -> Walk:
        """What is left of the trees for rows whose `unknown` features are NaN."""
        name = unknown.tobytes()
        walk = self._patterns.get(name)
        if walk is None:
            low = np.stack([np.full(len(unknown), -np.inf), np.where(unknown, np.inf, -np.inf)], axis=1).ravel()
            high = np.stack([np.where(unknown, -np.inf, np.inf), np.full(len(unknown), np.inf)], axis=1).ravel()
            # Copied first: two agents of a worker share a model, each in its own thread.
            for old in list(self._patterns)[: 1 - PATTERNS]:
                self._patterns.pop(old, None)
            walk = self._patterns[name] = self.walk.within(low, high)
        return walk


def _distinct(rows: Floats) -> tuple[Places, Places]:
    """Places of rows that differ, and for each row which of them is the same to the bit: of wallets every third is like another."""
    every = np.arange(len(rows))
    if len(rows) < MANY:
        return every, every
    words = np.ascontiguousarray(rows).view(np.uint64)
    # Of round numbers only the upper bits differ, of which a product keeps but these few.
    _, first, like = np.unique(_mixed(words ^ words >> _HALF), return_index=True, return_inverse=True)
    return (first, like) if (words[first[like]] == words).all() else (every, every)


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """(rows,): a number for each row of (rows, many) that others hardly have."""
    mixed: NDArray[np.uint64] = np.dot(words, _ODD ** np.arange(1, words.shape[1] + 1, dtype=np.uint64))
    return mixed


def _alike(unknown: NDArray[np.bool_]) -> list[Places]:
    """Places of rows that know and do not know the same, where they are `ALIKE` or more; then those of all others."""
    if len(unknown) < ALIKE:
        return [np.arange(len(unknown))]
    bits = np.packbits(unknown, axis=1)
    words = np.zeros((len(bits), -(-bits.shape[1] // 8)), np.uint64)
    words.view(np.uint8)[:, : bits.shape[1]] = bits
    key = _mixed(words)
    order = np.argsort(key, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(key[order])) + 1)
    others = [one for one in groups if len(one) < ALIKE]
    return [*(one for one in groups if len(one) >= ALIKE), *([np.concatenate(others)] if others else [])]


def _levels(
    left: Places, right: Places, leaf: NDArray[np.bool_], roots: Places, prefix: str
) -> tuple[Places, tuple[int, ...]]:
    """Nodes level by level, and where each level begins."""
    found, bounds = [roots], [0, len(roots)]
    while not leaf[found[-1]].all():
        inner = found[-1][~leaf[found[-1]]]
        found.append(np.stack([left[inner], right[inner]], axis=1).ravel())
        bounds.append(bounds[-1] + len(found[-1]))
        if bounds[-1] > len(leaf):
            raise ValueError(f"{prefix}: two nodes lead to one")
    return np.concatenate(found), tuple(bounds)
