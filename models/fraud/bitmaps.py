"""How many different things were seen, in constant room: a bitmap of their hashes (linear counting, Whang et al. 1990)."""

from __future__ import annotations

import math
from functools import lru_cache
from zlib import crc32

BITS = 1024
"""Places of a bitmap: to about 3,000 different things it counts within 5 %."""
Distinct = int
"""A bitmap of hashes (`bit`), whose ones tell how many there were (`distinct`)."""


@lru_cache(maxsize=16_384)
def slot(what: str) -> int:
    """Where a thing is marked in a bitmap."""
    return crc32(what.encode()) % BITS


def bit(what: str) -> Distinct:
    """The bitmap of one thing."""
    return ONE[slot(what)]


ONE = [1 << place for place in range(BITS)]
"""Bitmaps of one thing each, by its place."""


def marked(seen: Distinct, here: Distinct) -> Distinct:
    """A bitmap with one place more. Bitmaps of one place are all the same object: most wallets have hardly any others."""
    return seen | here if seen and seen is not here else here


def distinct(seen: Distinct) -> float:
    """About how many different things a bitmap has seen."""
    return DISTINCT[seen.bit_count()]


DISTINCT = [BITS * math.log(BITS / max(BITS - ones, 1)) for ones in range(BITS + 1)]
"""The same, by how many ones there are."""

HOURS = [bit(str(hour)) for hour in range(24)]
"""The places of hours of the day."""


@lru_cache(maxsize=1024)
def day(number: int) -> Distinct:
    """The place of a day, by its number since 1970."""
    return bit(str(number))
