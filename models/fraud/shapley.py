"""What each feature of a row adds to the sum of trees: path-dependent TreeSHAP (Lundberg et al. 2018, arXiv 1802.03888), exactly.

What a leaf gives to each feature of its path depends on nothing of a row but which of the path's features keep it from that leaf.
So it is worked out beforehand, for every leaf and every set of features that may do so, as Yang 2021 (arXiv 2109.09847) does; a
row then only looks up its sets. All trees are done together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.fraud.trees import Trees
from models.fraud.walk import Floats, Places, doubled

MOST = 1 << 24
"""Numbers that are worked out beforehand: 64 MB at most. The model that ships has a few million before leaves are joined."""
ROWS = 64
"""Rows that are explained together,"""
LEAVES = 512
"""by so many leaves at a time: what those give then still fits a processor's cache."""
DIGITS = 24
"""Binary digits of what leaves give: as many as a number of 32 bits has."""


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
        _round([each.gives for each in leaves])
        return cls(trees, tuple(inner), tuple(bits), tuple(ends), tuple(leaves), kind)

    def adds(self, rows: Floats) -> Floats:
        """(rows, features): how far each feature moves the sum of all trees from its mean over the training rows."""
        found = np.zeros(rows.shape)
        # Rows that know the same part at fewer nodes.
        order = np.lexsort(np.isnan(rows).T)
        for start in range(0, len(rows), ROWS):
            those = order[start : start + ROWS]
            sets = self._sets(doubled(rows[those]))
            parting = (sets != sets[:, :1]).any(axis=1)
            some = np.zeros((len(those), rows.shape[1]))
            for leaves in self.leaves:
                apart = parting[leaves.place]
                some += _added(leaves, apart, sets[leaves.place[apart]], rows.shape[1])
                some += _added(leaves, ~apart, sets[leaves.place[~apart], :1], rows.shape[1])
            found[those] = some
        return found

    def _sets(self, seen: Floats) -> NDArray[np.uint8 | np.uint32]:
        """(leaves, rows): which features of its path keep each row from a leaf, as bits."""
        asked, threshold = self.trees.asked, self.trees.threshold
        low, high, rows = seen.min(axis=1), seen.max(axis=1), seen.shape[1]
        here = np.zeros((len(self.trees.roots), rows), self.kind)
        found = []
        for level, ends in enumerate(self.ends):
            found.append(here[ends])
            if level == len(self.inner):
                break
            nodes = self.inner[level] + self.trees.levels[level]
            features, above = asked[nodes], threshold[nodes]
            first = low[features] > above
            (parting,) = np.nonzero(first != (high[features] > above))
            right = np.repeat(first[:, None], rows, axis=1)
            right[parting] = seen[features[parting]] > above[parting][:, None]
            bits = self.bits[level][:, None]
            bit = right * bits
            before = here[self.inner[level]]
            here = np.stack([before | bit, before | (bit ^ bits)], axis=1).reshape(-1, rows)
        return np.concatenate(found)


def _added(leaves: _Leaves, those: NDArray[np.bool_], sets: NDArray[np.uint8 | np.uint32], features: int) -> Floats:
    """(rows, features): what `those` leaves give to rows that are kept from them by `sets`, (those, rows)."""
    rows = sets.shape[1]
    found = np.zeros(rows * features)
    apart = features * np.arange(rows)[:, None, None]
    places, paths = sets.T + leaves.first[those], leaves.features[those]
    for start in range(0, len(paths), LEAVES):
        some = slice(start, start + LEAVES)
        given = leaves.gives.take(places[:, some], axis=0)
        found += np.bincount((apart + paths[some]).ravel(), given.ravel(), len(found))
    return found.reshape(rows, features)


def _round(gives: Sequence[NDArray[np.float32]]) -> None:
    """Round to multiples of one power of two, in place, so that every sum is exact: a row gets the same in whatever order."""
    largest = max((float(np.abs(some).max(initial=0)) for some in gives), default=0.0)
    step = np.float32(2.0 ** (np.frexp(largest)[1] - DIGITS))
    for some in gives:
        np.rint(some / step, out=some)
        some *= step


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
