"""What is known of one side of a wallet, and how a number is counted among others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.fraud.bitmaps import Distinct
from models.fraud.layout import MOVES, TOKENS, TOTAL, TRANSACTIONS, TRANSFERS, VALUE


@dataclass(slots=True)
class Dealt:
    """What was dealt with listed addresses, as the lists were at the time. No model sees it."""

    moves: int = 0
    """Transactions that did not fail,"""
    wei: int = 0
    """and what they moved."""
    tokens: int = 0
    """ERC-20 transfers that moved something."""
    last: int = 0
    peer: str = ""
    """The one of the last,"""
    lists: str = ""
    """and the lists that name it."""


def count(numbers: list[float], at: int, value: float) -> None:
    """Count one value of the moments that lie `at` a place of some numbers (`layout.PARTS`)."""
    many = numbers[at] + 1.0
    numbers[at] = many
    if many == 1.0:
        numbers[at + 1] = numbers[at + 3] = numbers[at + 4] = value
        return
    if value < numbers[at + 3]:
        numbers[at + 3] = value
    elif value > numbers[at + 4]:
        numbers[at + 4] = value
    mean = numbers[at + 1]
    step = value - mean
    mean += step / many
    numbers[at + 1] = mean
    numbers[at + 2] += step * (value - mean)


NO_TRANSACTIONS, NO_TRANSFERS = (0.0,) * len(TRANSACTIONS), (0.0,) * len(TRANSFERS)
"""The numbers where there were none: one for all wallets, since most have hardly any others."""


@dataclass(slots=True)
class Half:
    """What is known of one side: what came in, or what went out."""

    numbers: Sequence[float] = NO_TRANSACTIONS
    """By `layout.TRANSACTIONS`."""
    transfers: Sequence[float] = NO_TRANSFERS
    """By `layout.TRANSFERS`."""
    peers: Distinct = 0
    selectors: Distinct = 0
    token_peers: Distinct = 0
    listed: Dealt | None = None
    """None: with none."""

    @property
    def moves(self) -> int:
        """Transactions."""
        return int(self.numbers[MOVES])

    @property
    def tokens(self) -> int:
        """ERC-20 transfers."""
        return int(self.transfers[TOKENS])

    @property
    def paid(self) -> int:
        """Transactions that moved some ether."""
        return int(self.numbers[VALUE])

    @property
    def total(self) -> float:
        """Ether."""
        return self.numbers[TOTAL]

    def transaction(self) -> list[float]:
        """Its numbers, to count one in."""
        numbers = self.numbers
        if not isinstance(numbers, list):
            numbers = self.numbers = [*numbers]
        return numbers

    def transfer(self) -> list[float]:
        """The same of transfers."""
        transfers = self.transfers
        if not isinstance(transfers, list):
            transfers = self.transfers = [*transfers]
        return transfers

    def deal(self, time: int, listed: str) -> Dealt:
        """Count a dealing with a listed peer, but for what it moved."""
        dealt = self.listed = self.listed or Dealt()
        dealt.last = time
        dealt.lists, _, dealt.peer = listed.partition(" ")
        return dealt


def digits(number: int) -> int:
    """Significant decimal digits of a number above 0: 2 of 1200000."""
    return len(str(number).rstrip("0"))


_PRIME = 9_007_199_254_740_881
"""The largest below 2**53."""


def mark(value: int) -> float:
    """A number of up to 256 bits as a float that no other is likely to have; never 0."""
    return float(value % _PRIME + 1)
