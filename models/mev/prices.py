"""What tokens are worth in the chain's native coin, by the pools of the block alone.

A pool's price is that of its two reserves: those of its last Sync; in pools with concentrated liquidity the virtual ones,
L / sqrt(P) and L sqrt(P), of its last swap (Uniswap v3 whitepaper, 6.2.1); else the amounts of its largest swap. A token is
priced in the pool with the most native coin in it, or, where it has none, through one token between. So a pool that somebody
emptied or made with little does not decide, unless it is the only one. What logs say is believed: a contract that logs reserves
which it does not hold decides (`Price.pools` names it).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import cached_property
from typing import Literal

from models.mev.history import History
from topics.schemas.chain import Sync
from topics.schemas.mev import Price

Source = Literal["reserves", "sqrt_price", "swap"]
RANK: tuple[Source, ...] = ("reserves", "sqrt_price", "swap")
"""From what tells most to what tells least."""
Q96 = 2**96
DIGITS = Context(prec=18)
MAX_EXPONENT = 65
"""A price beyond 10 to the power of this has no place on the wire, and no meaning."""


@dataclass(frozen=True, slots=True)
class Market:
    """One side of a pool: so many base units of `quote` stand against so many of the token in question."""

    pool: str
    quote: str
    held: int
    """Of the token."""
    against: int
    """Of `quote`."""
    source: Source


@dataclass(frozen=True, slots=True)
class Worth:
    """Wei for base units as a fraction, and how many wei there are to be had."""

    wei: int
    units: int
    depth: int
    pools: tuple[str, ...]
    source: Source


class Prices:
    """The prices of a block, read when the first one is asked for."""

    def __init__(self, histories: Mapping[str, History], native: frozenset[str]) -> None:
        self._histories = histories
        self._native = native
        self._worths: dict[str, Worth | None] = {}

    def value(self, amounts: Mapping[str, int]) -> tuple[int, list[Price]] | None:
        """The sum of `amounts` in wei and what tokens were priced at, or None where one has no price.

        Of no token more is worth something than its pool could pay.
        """
        total, used = 0, []
        for token, amount in amounts.items():
            if token in self._native:
                total += amount
                continue
            worth = self._worth(token)
            if worth is None:
                return None
            wei = abs(amount) * worth.wei // worth.units
            price = _price(token, worth)
            if wei > worth.depth or price is None:
                return None
            total += wei if amount > 0 else -wei
            used.append(price)
        return total, used

    def _worth(self, token: str) -> Worth | None:
        if token not in self._worths:
            direct = self._direct(token)
            self._worths[token] = direct or self._through(token)
        return self._worths[token]

    def _direct(self, token: str) -> Worth | None:
        """By the deepest pool of `token` and native coin."""
        found = [
            Worth(one.against, one.held, one.against, (one.pool,), one.source)
            for one in self._markets.get(token, ())
            if one.quote in self._native
        ]
        return max(found, key=lambda one: (one.depth, one.pools), default=None)

    def _through(self, token: str) -> Worth | None:
        """By the deepest pool of `token` and another token that has a pool with native coin."""
        found = []
        for one in self._markets.get(token, ()):
            next_ = self._direct(one.quote)
            if next_ is not None:
                depth = min(one.against * next_.wei // next_.units, next_.depth)
                source = max(one.source, next_.source, key=RANK.index)
                worth = Worth(one.against * next_.wei, one.held * next_.units, depth, (one.pool, *next_.pools), source)
                found.append(worth)
        return max(found, key=lambda one: (one.depth, one.pools), default=None)

    @cached_property
    def _markets(self) -> dict[str, list[Market]]:
        """Token → the pools that it is in."""
        found: dict[str, list[Market]] = {}
        for pool, history in self._histories.items():
            for token0, held0, token1, held1, source in _states(history):
                if min(held0, held1) > 0:
                    found.setdefault(token0, []).append(Market(pool, token1, held0, held1, source))
                    found.setdefault(token1, []).append(Market(pool, token0, held1, held0, source))
        return found


def _states(history: History) -> list[tuple[str, int, str, int, Source]]:
    """What a pool holds of its tokens, (virtual) reserves at the end of the block or a swap's amounts, pair by pair."""
    found: dict[tuple[str, str], tuple[int, int, Source]] = {}
    sync: Sync | None = None
    for event in history.events:
        if event.event_type == "sync":
            sync = event
        elif event.event_type == "swap":
            sold, bought = event.token_in.lower(), event.token_out.lower()
            low, high = (sold, bought) if sold < bought else (bought, sold)
            held = found.get((low, high))
            if event.sqrt_price_x96 is not None and event.liquidity is not None and int(event.sqrt_price_x96) > 0:
                root, liquidity = int(event.sqrt_price_x96), int(event.liquidity)
                found[low, high] = (liquidity * Q96 // root, liquidity * root // Q96, "sqrt_price")
            elif event.amount_in_raw is not None and event.amount_out_raw is not None:
                paid, got = int(event.amount_in_raw), int(event.amount_out_raw)
                amounts = (paid, got) if sold == low else (got, paid)
                if held is None or (held[2] == "swap" and amounts > held[:2]):
                    found[low, high] = (*amounts, "swap")
    if sync is not None:
        pair = next(iter(found)) if len(found) == 1 else None
        if sync.token0 and sync.token1:
            pair = (sync.token0.lower(), sync.token1.lower())
        if pair is not None:
            found = {pair: (int(sync.reserve0_raw), int(sync.reserve1_raw), "reserves")}
    return [(low, held0, high, held1, source) for (low, high), (held0, held1, source) in found.items()]


def _price(token: str, worth: Worth) -> Price | None:
    wei = DIGITS.divide(Decimal(worth.wei), Decimal(worth.units))
    if abs(wei.adjusted()) > MAX_EXPONENT:
        return None
    plain = f"{Decimal(f'{wei:.12e}').normalize():f}"  # 13 digits, as people read numbers
    return Price(token=token, wei=plain, pools=list(worth.pools), source=worth.source)
