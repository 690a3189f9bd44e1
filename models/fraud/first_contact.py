"""First contact and the first move: a wallet of which nothing is known but one swap request, or one move.

By a request it is judged as a wallet of one move whose gas nobody knows. What that scores is no measure for wallets of many moves,
nor the other way round, and who is paid is seen otherwise than who pays: so each side has cuts of its own, from single transactions
of ordinary accounts that the scoring model has not seen; apart for a request, and for a move, whose gas is known. The risk is the
probability laid on the scale of wallets that are known by more.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.fraud.features import numbers, of_all, place
from models.fraud.half import digits, mark
from models.fraud.layout import MOVES, TOKENS
from models.fraud.profile import CALLED, DAY_S, IN, OUT, WEI, Move, Profile, Side, hand_of_clock
from models.fraud.walk import Floats

BUDGETS = (0.05, 0.01, 0.001)
"""Which part of ordinary wallets may reach medium, high and critical."""


def profile(side: Side, created: bool, value: int, time: int, call: bool, fame: float) -> Profile:
    """What a request says of one of its ends: `value` wei moved at `time`, to or from somebody unless `created`."""
    found = Profile()
    found.move(
        Move(
            time=time,
            side=side,
            peer=None if created else 0,
            value=value,
            gas_limit=None,
            gas_used=None,
            gas_price=None,  # against the market of its day, which a request does not tell
            price_digits=0,
            selector=CALLED if call else "0x",
            failed=False,
            fame=fame,
        )
    )
    return found


_TIMES = [(place("first"), place("latest"), place("last", side)) for side in (IN, OUT)]
_CLOCK = place("sine"), place("cosine")
_HELD = (place("balance"), place("peak"))
_VALUES, _DIGITS, _TENTHS, _HUNDREDTHS, _TOTAL, _LAST = (
    [tuple(place(name, side) for name in names) for side in (IN, OUT)]
    for names in (
        ("value.mean", "value.low", "value.high"),
        ("digits.mean", "digits.low", "digits.high"),
        ("tenths",),
        ("hundredths",),
        ("total",),
        ("last_value",),
    )
)


def requested(side: Side, created: bool, value: int, time: int, call: bool, fame: float) -> array[float]:
    """The `numbers` of that `profile`, several times as fast: most are the same whatever its value and time are."""
    found = _alike(side, created, value > 0, call, fame)[:]
    _put(found, _TIMES[side], time)
    for at, part in zip(_CLOCK, hand_of_clock(time % DAY_S), strict=True):
        found[at] = part
    if value:
        ether = value / WEI
        _put(found, _VALUES[side], log10(ether))
        _put(found, _DIGITS[side], digits(value))
        _put(found, _TENTHS[side], value % 10**17 == 0)
        _put(found, _HUNDREDTHS[side], value % 10**16 == 0)
        _put(found, _TOTAL[side], ether)
        _put(found, _LAST[side], mark(value))
        if side == IN:
            _put(found, _HELD, ether)
    return found


def _put(found: array[float], places: Sequence[int], number: float) -> None:
    for at in places:
        found[at] = number


@lru_cache(maxsize=4096)
def _alike(side: Side, created: bool, paid: bool, call: bool, fame: float) -> array[float]:
    return numbers(profile(side, created, int(paid), 0, call, fame))


def as_requested(move: Move) -> Profile:
    """What a request for this move would have said."""
    return profile(move.side, move.peer is None, move.value, move.time, move.selector != "0x", move.fame)


def vectors(moves: Sequence[Move | None]) -> Floats:
    """What a model sees of requests for these moves, (moves, FEATURES); all NaN where there is none."""
    return of_all(None if move is None else numbers(as_requested(move)) for move in moves)


def cuts(probability: Floats) -> Floats:
    """The probabilities, (3,), that so many of these ordinary wallets reach at most as `BUDGETS` says.

    Many wallets of one move look alike and score the same: a cut never lets more through because of that.
    """
    values = np.unique(probability)
    many = len(probability)
    if not many:
        return np.ones(len(BUDGETS))
    reached = many - np.searchsorted(np.sort(probability), values, side="left")
    found = []
    for budget in BUDGETS:
        fit = np.flatnonzero(reached <= budget * many + 1e-9)
        found.append(values[fit[0]] if len(fit) else np.nextafter(values[-1], np.inf))
    return np.array(found)


def fit(asked: Mapping[Side, Floats], moved: Mapping[Side, Floats]) -> dict[str, NDArray[Any]]:
    """As a release holds it: what unseen models say of ordinary wallets on each side by a request, and by one move.

    NaN where there was none.
    """
    return {
        name: np.array([cuts(one[~np.isnan(one)]) for one in (told[IN], told[OUT])])
        for name, told in (("first_cuts", asked), ("single_cuts", moved))
    }


def only_side(profile: Profile) -> Side | None:
    """On which side the only move of a profile is; None where it has more, or none."""
    came, went = profile.came, profile.went
    many = came.numbers[MOVES] + came.transfers[TOKENS], went.numbers[MOVES] + went.transfers[TOKENS]
    return None if sum(many) != 1.0 else IN if many[IN] else OUT


def risk(probability: float, first_cuts: Sequence[float], known_cuts: Sequence[float]) -> float:
    """A probability on the scale of wallets that are known: at the cut of a level there where it is at the one here."""
    at, to = (0.0, *first_cuts, max(1.0, first_cuts[-1])), (0.0, *known_cuts, 1.0)
    place = min(bisect_right(at, probability), len(at) - 1)
    low, high = at[place - 1], at[place]
    along = (probability - low) / (high - low) if high > low else 1.0
    return to[place - 1] + along * (to[place] - to[place - 1])
