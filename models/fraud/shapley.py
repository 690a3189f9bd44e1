"""What each feature of a row adds to the sum of trees: path-dependent TreeSHAP (Lundberg et al. 2018, arXiv 1802.03888), exactly.

What a leaf gives to each feature of its path depends on nothing of a row but which of the path's features keep it from that leaf.
So it is worked out beforehand, for every leaf and every set of features that may do so, as Yang 2021 (arXiv 2109.09847) does; a
row then only looks up its sets. All trees are done together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.fraud.trees import Trees
from models.fraud.walk import Floats, Places, doubled

MOST = 1 << 24
"""Numbers that are worked out beforehand: 64 MB. The model that ships has 6 million."""
ROWS = 32
"""Rows that are explained together,"""
LEAVES = 512
"""by so many leaves at a time: what those give then still fits a processor's cache."""


@dataclass(frozen=True, slots=True)
class Shapley:
    """The trees, and what was worked out."""

    trees: Trees
    inner: tuple[Places, ...]
    """Of each level but the last: its nodes that are no leaves, counted within the level."""
    bits: tuple[NDArray[np.uint8 | np.uint32], ...]
    """Of each such node: the bit of its feature among those of the path."""
    ends: tuple[Places, ...]
    """Of each level: its leaves, counted within the level."""
    features: Places
    """(leaves, longest path): which features a leaf's path has."""
    first: Places
    """Where the sets of each leaf begin in `gives`."""
    kind: type[np.uint8 | np.uint32]
    """Of sets as bits."""
    gives: NDArray[np.float32]
    """(sets, longest path): what a leaf gives to each feature of its path, when those of the set keep a row from it."""

    @classmethod
    def of(cls, trees: Trees) -> Shapley:
        """Work it out for trees.

        Raises:
            ValueError: their paths are too long for that.
        """
        longest = max(1, trees.depth)
        kind = np.uint8 if longest <= 8 else np.uint32
        feature = np.full((len(trees.roots), longest), -1, np.int64)
        share = np.ones((len(trees.roots), longest))
        inner, bits, ends, paths = [], [], [], []
        for level in range(len(trees.levels) - 1):
            nodes = slice(trees.levels[level], trees.levels[level + 1])
            leaf = trees.feature[nodes] < 0
            ends.append(np.flatnonzero(leaf))
            paths.append((feature[leaf], share[leaf], trees.value[nodes][leaf]))
            if leaf.all():
                break
            inner.append(np.flatnonzero(~leaf))
            asked = trees.feature[nodes][~leaf].astype(np.int64)
            feature, share = feature[~leaf], share[~leaf]
            slot = np.argmax((feature == asked[:, None]) | (feature < 0), axis=1)
            bits.append((1 << slot).astype(kind))
            here = np.arange(len(slot))
            feature[here, slot] = asked
            feature, share = np.repeat(feature, 2, axis=0), np.repeat(share, 2, axis=0)
            children = slice(trees.levels[level + 1], trees.levels[level + 2])
            came = np.repeat(trees.cover[nodes][~leaf], 2)
            share[np.arange(len(share)), np.repeat(slot, 2)] *= trees.cover[children] / came
        feature, share, value = (np.concatenate([path[place] for path in paths]) for place in range(3))
        length = (feature >= 0).sum(axis=1)
        if (1 << length).sum() * longest > MOST:
            raise ValueError("the paths of its trees are too long to be explained; let them be less deep")
        first = np.concatenate([[0], np.cumsum(1 << length)])
        gives = np.zeros((int(first[-1]), longest), np.float32)
        for long in range(1, longest + 1):
            (those,) = np.nonzero(length == long)
            for kept_from in range(1 << long) if len(those) else ():
                gives[first[those] + kept_from, :long] = _given(share[those, :long], value[those], kept_from)
        return cls(trees, tuple(inner), tuple(bits), tuple(ends), np.maximum(feature, 0), first[:-1], kind, gives)

    def adds(self, rows: Floats) -> Floats:
        """(rows, features): how far each feature moves the sum of all trees from its mean over the training rows."""
        found = np.empty(rows.shape)
        for start in range(0, len(rows), ROWS):
            some = rows[start : start + ROWS]
            found[start : start + ROWS] = self._added(self._sets(doubled(some)).T + self.first, some.shape[1])
        return found

    def _added(self, sets: Places, features: int) -> Floats:
        """(rows, features): the same, given where in `gives` each leaf's set stands, (rows, leaves)."""
        rows, leaves = sets.shape
        found = np.zeros(rows * features)
        apart = features * np.arange(rows)[:, None, None]
        for start in range(0, leaves, LEAVES):
            some = slice(start, start + LEAVES)
            given = self.gives.take(sets[:, some], axis=0)
            found += np.bincount((apart + self.features[some]).ravel(), given.ravel(), len(found))
        return found.reshape(rows, features)

    def _sets(self, seen: Floats) -> NDArray[np.uint8 | np.uint32]:
        """(leaves, rows): which features of its path keep each row from a leaf, as bits."""
        asked, threshold = self.trees.asked, self.trees.threshold
        here = np.zeros((len(self.trees.roots), seen.shape[1]), self.kind)
        found = []
        for level, ends in enumerate(self.ends):
            found.append(here[ends])
            if level == len(self.inner):
                break
            nodes = self.inner[level] + self.trees.levels[level]
            right = seen[asked[nodes]] > threshold[nodes][:, None]
            bits = self.bits[level][:, None]
            bit = right * bits
            above = here[self.inner[level]]
            here = np.stack([above | bit, above | (bit ^ bits)], axis=1).reshape(-1, seen.shape[1])
        return np.concatenate(found)


def _given(share: Floats, value: Floats, kept_from: int) -> Floats:
    """(leaves, features): what leaves give to each feature of their paths, of which those in `kept_from` keep a row from them.

    A set of a path's features leads to its leaf by the product of `share` (of the training rows that come to this feature's splits,
    how many go on) where a feature is not known, and of 1 or 0 where it is. Shapley's weighted sum over all sets of the others is
    the integral from 0 to 1 of the product of `share + t (known - share)` (Owen 1972), a polynomial for which Gauss's points are
    exact.
    """
    many = share.shape[1]
    known = np.array([not kept_from >> place & 1 for place in range(many)], float)
    points, weights = np.polynomial.legendre.leggauss((many + 1) // 2)
    ways = share[:, :, None] + (points + 1) / 2 * (known - share)[:, :, None]
    moved: Floats = np.empty_like(share)
    for place in range(many):
        others = np.delete(ways, place, axis=1).prod(axis=1)
        moved[:, place] = (known[place] - share[:, place]) * value * (others @ (weights / 2))
    return moved
