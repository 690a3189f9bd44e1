"""What gas costs on a day of a chain: a histogram of its blocks' median prices, in constant room.

A block may say something else later, or be removed. So the day's last 64 blocks are kept as they came, and only what is older is
folded into the histogram, once: in whatever order and however often blocks come within those, the day ends the same, but that what
removes a block has to come after what tells of it, as it does in `chain.blocks`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

DAY_S = 86_400
KEPT_BLOCKS = 64
STEPS = 8
"""Bins a doubling: a price is told within 5 %."""
ENOUGH = 16
"""Blocks from which on a day's price is known."""

Bin = int | None
"""Of log2 of a price in wei; None where a block tells none, or was removed."""
Kept = tuple[int, int, Bin]
"""Number, revision and bin of a block."""


def bin_of(price_wei: int | None) -> Bin:
    """Where a price stands in the histogram."""
    return None if not price_wei else round(math.log2(price_wei) * STEPS)


@dataclass(slots=True)
class Day:
    """The blocks of one day, by their times."""

    bins: dict[int, int] = field(default_factory=dict)
    """Folded blocks by bin."""
    folded: int = -1
    """The highest block folded."""
    kept: list[Kept] = field(default_factory=list)
    """Rising."""

    def take(self, number: int, revision: int, price: Bin) -> bool:
        """Take what a block says; whether that is new. What comes for a folded block changes nothing any more.

        A block that tells no price is kept only in place of what it said before.
        """
        if number <= self.folded:
            return False
        place = bisect_left(self.kept, (number, -1))
        if place < len(self.kept) and self.kept[place][0] == number:
            if self.kept[place][1] >= revision:
                return False
            self.kept[place] = (number, revision, price)
            return True
        if price is None:
            return False
        self.kept.insert(place, (number, revision, price))
        oldest = self.kept[-1][0] - KEPT_BLOCKS + 1
        while self.kept[0][0] < oldest:
            self.folded, _, past = self.kept.pop(0)
            if past is not None:
                self.bins[past] = self.bins.get(past, 0) + 1
        return True

    def median_wei(self) -> float | None:
        """The lower median of its blocks' medians; None while fewer than `ENOUGH` tell a price."""
        counts = dict(self.bins)
        for _, _, price in self.kept:
            if price is not None:
                counts[price] = counts.get(price, 0) + 1
        return _median(counts)


def _median(counts: Mapping[int, int]) -> float | None:
    many = sum(counts.values())
    if many < ENOUGH:
        return None
    left = (many + 1) // 2
    for price in sorted(counts):
        left -= counts[price]
        if left <= 0:
            return float(2.0 ** (price / STEPS))
    raise AssertionError("the counts of all bins are their sum")
