"""What a model sees of profiles, by one definition for training and serving: numbers that tell of behaviour and not of the era."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from struct import Struct

import numpy as np

from models.fraud import layout
from models.fraud.bitmaps import DISTINCT
from models.fraud.half import NO_TRANSACTIONS, NO_TRANSFERS
from models.fraud.layout import OWN_SEEN, SEEN, TOKENS_SEEN, TRANSACTIONS, TRANSFERS
from models.fraud.profile import DAY_S, Profile, Side
from models.fraud.walk import Floats

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

_HALF_NAMES = (*TRANSACTIONS, *SEEN, *TRANSFERS, *TOKENS_SEEN)
_OWN_NAMES = (*layout.OWN, *OWN_SEEN, "both_ways")
"""Of what `numbers` tells of each half, and of both together."""
_HALF_PLACES = {name: place for place, name in enumerate(_HALF_NAMES)}
_OWN_PLACES = {name: place for place, name in enumerate(_OWN_NAMES)}
AT_ONCE = 512
"""Profiles that are worked on together: they still fit a processor's cache."""
NUMBERS = 2 * len(_HALF_NAMES) + len(_OWN_NAMES)
_TRANSACTIONS_AS, _TRANSFERS_AS = (
    Struct(f"{len((*TRANSACTIONS, *SEEN))}d"),
    Struct(f"{len((*TRANSFERS, *TOKENS_SEEN))}d"),
)
_OWN_AS = Struct(f"{len(_OWN_NAMES)}d")
_SIZE = 8 * NUMBERS


def numbers(profile: Profile) -> array[float]:
    """The `NUMBERS` of a profile that features are made of: what is asked of it at once, since it may change then."""
    found = array("d", bytes(_SIZE))
    _put(profile, found, 0)
    return found


class Told:
    """The `numbers` of many profiles, at most so many, as each was when it was added."""

    def __init__(self, most: int) -> None:
        self._held = bytearray(most * _SIZE)
        self._many = 0

    def add(self, profile: Profile) -> int:
        """Add one; return its place."""
        place = self._many
        _put(profile, self._held, place * _SIZE)
        self._many = place + 1
        return place

    def features(self) -> Floats:
        """Those of all, a row each."""
        return _of_rows(np.frombuffer(self._held, count=self._many * NUMBERS))


def _put(profile: Profile, held: array[float] | bytearray, at: int) -> None:
    """Write numbers where there are zeros."""
    came, went, count = profile.came, profile.went, DISTINCT
    for half in (came, went):
        if half.numbers is not NO_TRANSACTIONS:
            seen = count[half.peers.bit_count()], count[half.selectors.bit_count()]
            _TRANSACTIONS_AS.pack_into(held, at, *half.numbers, *seen)
        at += _TRANSACTIONS_AS.size
        if half.transfers is not NO_TRANSFERS:
            _TRANSFERS_AS.pack_into(held, at, *half.transfers, count[half.token_peers.bit_count()])
        at += _TRANSFERS_AS.size
    either = (came.peers | went.peers).bit_count()
    _OWN_AS.pack_into(
        held,
        at,
        *profile.own,
        count[profile.hours.bit_count()],
        count[profile.days.bit_count()],
        count[profile.tokens.bit_count()],
        count[profile.peers.bit_count()],
        (came.peers & went.peers).bit_count() / either if either else math.nan,
    )


def place(name: str, side: Side | None = None) -> int:
    """Where a number stands among `numbers`: one of a side by its name in `_HALF_NAMES`, else one of both."""
    half = len(_HALF_NAMES)
    return 2 * half + _OWN_PLACES[name] if side is None else side * half + _HALF_PLACES[name]


def features(told: Sequence[array[float]]) -> Floats:
    """(profiles, len(FEATURES)): what a model sees of profiles, given the `numbers` of each; NaN where nothing is known."""
    return _of_rows(np.frombuffer(b"".join(told)))


def _of_rows(told: Floats) -> Floats:
    rows = told.reshape(-1, NUMBERS)
    found = np.empty((len(rows), len(FEATURES)))
    for start in range(0, len(rows), AT_ONCE):
        found[start : start + AT_ONCE] = _features(np.ascontiguousarray(rows[start : start + AT_ONCE].T)).T
    return found


def _features(columns: Floats) -> Floats:
    """(len(FEATURES), profiles), given (NUMBERS, profiles)."""
    many, half = columns.shape[1], len(_HALF_NAMES)
    sides = np.concatenate(
        [columns[:half], columns[half : 2 * half]], axis=1
    )  # both halves as if of twice as many profiles
    own = columns[2 * half :]
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = _half(sides)
        return np.concatenate([seen[:, :many], seen[:, many:], _both(own, sides[:, :many], sides[:, many:])])


def of_all(told: Iterable[array[float] | None]) -> Floats:
    """The same; all NaN where there are none."""
    told = list(told)
    there = [one is not None for one in told]
    found = np.full((len(there), len(FEATURES)), np.nan)
    found[there] = features([one for one in told if one is not None])
    return found


def of_profile(profile: Profile) -> list[float]:
    """What a model sees of one profile."""
    found: list[float] = features([numbers(profile)])[0].tolist()
    return found


class _Told:
    """Which of some numbers are moments, and what of each is told: the first of mean, standard deviation, lowest and highest."""

    def __init__(self, names: Sequence[str], told: dict[str, int]) -> None:
        self.names = tuple(
            f"{name}_{part}" for at, part in enumerate(_TOLD) for name, many in told.items() if many > at
        )
        """Of what `of` gives."""
        parts = {at: [name for name, many in told.items() if many > at] for at in range(len(_TOLD))}
        self._count, self._mean, self._squares = (
            [names.index(f"{name}.{part}") for name in told] for part in ("count", "mean", "squares")
        )
        self._low, self._high = (
            [names.index(f"{name}.{part}") for name in parts[at]] for at, part in ((2, "low"), (3, "high"))
        )
        self._has_low, self._has_high = ([list(told).index(name) for name in parts[at]] for at in (2, 3))

    def of(self, columns: Floats) -> list[Floats]:
        """What is told of the moments of profiles; NaN where nothing was counted."""
        count = columns[self._count]
        known = np.where(count > 0, 1.0, np.nan)
        spread = np.sqrt(np.maximum(columns[self._squares], 0.0) / count)
        low, high = columns[self._low] * known[self._has_low], columns[self._high] * known[self._has_high]
        return [columns[self._mean] * known, spread, low, high]


def _share(part: Floats, whole: Floats) -> Floats:
    return np.where(whole != 0, part / whole, np.nan)


_OF_MOVES = (
    "failed", "zero", "calls", "plain", "round_limit", "sent_tokens", "approvals", "known", "famous", "fresh", "peers",
)  # fmt: skip
_OF_PAID = ("tenths", "hundredths", "again")
_LOGS = ("moves", "peers", "tokens", "token_peers")
_SHARES_OF_MOVES, _SHARES_OF_PAID, _LOGGED = (
    [_HALF_NAMES.index(name) for name in some] for some in (_OF_MOVES, _OF_PAID, _LOGS)
)
_HALF_TOLD = _Told(
    _HALF_NAMES,
    {
        "value": 4, "digits": 3, "gap": 3, "gas_limit": 4, "gas_share": 2, "gas_price": 4, "price_digits": 2, "fame": 4,
        "token_fame": 2, "coin_fame": 2,
    },
)  # fmt: skip
_AS_MADE = (
    *(f"{name}_share" if name == "peers" else name for name in _OF_MOVES), *_OF_PAID, *_LOGS, *_HALF_TOLD.names,
    "total", "largest", "selectors", "empty_tokens",
)  # fmt: skip
_IN_ORDER = [_AS_MADE.index(name) for name in _HALF]


def _half(half: Floats) -> Floats:
    """(len(_HALF), profiles): of one side each."""
    at = _HALF_PLACES
    moves, paid, total, tokens = (half[at[name]] for name in ("moves", "value.count", "total", "tokens"))
    made = [
        _share(half[_SHARES_OF_MOVES], moves),
        _share(half[_SHARES_OF_PAID], paid),
        np.log10(1 + half[_LOGGED]),
        *_HALF_TOLD.of(half),
        np.array(
            [
                np.log10(1e-6 + total),
                np.where(paid > 0, _share(10 ** half[at["value.high"]], total), np.nan),
                half[at["selectors"]],
                _share(half[at["empty_tokens"]], tokens),
            ]
        ),
    ]
    found: Floats = np.concatenate(made)[_IN_ORDER]
    return found


_OWN_TOLD = _Told(_OWN_NAMES, {"pause": 4, "delay": 3})
_GAP_AND_DELAY = [
    _OWN_TOLD.names.index(f"{name}_{part}") for name, many in (("delay", 3), ("pause", 4)) for part in _TOLD[:many]
]


def _both(own: Floats, came: Floats, went: Floats) -> Floats:
    """Of both sides together."""
    at, side = _OWN_PLACES, _HALF_PLACES
    moves_in, moves_out = came[side["moves"]], went[side["moves"]]
    moves = moves_in + moves_out + came[side["tokens"]] + went[side["tokens"]]
    span, days = own[at["latest"]] - own[at["first"]], own[at["days"]]
    parts = [moves_in, own[at["bursts"]], own[at["quick"]], own[at["drains"]], own[at["balance"]], went[side["total"]]]
    wholes = [moves_in + moves_out, moves, moves_out, went[side["value.count"]], own[at["peak"]], came[side["total"]]]
    in_share, *shares = _share(np.array(parts), np.array(wholes))
    log_moves, log_span, log_tokens, log_peers = np.log10(
        1 + np.array([moves, span, own[at["tokens"]], own[at["peers"]]])
    )
    told = np.concatenate(_OWN_TOLD.of(own))[_GAP_AND_DELAY]
    days_share = _share(days, 1 + span / DAY_S)
    focus = _share(np.hypot(own[at["sine"]], own[at["cosine"]]), moves)
    first: list[Floats] = [log_moves, in_share, own[at["created"]], *shares]
    last: list[Floats] = [
        log_span,
        own[at["hours"]],
        days,
        days_share,
        log_tokens,
        log_peers,
        own[at["both_ways"]],
        focus,
    ]
    return np.concatenate([np.array(first), told, np.array(last)])
