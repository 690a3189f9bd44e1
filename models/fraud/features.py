"""What a model sees of profiles, by one definition for training and serving: numbers that tell of behaviour and not of the era."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

import numpy as np

from models.fraud.profile import DAY_S, Half, Profile, distinct
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

_MOMENTS = ("count", "mean", "squares", "low", "high")
_COUNTS = (
    "moves", "failed", "zero", "calls", "plain", "round_limit", "sent_tokens", "approvals", "known", "famous", "tenths",
    "hundredths", "again", "fresh", "total", "tokens", "empty_tokens",
)  # fmt: skip
_OF_HALF = {
    "value": 5, "digits": 4, "gap": 4, "gas_limit": 5, "gas_share": 3, "gas_price": 5, "price_digits": 3, "fame": 5,
    "token_fame": 3, "coin_fame": 3,
}  # fmt: skip
"""Moments, and how many of their numbers are needed."""


def _names(counts: Sequence[str], moments: dict[str, int], seen: Sequence[str]) -> tuple[str, ...]:
    return (*counts, *(f"{name}.{part}" for name, many in moments.items() for part in _MOMENTS[:many]), *seen)


_HALF_NAMES = _names(_COUNTS, _OF_HALF, ("peers", "selectors", "token_peers"))
_OWN_NAMES = _names(
    ("first", "last", "created", "bursts", "quick", "drains", "balance", "peak", "sine", "cosine"),
    {"delay": 4, "gap": 5},
    ("hours", "days", "tokens", "peers", "both_ways"),
)
_HALF_PLACES = {name: place for place, name in enumerate(_HALF_NAMES)}
_OWN_PLACES = {name: place for place, name in enumerate(_OWN_NAMES)}
_half_numbers: Callable[[Half], tuple[float, ...]] = attrgetter(*_HALF_NAMES[:-3])
_own_numbers: Callable[[Profile], tuple[float, ...]] = attrgetter(*_OWN_NAMES[:-5])
_EMPTY = array("d", bytes(8 * len(_HALF_NAMES)))
NUMBERS = 2 * len(_HALF_NAMES) + len(_OWN_NAMES)


def numbers(profile: Profile) -> array[float]:
    """The `NUMBERS` of a profile that features are made of: what is asked of it at once, since it may change then."""
    came, went = profile.came, profile.went
    found = _of_half(came) + _of_half(went)
    found.extend(_own_numbers(profile))
    either = (came.peers | went.peers).bit_count()
    found.extend(
        (
            distinct(profile.hours),
            distinct(profile.days),
            distinct(profile.tokens),
            distinct(profile.peers),
            (came.peers & went.peers).bit_count() / either if either else np.nan,
        )
    )
    return found


def _of_half(half: Half) -> array[float]:
    if not half.moves and not half.tokens:
        return _EMPTY
    found = array("d", _half_numbers(half))
    found.extend((distinct(half.peers), distinct(half.selectors), distinct(half.token_peers)))
    return found


def features(told: array[float]) -> Floats:
    """(profiles, len(FEATURES)): what a model sees of profiles, given the `numbers` of each; NaN where nothing is known."""
    columns = (np.frombuffer(told) if told else np.empty(0)).reshape(-1, NUMBERS).T
    half = len(_HALF_NAMES)
    with np.errstate(divide="ignore", invalid="ignore"):
        came, went = _Numbers(columns[:half], _HALF_PLACES), _Numbers(columns[half : 2 * half], _HALF_PLACES)
        rows = [*_half(came), *_half(went), *_both(_Numbers(columns[2 * half :], _OWN_PLACES), came, went)]
    return np.ascontiguousarray(np.array(rows).T)


def of_all(told: Iterable[array[float] | None]) -> Floats:
    """The same, given the `numbers` of each apart; all NaN where there are none."""
    joined, there = array("d"), []
    for one in told:
        there.append(one is not None)
        if one is not None:
            joined += one
    found = np.full((len(there), len(FEATURES)), np.nan)
    found[there] = features(joined)
    return found


def of_profile(profile: Profile) -> list[float]:
    """What a model sees of one profile."""
    found: list[float] = features(numbers(profile))[0].tolist()
    return found


class _Numbers:
    """Numbers of some profiles by name."""

    def __init__(self, columns: Floats, places: dict[str, int]) -> None:
        self._columns, self._places = columns, places

    def __getitem__(self, name: str) -> Floats:
        found: Floats = self._columns[self._places[name]]
        return found

    def told(self, name: str, parts: int = len(_TOLD)) -> list[Floats]:
        """The first of mean, standard deviation, lowest and highest of moments; NaN where nothing was counted."""
        count = self[f"{name}.count"]
        known = np.where(count > 0, 1.0, np.nan)
        spread = np.sqrt(np.maximum(self[f"{name}.squares"], 0.0) / count)
        found = [self[f"{name}.mean"] * known, spread]
        return [*found, *(self[f"{name}.{part}"] * known for part in _TOLD[2:parts])]


def _share(part: Floats, whole: Floats) -> Floats:
    return np.where(whole != 0, part / whole, np.nan)


def _half(half: _Numbers) -> list[Floats]:
    moves, paid = half["moves"], half["value.count"]
    shares = ("failed", "zero", "calls", "plain", "round_limit", "sent_tokens", "approvals", "known", "famous")
    return [
        np.log10(1 + moves),
        *(_share(half[name], moves) for name in shares),
        *(_share(half[name], paid) for name in ("tenths", "hundredths", "again")),
        _share(half["fresh"], moves),
        np.log10(1e-6 + half["total"]),
        np.where(paid > 0, _share(10 ** half["value.high"], half["total"]), np.nan),
        *half.told("value"),
        *half.told("digits", 3),
        *half.told("gap", 3),
        *half.told("gas_limit"),
        *half.told("gas_share", 2),
        *half.told("gas_price"),
        *half.told("price_digits", 2),
        *half.told("fame"),
        np.log10(1 + half["peers"]),
        _share(half["peers"], moves),
        half["selectors"],
        np.log10(1 + half["tokens"]),
        _share(half["empty_tokens"], half["tokens"]),
        *half.told("token_fame", 2),
        *half.told("coin_fame", 2),
        np.log10(1 + half["token_peers"]),
    ]


def _both(own: _Numbers, came: _Numbers, went: _Numbers) -> list[Floats]:
    """Of both sides together."""
    moves = came["moves"] + went["moves"] + came["tokens"] + went["tokens"]
    span = own["last"] - own["first"]
    return [
        np.log10(1 + moves),
        _share(came["moves"], came["moves"] + went["moves"]),
        own["created"],
        _share(own["bursts"], moves),
        _share(own["quick"], went["moves"]),
        _share(own["drains"], went["value.count"]),
        _share(own["balance"], own["peak"]),
        _share(went["total"], came["total"]),
        *own.told("delay", 3),
        *own.told("gap"),
        np.log10(1 + span),
        own["hours"],
        own["days"],
        _share(own["days"], 1 + span / DAY_S),
        np.log10(1 + own["tokens"]),
        np.log10(1 + own["peers"]),
        own["both_ways"],
        _share(np.hypot(own["sine"], own["cosine"]), moves),
    ]
