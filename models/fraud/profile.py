"""What is remembered of a wallet, in constant room and constant time a move.

A profile is counts, moments and bitmaps over one window of time: no list grows in it, and no absolute time, block, nonce or age
comes out of it, since those tell the era and not the behaviour (an account's first date alone separates the best known data set).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Moments:
    """Count, mean, spread and range of a number, by Welford's recurrence (1962)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = 0.0
    high: float = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.count += 1
        if self.count == 1:
            self.low = self.high = value
        elif value < self.low:
            self.low = value
        elif value > self.high:
            self.high = value
        step = value - self.mean
        self.mean += step / self.count
        self.squares += step * (value - self.mean)

    def told(self) -> tuple[float, float, float, float]:
        """Mean, standard deviation, lowest and highest; NaN where nothing was counted."""
        if not self.count:
            return math.nan, math.nan, math.nan, math.nan
        return self.mean, math.sqrt(max(self.squares, 0.0) / self.count), self.low, self.high


@dataclass(slots=True)
class Distinct:
    """How many different things were seen, by a bitmap of their hashes."""

    bits: int = 0

    def add(self, what: str) -> bool:
        """Note one; whether it is likely new."""
        bit = 1 << crc32(what.encode()) % BITS
        new = not self.bits & bit
        self.bits |= bit
        return new

    @property
    def count(self) -> float:
        """About how many."""
        empty = BITS - self.bits.bit_count()
        return BITS * math.log(BITS / max(empty, 1))


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
    value: Moments = field(default_factory=Moments)
    """Of log10 of ether, where there was some."""
    digits: Moments = field(default_factory=Moments)
    """Of significant digits of the value in wei."""
    gap: Moments = field(default_factory=Moments)
    """Of log10 of seconds since the one before."""
    gas_limit: Moments = field(default_factory=Moments)
    gas_share: Moments = field(default_factory=Moments)
    gas_price: Moments = field(default_factory=Moments)
    price_digits: Moments = field(default_factory=Moments)
    fame: Moments = field(default_factory=Moments)
    peers: Distinct = field(default_factory=Distinct)
    selectors: Distinct = field(default_factory=Distinct)
    tokens: int = 0
    """ERC-20 transfers."""
    empty_tokens: int = 0
    token_fame: Moments = field(default_factory=Moments)
    """Of the peers of ERC-20 transfers,"""
    coin_fame: Moments = field(default_factory=Moments)
    """and of their tokens."""
    token_peers: Distinct = field(default_factory=Distinct)
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
    delay: Moments = field(default_factory=Moments)
    """Of log10 of seconds from the last that came in to one that goes out."""
    gap: Moments = field(default_factory=Moments)
    hours: Distinct = field(default_factory=Distinct)
    days: Distinct = field(default_factory=Distinct)
    tokens: Distinct = field(default_factory=Distinct)
    peers: Distinct = field(default_factory=Distinct)
    sine: float = 0.0
    cosine: float = 0.0

    def half(self, side: Side) -> Half:
        """Its one side."""
        return self.went if side else self.came

    def _tick(self, time: int) -> None:
        if self.first == 0:
            self.first = time
        else:
            gap = max(0, time - self.last)
            self.gap.add(math.log10(1 + gap))
            self.bursts += gap < BURST_S
        self.last = time
        self.hours.add(str(time // HOUR_S % 24))
        self.days.add(str(time // DAY_S))
        angle = time % DAY_S * (2 * math.pi / DAY_S)
        self.sine += math.sin(angle)
        self.cosine += math.cos(angle)

    def move(self, move: Move) -> None:
        """Count a transaction."""
        self._tick(move.time)
        half = self.half(move.side)
        half.moves += 1
        half.failed += move.failed
        if half.last:
            half.gap.add(math.log10(1 + max(0, move.time - half.last)))
        half.calls += move.selector != "0x"
        if move.selector != "0x":
            half.selectors.add(move.selector)
            half.sent_tokens += move.selector == TRANSFER
            half.approvals += move.selector == APPROVE
        if move.gas_limit is not None:
            half.plain += move.gas_limit == PLAIN_GAS
            half.round_limit += move.gas_limit % 1_000 == 0 and move.gas_limit != PLAIN_GAS
            half.gas_limit.add(math.log10(max(move.gas_limit, 1)))
            if move.gas_used is not None:
                half.gas_share.add(move.gas_used / max(move.gas_limit, 1))
        if move.gas_price is not None:
            half.gas_price.add(math.log2(max(move.gas_price, 1e-3)))
            half.price_digits.add(float(move.price_digits))
        if move.peer is None:
            self.created += 1
        else:
            half.fresh += half.peers.add(move.peer)
            self.peers.add(move.peer)
            half.fame.add(math.log10(1 + move.fame))
            half.known += move.fame > 0
            half.famous += move.fame >= FAMOUS
        self._value(move, half)
        half.last = move.time
        if move.listed and not move.failed:
            dealt = half.deal(move)
            dealt.moves += 1
            dealt.wei += move.value

    def _value(self, move: Move, half: Half) -> None:
        ether = move.value / WEI
        if move.value:
            half.value.add(math.log10(ether))
            half.digits.add(float(digits(move.value)))
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
                self.delay.add(math.log10(1 + waited))
                self.quick += waited < QUICK_S
            left = self.balance - ether
            self.drains += ether > 0 and self.balance > 0 and left < 0.05 * self.balance
            self.balance = max(0.0, left)
        else:
            self.balance += ether
            self.peak = max(self.peak, self.balance)

    def token_move(self, move: TokenMove) -> None:
        """Count an ERC-20 transfer."""
        self._tick(move.time)
        half = self.half(move.side)
        half.tokens += 1
        half.empty_tokens += move.nothing
        half.coin_fame.add(math.log10(1 + move.token_fame))
        self.tokens.add(move.token)
        if move.peer is not None:
            half.token_peers.add(move.peer)
            self.peers.add(move.peer)
            half.token_fame.add(math.log10(1 + move.fame))
        # Bait moves nothing, and anybody may have a listed address seem to send it.
        if move.listed and not move.nothing:
            half.deal(move).tokens += 1


def digits(number: int) -> int:
    """Significant decimal digits of a number above 0: 2 of 1200000."""
    return len(str(number).rstrip("0"))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _half(half: Half) -> list[float]:
    return _known_half(half) if half.moves or half.tokens else _UNKNOWN_HALF


def _known_half(half: Half) -> list[float]:
    n = half.moves
    return [
        math.log10(1 + n),
        _share(half.failed, n),
        _share(half.zero, n),
        _share(half.calls, n),
        _share(half.plain, n),
        _share(half.round_limit, n),
        _share(half.sent_tokens, n),
        _share(half.approvals, n),
        _share(half.known, n),
        _share(half.famous, n),
        _share(half.tenths, half.value.count),
        _share(half.hundredths, half.value.count),
        _share(half.again, half.value.count),
        _share(half.fresh, n),
        math.log10(1e-6 + half.total),
        _share(10**half.value.high, half.total) if half.value.count else math.nan,
        *half.value.told(),
        *half.digits.told()[:3],
        *half.gap.told()[:3],
        *half.gas_limit.told(),
        *half.gas_share.told()[:2],
        *half.gas_price.told(),
        *half.price_digits.told()[:2],
        *half.fame.told(),
        math.log10(1 + half.peers.count),
        _share(half.peers.count, n),
        half.selectors.count,
        math.log10(1 + half.tokens),
        _share(half.empty_tokens, half.tokens),
        *half.token_fame.told()[:2],
        *half.coin_fame.told()[:2],
        math.log10(1 + half.token_peers.count),
    ]


_UNKNOWN_HALF = _known_half(Half())
"""Of a side on which nothing happened, as of most wallets that a block names."""
_TOLD = ("mean", "spread", "low", "high")
_HALF = (
    "moves", "failed", "zero", "calls", "plain", "round_limit", "sent_tokens", "approvals", "known", "famous", "tenths",
    "hundredths", "again", "fresh", "total", "largest",
    *(f"value_{name}" for name in _TOLD),
    *(f"digits_{name}" for name in _TOLD[:3]),
    *(f"gap_{name}" for name in _TOLD[:3]),
    *(f"gas_limit_{name}" for name in _TOLD),
    *(f"gas_share_{name}" for name in _TOLD[:2]),
    *(f"gas_price_{name}" for name in _TOLD),
    *(f"price_digits_{name}" for name in _TOLD[:2]),
    *(f"fame_{name}" for name in _TOLD),
    "peers", "peers_share", "selectors", "tokens", "empty_tokens", "token_fame_mean", "token_fame_spread",
    "coin_fame_mean", "coin_fame_spread", "token_peers",
)  # fmt: skip
FEATURES: tuple[str, ...] = (
    *(f"in_{name}" for name in _HALF),
    *(f"out_{name}" for name in _HALF),
    "moves", "in_share", "created", "bursts", "quick", "drains", "left", "turnover",
    "delay_mean", "delay_spread", "delay_low", "gap_mean", "gap_spread", "gap_low", "gap_high",
    "span", "hours", "days", "days_share", "tokens", "peers", "both_ways", "hour_focus",
)  # fmt: skip
"""Names of `features`, in order."""


def features(profile: Profile) -> list[float]:
    """What a model sees of a profile: `len(FEATURES)` numbers, NaN where nothing is known."""
    came, went = profile.came, profile.went
    moves = came.moves + went.moves + came.tokens + went.tokens
    span = profile.last - profile.first
    return [
        *_half(came),
        *_half(went),
        math.log10(1 + moves),
        _share(came.moves, came.moves + went.moves),
        float(profile.created),
        _share(profile.bursts, moves),
        _share(profile.quick, went.moves),
        _share(profile.drains, went.value.count),
        _share(profile.balance, profile.peak),
        _share(went.total, came.total),
        *profile.delay.told()[:3],
        *profile.gap.told(),
        math.log10(1 + span),
        profile.hours.count,
        profile.days.count,
        _share(profile.days.count, 1 + span / DAY_S),
        math.log10(1 + profile.tokens.count),
        math.log10(1 + profile.peers.count),
        _share((came.peers.bits & went.peers.bits).bit_count(), (came.peers.bits | went.peers.bits).bit_count()),
        _share(math.hypot(profile.sine, profile.cosine), moves),
    ]
