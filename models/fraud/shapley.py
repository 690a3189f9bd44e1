"""What each feature of a row adds to the sum of trees: path-dependent TreeSHAP (Lundberg et al. 2018, arXiv 1802.03888), exactly.

What a leaf gives to each feature of its path depends on nothing of a row but which of the path's features keep it from that leaf.
So it is worked out beforehand, for every leaf and every set of features that may do so, as Yang 2021 (arXiv 2109.09847) does; a
row then only looks up its sets. All trees are done together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.fraud.trees import Trees
from models.fraud.walk import Floats, Places, doubled

MOST = 1 << 24
"""Numbers that are worked out beforehand: 64 MB at most. The model that ships has 5 million before leaves are joined."""
ROWS = 64
"""Rows that are explained together,"""
LEAVES = 512
"""by so many leaves at a time: what those give then still fits a processor's cache."""


class _Leaves(NamedTuple):
    """Leaves whose paths have equally many features."""

    place: Places
    """Which ones, in the order of `Shapley.ends`."""
    features: Places
    """(leaves, features): which ones a path has."""
    first: Places
    """Where the sets of each leaf begin in `gives`."""
    gives: NDArray[np.float32]
    """(sets, features): what a leaf gives to each feature of its path, when those of the set keep a row from it."""


@dataclass(frozen=True, slots=True)
class Shapley:
    """The trees, and what was worked out.

    Two leaves of one node that asks for a feature as the first of its path are one here: what keeps a row from the left one, but
    for that feature, keeps it from the right one, too.
    """

    trees: Trees
    inner: tuple[Places, ...]
    """Of each level but the last: its nodes that are no leaves, counted within the level."""
    bits: tuple[NDArray[np.uint8 | np.uint32], ...]
    """Of each such node: the bit of its feature among those of the path."""
    ends: tuple[Places, ...]
    """Of each level: its leaves, counted within the level."""
    leaves: tuple[_Leaves, ...]
    kind: type[np.uint8 | np.uint32]
    """Of sets as bits."""

    @classmethod
    def of(cls, trees: Trees) -> Shapley:
        """Work it out for trees.

        Raises:
            ValueError: their paths are too long for that.
        """
        longest = max(1, trees.depth)
        kind = np.uint8 if longest <= 8 else np.uint32
        roots = len(trees.roots)
        feature, share = np.full((roots, longest), -1, np.int64), np.ones((roots, longest))
        twin, second = np.zeros(roots, np.int64), np.zeros(roots, bool)
        inner, bits, ends, paths = [], [], [], []
        for level in range(len(trees.levels) - 1):
            nodes = slice(trees.levels[level], trees.levels[level + 1])
            leaf = trees.feature[nodes] < 0
            ends.append(np.flatnonzero(leaf & ~second))
            paths.append((feature[leaf], share[leaf], trees.value[nodes][leaf], twin[leaf], second[leaf]))
            if leaf.all():
                break
            inner.append(np.flatnonzero(~leaf))
            asked = trees.feature[nodes][~leaf].astype(np.int64)
            feature, share = feature[~leaf], share[~leaf]
            slot = np.argmax((feature == asked[:, None]) | (feature < 0), axis=1)
            bits.append((1 << slot).astype(kind))
            here = np.arange(len(slot))
            children = slice(trees.levels[level + 1], trees.levels[level + 2])
            twins = (feature[here, slot] < 0) & (trees.feature[children].reshape(-1, 2) < 0).all(axis=1)
            twin, second = np.repeat(twins << slot, 2), np.repeat(twins, 2)
            twin[1::2], second[::2] = 0, False
            feature[here, slot] = asked
            feature, share = np.repeat(feature, 2, axis=0), np.repeat(share, 2, axis=0)
            came = np.repeat(trees.cover[nodes][~leaf], 2)
            share[np.arange(len(share)), np.repeat(slot, 2)] *= trees.cover[children] / came
        feature, share, value, twin, second = (np.concatenate([path[place] for path in paths]) for place in range(5))
        length = (feature >= 0).sum(axis=1)
        if (1 << length).sum() * longest > MOST:
            raise ValueError("the paths of its trees are too long to be explained; let them be less deep")
        leaves = []
        for long in range(1, longest + 1):
            (those,) = np.nonzero((length == long) & ~second)
            gives = np.empty((len(those), 1 << long, long), np.float32)
            pairs = twin[those] > 0
            right = those[pairs] + 1
            for kept_from in range(1 << long):
                gives[:, kept_from] = _given(share[those, :long], value[those], np.full(len(those), kept_from))
                gives[pairs, kept_from] += _given(share[right, :long], value[right], kept_from ^ twin[those][pairs])
            place = np.searchsorted(np.flatnonzero(~second), those)
            first = np.arange(len(those)) << long
            leaves.append(_Leaves(place, feature[those, :long], first, gives.reshape(-1, long)))
        return cls(trees, tuple(inner), tuple(bits), tuple(ends), tuple(leaves), kind)

    def adds(self, rows: Floats) -> Floats:
        """(rows, features): how far each feature moves the sum of all trees from its mean over the training rows."""
        found = np.zeros(rows.shape)
        for start in range(0, len(rows), ROWS):
            some = found[start : start + ROWS]
            sets = self._sets(doubled(rows[start : start + ROWS]))
            for leaves in self.leaves:
                some += _added(leaves, sets[leaves.place].T + leaves.first, rows.shape[1])
        return found

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


def _added(leaves: _Leaves, sets: Places, features: int) -> Floats:
    """(rows, features): what leaves give, told where in `gives` the set of each stands, (rows, leaves)."""
    rows, many = sets.shape
    found = np.zeros(rows * features)
    apart = features * np.arange(rows)[:, None, None]
    for start in range(0, many, LEAVES):
        some = slice(start, start + LEAVES)
        given = leaves.gives.take(sets[:, some], axis=0)
        found += np.bincount((apart + leaves.features[some]).ravel(), given.ravel(), len(found))
    return found.reshape(rows, features)


def _given(share: Floats, value: Floats, kept_from: Places) -> Floats:
    """(leaves, features): what leaves give to each feature of their paths, of which those in `kept_from` keep a row from them.

    A set of a path's features leads to its leaf by the product of `share` (of the training rows that come to this feature's splits,
    how many go on) where a feature is not known, and of 1 or 0 where it is. Shapley's weighted sum over all sets of the others is
    the integral from 0 to 1 of the product of `share + t (known - share)` (Owen 1972), a polynomial for which Gauss's points are
    exact.
    """
    many = share.shape[1]
    known = 1.0 - (kept_from[:, None] >> np.arange(many) & 1)
    points, weights = np.polynomial.legendre.leggauss((many + 1) // 2)
    ways = share[:, :, None] + (points + 1) / 2 * (known - share)[:, :, None]
    moved: Floats = np.empty_like(share)
    for place in range(many):
        others = np.delete(ways, place, axis=1).prod(axis=1)
        moved[:, place] = (known[:, place] - share[:, place]) * value * (others @ (weights / 2))
    return moved
