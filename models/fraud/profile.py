"""What is remembered of a wallet, in constant room and constant time a move.

A profile is counts, moments and bitmaps over one window of time: no list grows in it, and no absolute time, block, nonce or age
comes out of it, since those tell the era and not the behaviour (an account's first date alone separates the best known data set).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from math import log10
from typing import Literal, NamedTuple
from zlib import crc32

Side = Literal[0, 1]
IN: Side = 0
OUT: Side = 1

BITS = 1024
"""Places of a bitmap that counts distinct things: to about 3,000 within 5 % (linear counting, Whang et al. 1990)."""
WEI = 10**18
DAY_S, HOUR_S = 86_400, 3_600
QUICK_S, BURST_S = 600, 120
TRANSFER, APPROVE = "0xa9059cbb", "0x095ea7b3"
FAMOUS = 30
PLAIN_GAS = 21_000
"""The gas of a payment without data; wallets set exactly it as the limit, contracts' users more."""


class Move(NamedTuple):
    """Something a wallet did or had done to it. `peer` is the other end, None for a contract creation."""

    time: int
    side: Side
    peer: str | None
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
    """The lists that name the peer, with commas between (`models.fraud.lists`)."""


class TokenMove(NamedTuple):
    """An ERC-20 transfer from or to a wallet."""

    time: int
    side: Side
    peer: str | None
    token: str
    nothing: bool
    """Whether it moves nothing, as bait does."""
    fame: float
    token_fame: float
    """How many wallets are known to hold the token."""
    listed: str = ""


@dataclass(slots=True, unsafe_hash=True)  # since defaults must be hashable
class Moments:
    """Count, mean, spread and range of a number, by Welford's recurrence (1962)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = 0.0
    high: float = 0.0

    def add(self, value: float) -> Moments:
        """Count one value. What then is known stands in another object where nothing was: all share `NOTHING`."""
        count = self.count + 1
        if count == 1:
            return Moments(1, value, 0.0, value, value)
        self.count = count
        if value < self.low:
            self.low = value
        elif value > self.high:
            self.high = value
        step = value - self.mean
        self.mean += step / count
        self.squares += step * (value - self.mean)
        return self


NOTHING = Moments()
"""Before anything is counted."""

Distinct = int
"""Which different things were seen: a bitmap of their hashes (`bit`), whose ones tell how many (`distinct`)."""


def bit(what: str) -> Distinct:
    """The place of a thing in a bitmap."""
    return _PLACES[crc32(what.encode()) % BITS]


_PLACES = [1 << place for place in range(BITS)]


_DISTINCT = [BITS * math.log(BITS / max(BITS - ones, 1)) for ones in range(BITS + 1)]


def distinct(seen: Distinct) -> float:
    """About how many different things a bitmap has seen."""
    return _DISTINCT[seen.bit_count()]


_HOURS = [bit(str(hour)) for hour in range(24)]


@lru_cache(maxsize=1024)
def _day(day: int) -> Distinct:
    return bit(str(day))


@lru_cache(maxsize=1024)
def hand_of_clock(second: int) -> tuple[float, float]:
    """Sine and cosine of a time of day; all moves of a block have one."""
    angle = second * (2 * math.pi / DAY_S)
    return math.sin(angle), math.cos(angle)


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


@dataclass(slots=True)
class Half:
    """What is known of one side: what came in, or what went out."""

    moves: int = 0
    failed: int = 0
    zero: int = 0
    calls: int = 0
    plain: int = 0
    """With a gas limit of exactly `PLAIN_GAS`."""
    round_limit: int = 0
    """With a gas limit of whole thousands, other than that."""
    sent_tokens: int = 0
    """Calls of ERC-20 `transfer`,"""
    approvals: int = 0
    """and of `approve`."""
    known: int = 0
    """With a peer that the model knows,"""
    famous: int = 0
    """that `FAMOUS` others deal with."""
    tenths: int = 0
    """Of a multiple of 0.1 ether."""
    hundredths: int = 0
    again: int = 0
    """Of the same value as the one before."""
    fresh: int = 0
    """With a peer not seen before."""
    total: float = 0.0
    """Ether."""
    last: int = 0
    last_value: int = 0
    value: Moments = NOTHING
    """Of log10 of ether, where there was some."""
    digits: Moments = NOTHING
    """Of significant digits of the value in wei."""
    gap: Moments = NOTHING
    """Of log10 of seconds since the one before."""
    gas_limit: Moments = NOTHING
    gas_share: Moments = NOTHING
    gas_price: Moments = NOTHING
    price_digits: Moments = NOTHING
    fame: Moments = NOTHING
    peers: Distinct = 0
    selectors: Distinct = 0
    tokens: int = 0
    """ERC-20 transfers."""
    empty_tokens: int = 0
    token_fame: Moments = NOTHING
    """Of the peers of ERC-20 transfers,"""
    coin_fame: Moments = NOTHING
    """and of their tokens."""
    token_peers: Distinct = 0
    listed: Dealt | None = None
    """None: with none."""

    def deal(self, move: Move | TokenMove) -> Dealt:
        """Count a dealing with a listed peer, but for what it moved."""
        dealt = self.listed = self.listed or Dealt()
        dealt.last, dealt.peer, dealt.lists = move.time, move.peer or "", move.listed
        return dealt


@dataclass(slots=True)
class Profile:
    """What is known of a wallet within one window."""

    first: int = 0
    last: int = 0
    came: Half = field(default_factory=Half)
    went: Half = field(default_factory=Half)
    created: int = 0
    """Contracts."""
    bursts: int = 0
    quick: int = 0
    """Went out within `QUICK_S` of something that came in."""
    drains: int = 0
    """Left less than a twentieth behind."""
    balance: float = 0.0
    peak: float = 0.0
    delay: Moments = NOTHING
    """Of log10 of seconds from the last that came in to one that goes out."""
    gap: Moments = NOTHING
    hours: Distinct = 0
    days: Distinct = 0
    tokens: Distinct = 0
    peers: Distinct = 0
    sine: float = 0.0
    cosine: float = 0.0

    def _tick(self, time: int) -> None:
        if self.first == 0:
            self.first = time
        else:
            gap = time - self.last
            gap = gap if gap > 0 else 0
            self.gap = self.gap.add(log10(1 + gap))
            self.bursts += gap < BURST_S
        self.last = time
        self.hours |= _HOURS[time // HOUR_S % 24]
        self.days |= _day(time // DAY_S)
        sine, cosine = hand_of_clock(time % DAY_S)
        self.sine += sine
        self.cosine += cosine

    def move(self, move: Move) -> None:
        """Count a transaction."""
        time, side, peer, _, limit, used, price, price_digits, selector, failed, fame, listed = move
        self._tick(time)
        half = self.went if side else self.came
        half.moves += 1
        half.failed += failed
        if half.last:
            half.gap = half.gap.add(log10(1 + max(0, time - half.last)))
        if selector != "0x":
            half.calls += 1
            half.selectors |= bit(selector)
            half.sent_tokens += selector == TRANSFER
            half.approvals += selector == APPROVE
        if limit is not None:
            half.plain += limit == PLAIN_GAS
            half.round_limit += limit % 1_000 == 0 and limit != PLAIN_GAS
            half.gas_limit = half.gas_limit.add(log10(max(limit, 1)))
            if used is not None:
                half.gas_share = half.gas_share.add(used / max(limit, 1))
        if price is not None:
            half.gas_price = half.gas_price.add(math.log2(max(price, 1e-3)))
            half.price_digits = half.price_digits.add(float(price_digits))
        if peer is None:
            self.created += 1
        else:
            here = bit(peer)
            half.fresh += not half.peers & here
            half.peers |= here
            self.peers |= here
            half.fame = half.fame.add(log10(1 + fame))
            half.known += fame > 0
            half.famous += fame >= FAMOUS
        self._value(move, half)
        half.last = time
        if listed and not failed:
            dealt = half.deal(move)
            dealt.moves += 1
            dealt.wei += move.value

    def _value(self, move: Move, half: Half) -> None:
        ether = move.value / WEI
        if move.value:
            half.value = half.value.add(log10(ether))
            half.digits = half.digits.add(float(digits(move.value)))
            half.tenths += move.value % 10**17 == 0
            half.hundredths += move.value % 10**16 == 0
            half.again += move.value == half.last_value
            half.last_value = move.value
            half.total += ether
        else:
            half.zero += 1
        if move.side == OUT:
            if self.came.last:
                waited = max(0, move.time - self.came.last)
                self.delay = self.delay.add(log10(1 + waited))
                self.quick += waited < QUICK_S
            left = self.balance - ether
            self.drains += ether > 0 and self.balance > 0 and left < 0.05 * self.balance
            self.balance = max(0.0, left)
        else:
            self.balance += ether
            self.peak = max(self.peak, self.balance)

    def token_move(self, move: TokenMove) -> None:
        """Count an ERC-20 transfer."""
        time, side, peer, token, nothing, fame, token_fame, _ = move
        self._tick(time)
        half = self.went if side else self.came
        half.tokens += 1
        half.empty_tokens += nothing
        half.coin_fame = half.coin_fame.add(log10(1 + token_fame))
        self.tokens |= bit(token)
        if peer is not None:
            here = bit(peer)
            half.token_peers |= here
            self.peers |= here
            half.token_fame = half.token_fame.add(log10(1 + fame))
        # Bait moves nothing, and anybody may have a listed address seem to send it.
        if move.listed and not move.nothing:
            half.deal(move).tokens += 1


def digits(number: int) -> int:
    """Significant decimal digits of a number above 0: 2 of 1200000."""
    return len(str(number).rstrip("0"))
