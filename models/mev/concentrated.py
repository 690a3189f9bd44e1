"""Swaps in one range of concentrated liquidity, run again: what they would have given at another price.

Within a range of constant liquidity L a swap moves the square root of the price by what goes in after the fee:
1/sqrt(P) by in/L where token0 is sold, sqrt(P) by in/L where token1 is (Uniswap v3 whitepaper, 6.2.3). So prices before and
after a swap tell what went in after the fee, whatever the fee is. That all swaps are in one range shows in their fees: they are
the same, and less than one in ten. Square roots of prices are in units of 2^-96, as the logs have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.mev.prices import Q96
from topics.schemas.chain import Swap

SAME_FEE = 10_000
"""Fees are the same where they differ by at most one part in so many of what went in."""
MAX_FEE = 10
"""No pool takes more than one part in so many."""


@dataclass(frozen=True, slots=True)
class Move:
    """A swap in the range: by how much it moves the price, and what it paid out."""

    swap: Swap
    zero_for_one: bool
    net: int
    """What went in after the fee, base units."""


@dataclass(frozen=True, slots=True)
class Range:
    """Swaps of one range in order, and the square root of the price before the first."""

    liquidity: int
    before: int
    moves: tuple[Move, ...]


def one_range(swaps: Sequence[Swap]) -> Range | None:
    """`swaps` of a pool, one after another, as moves in one range; None where they are in more, or do not tell."""
    states = [_state(swap) for swap in swaps]
    if not states or None in states or len({state[1] for state in states if state}) != 1:
        return None
    liquidity = states[0][1] if states[0] else 0
    prices = [state[0] for state in states if state]
    paid, got = int(swaps[0].amount_in_raw or 0), int(swaps[0].amount_out_raw or 0)
    down = _zero_for_one(swaps[0])
    if min(liquidity, *prices, paid, got) <= 0:
        return None
    before = _before(prices[0], liquidity, got, down)
    moves = []
    fees = []
    for swap, start, end in zip(swaps, (before, *prices), prices, strict=False):
        down = _zero_for_one(swap)
        if start <= 0 or start == end or (end < start) != down:
            return None
        net = liquidity * Q96 * (start - end) // (start * end) if down else liquidity * (end - start) // Q96
        paid = int(swap.amount_in_raw or 0)
        if net <= 0 or not net <= paid or (paid - net) * MAX_FEE > paid:
            return None
        moves.append(Move(swap, down, net))
        fees.append((paid - net) * SAME_FEE // paid)
    if max(fees) - min(fees) > 1:
        return None
    return Range(liquidity, before, tuple(moves))


def _before(after: int, liquidity: int, got: int, down: bool) -> int:
    """The square root of the price before a swap that paid out `got` and left it at `after`."""
    return after + got * Q96 // liquidity if down else liquidity * Q96 * after // (liquidity * Q96 + got * after)


def paid_out(liquidity: int, price: int, move: Move) -> tuple[int, int]:
    """What `move` would pay out at `price`, base units, and the price that it would leave."""
    if move.zero_for_one:
        after = liquidity * Q96 * price // (liquidity * Q96 + move.net * price)
        return liquidity * (price - after) // Q96, after
    after = price + move.net * Q96 // liquidity
    return liquidity * Q96 * (after - price) // (price * after), after


def _zero_for_one(swap: Swap) -> bool:
    return swap.token_in.lower() < swap.token_out.lower()


def _state(swap: Swap) -> tuple[int, int] | None:
    """Square root of the price and liquidity after a swap."""
    told = (swap.sqrt_price_x96, swap.liquidity, swap.amount_in_raw, swap.amount_out_raw)
    if None in told:
        return None
    return int(swap.sqrt_price_x96 or 0), int(swap.liquidity or 0)
