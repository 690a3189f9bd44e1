"""How many wallets deal with an address: what a model knows of addresses, counted over its training accounts alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from models.fraud.campaigns import Labels
from models.fraud.replay import Fame, Told

KNOWN = 2
"""An address is known that at least so many wallets dealt with."""


class Popularity:
    """How many wallets of some campaigns dealt with an address, or held it as a token.

    To a wallet of one of those campaigns, its own campaign does not count: a model must not learn from itself.
    """

    def __init__(self, dealings: Iterable[tuple[str, str]], labels: Labels, among: Iterable[str]) -> None:
        self._labels, self._among = labels, frozenset(among)
        self._counts: Counter[str] = Counter()
        self._own: Counter[tuple[str, str]] = Counter()
        for address, account in dealings:
            if (group := labels[account].group) in self._among:
                self._counts[address] += 1
                self._own[address, group] += 1

    def of(self, account: str) -> Fame:
        """What an account's model knows of addresses."""
        group = self._labels[account].group
        own = group if group in self._among else None

        def fame(address: str) -> float:
            count = self._counts.get(address, 0)
            if count and own is not None:
                count -= self._own.get((address, own), 0)
            return float(count) if count >= KNOWN else 0.0

        return fame

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As a scorer takes it."""
        known = sorted((crc32(address.encode()), count) for address, count in self._counts.items() if count >= KNOWN)
        marks, counts = zip(*known, strict=True) if known else ((), ())
        return {"famous": np.array(marks, np.uint32), "wallets": np.minimum(counts, 65_535).astype(np.uint16)}


def dealings(history: Iterable[Told]) -> set[tuple[str, str]]:
    """Which account dealt with which address or token."""
    found = set()
    for account, _, move, _ in history:
        for address in (move.get("peer"), move.get("token")):
            if address is not None:
                found.add((address, account))
    return found
