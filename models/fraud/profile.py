"""What is remembered of a wallet, in constant room and constant time a move.

A profile is counts, moments and bitmaps over one window of time: no list grows in it, and no absolute time, block, nonce or age
comes out of it, since those tell the era and not the behaviour (an account's first date alone separates the best known data set).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from math import log2, log10
from typing import Literal, NamedTuple

from models.fraud.bitmaps import HOURS, ONE, Distinct, bit, day, marked
from models.fraud.half import Half, count, digits, mark
from models.fraud.layout import (
    AGAIN,
    APPROVALS,
    BALANCE,
    BURSTS,
    CALLS,
    COIN_FAME,
    COSINE,
    CREATED,
    DELAY,
    DIGITS,
    DRAINS,
    EMPTY_TOKENS,
    FAILED,
    FAME,
    FAMOUS,
    FIRST,
    FRESH,
    GAP,
    GAS_LIMIT,
    GAS_PRICE,
    GAS_SHARE,
    HUNDREDTHS,
    KNOWN,
    LAST,
    LAST_VALUE,
    LATEST,
    MOVES,
    OWN,
    PAUSE,
    PEAK,
    PLAIN,
    PRICE_DIGITS,
    QUICK,
    ROUND_LIMIT,
    SENT_TOKENS,
    SINE,
    TENTHS,
    TOKEN_FAME,
    TOKENS,
    TOTAL,
    VALUE,
    ZERO,
)  # fmt: skip

Side = Literal[0, 1]
IN: Side = 0
OUT: Side = 1

WEI = 10**18
DAY_S, HOUR_S = 86_400, 3_600
QUICK_S, BURST_S = 600, 120
TRANSFER, APPROVE = "0xa9059cbb", "0x095ea7b3"
FAMOUS_FROM = 30
CALLED = "0x00000000"
"""Some call: which one is not told."""
PLAIN_GAS = 21_000
"""The gas of a payment without data; wallets set exactly it as the limit, contracts' users more."""


class Move(NamedTuple):
    """Something a wallet did or had done to it."""

    time: int
    side: Side
    peer: int | None
    """Where the other end is marked (`bitmaps.slot`), which is all that counts of it; None for a contract creation."""
    value: int
    """Wei; 0 where it failed."""
    gas_limit: int | None
    gas_used: int | None
    gas_price: float | None
    """Against what others pay at the time: 1.0 is the market's."""
    price_digits: int
    """Significant decimal digits of the price in wei: people and wallets choose few, estimators many."""
    selector: str
    """`0x` for a plain payment."""
    failed: bool
    fame: float
    """How many wallets are known to deal with the peer, as the model counts them (`Scorer.fame`)."""
    listed: str = ""
    """The lists that name the peer, with commas between (`models.fraud.lists`), a space and who it is; empty where none does."""


class TokenMove(NamedTuple):
    """An ERC-20 transfer from or to a wallet."""

    time: int
    side: Side
    peer: int | None
    token: int
    """Where it is marked."""
    nothing: bool
    """Whether it moves nothing, as bait does."""
    fame: float
    token_fame: float
    """How many wallets are known to hold the token."""
    listed: str = ""


_NOTHING = [0.0] * len(OWN)


@dataclass(slots=True)
class Profile:
    """What is known of a wallet within one window."""

    came: Half = field(default_factory=Half)
    went: Half = field(default_factory=Half)
    own: list[float] = field(default_factory=_NOTHING.copy)
    """Of both halves together, by `layout.OWN`."""
    hours: Distinct = 0
    days: Distinct = 0
    tokens: Distinct = 0
    peers: Distinct = 0

    @property
    def first(self) -> int:
        """When the first move was, unix seconds; 0 before any."""
        return int(self.own[FIRST])

    @property
    def last(self) -> int:
        """When the last was."""
        return int(self.own[LATEST])

    def _tick(self, time: int) -> None:
        own = self.own
        if own[FIRST] == 0.0:
            own[FIRST] = float(time)
        else:
            gap = time - own[LATEST]
            gap = gap if gap > 0.0 else 0.0
            count(own, PAUSE, log10(1.0 + gap))
            if gap < BURST_S:
                own[BURSTS] += 1.0
        own[LATEST] = float(time)
        hour, here, sine, cosine = _clock(time)
        self.hours = marked(self.hours, hour)
        self.days = marked(self.days, here)
        own[SINE] += sine
        own[COSINE] += cosine

    def move(self, move: Move) -> None:
        """Count a transaction."""
        time, side, peer, value, limit, used, price, price_digits, selector, failed, fame, listed = move
        self._tick(time)
        half = self.went if side else self.came
        told = half.transaction()
        told[MOVES] += 1.0
        if failed:
            told[FAILED] += 1.0
        if last := told[LAST]:
            waited = time - last
            count(told, GAP, log10(1.0 + waited) if waited > 0.0 else 0.0)
        if selector != "0x":
            told[CALLS] += 1.0
            half.selectors = marked(half.selectors, bit(selector))
            if selector == TRANSFER:
                told[SENT_TOKENS] += 1.0
            elif selector == APPROVE:
                told[APPROVALS] += 1.0
        if limit is not None:
            if limit == PLAIN_GAS:
                told[PLAIN] += 1.0
            elif limit % 1_000 == 0:
                told[ROUND_LIMIT] += 1.0
            limit = limit or 1
            count(told, GAS_LIMIT, log10(limit))
            if used is not None:
                count(told, GAS_SHARE, used / limit)
        if price is not None:
            count(told, GAS_PRICE, log2(price if price > 1e-3 else 1e-3))
            count(told, PRICE_DIGITS, float(price_digits))
        if peer is None:
            self.own[CREATED] += 1.0
        else:
            here = ONE[peer]
            if not half.peers & here:
                told[FRESH] += 1.0
                half.peers = marked(half.peers, here)
                self.peers = marked(self.peers, here)
            if fame:
                count(told, FAME, log10(1.0 + fame))
                told[KNOWN] += 1.0
                if fame >= FAMOUS_FROM:
                    told[FAMOUS] += 1.0
            else:
                count(told, FAME, 0.0)
        self._value(value, side, time, told)
        told[LAST] = float(time)
        if listed and not failed:
            dealt = half.deal(time, listed)
            dealt.moves += 1
            dealt.wei += value

    def _value(self, value: int, side: Side, time: int, told: list[float]) -> None:
        own, ether = self.own, value / WEI
        if value:
            count(told, VALUE, log10(ether))
            count(told, DIGITS, float(digits(value)))
            if value % 10**16 == 0:
                told[HUNDREDTHS] += 1.0
                if value % 10**17 == 0:
                    told[TENTHS] += 1.0
            same = mark(value)
            if same == told[LAST_VALUE]:
                told[AGAIN] += 1.0
            told[LAST_VALUE] = same
            told[TOTAL] += ether
        else:
            told[ZERO] += 1.0
        if side == IN:
            balance = own[BALANCE] = own[BALANCE] + ether
            if balance > own[PEAK]:
                own[PEAK] = balance
            return
        if last := self.came.numbers[LAST]:
            waited = time - last
            waited = waited if waited > 0.0 else 0.0
            count(own, DELAY, log10(1.0 + waited))
            if waited < QUICK_S:
                own[QUICK] += 1.0
        if balance := own[BALANCE]:
            left = balance - ether
            if ether > 0.0 and left < 0.05 * balance:
                own[DRAINS] += 1.0
            own[BALANCE] = left if left > 0.0 else 0.0

    def token_move(self, move: TokenMove) -> None:
        """Count an ERC-20 transfer."""
        time, side, peer, token, nothing, fame, token_fame, listed = move
        self._tick(time)
        half = self.went if side else self.came
        told = half.transfer()
        told[TOKENS] += 1.0
        if nothing:
            told[EMPTY_TOKENS] += 1.0
        count(told, COIN_FAME, log10(1.0 + token_fame) if token_fame else 0.0)
        self.tokens = marked(self.tokens, ONE[token])
        if peer is not None:
            here = ONE[peer]
            half.token_peers = marked(half.token_peers, here)
            self.peers = marked(self.peers, here)
            count(told, TOKEN_FAME, log10(1.0 + fame) if fame else 0.0)
        # Bait moves nothing, and anybody may have a listed address seem to send it.
        if listed and not nothing:
            half.deal(time, listed).tokens += 1


@lru_cache(maxsize=1024)
def _clock(time: int) -> tuple[Distinct, Distinct, float, float]:
    """Where a time is marked among hours and days, and the hand of its clock of 24 hours; all moves of a block have one."""
    return HOURS[time // HOUR_S % 24], day(time // DAY_S), *hand_of_clock(time % DAY_S)


@lru_cache(maxsize=1024)
def hand_of_clock(second: int) -> tuple[float, float]:
    """Sine and cosine of a time of day."""
    angle = second * (2 * math.pi / DAY_S)
    return math.sin(angle), math.cos(angle)
