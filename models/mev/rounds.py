"""Round trips around others: a front leg, one or more victims in its direction, a back leg the other way, in one pool.

Front and back are made by the same one; `models.mev.legs` says who that is. One walk over a pool's legs finds them all:
each leg is tried as the back of open fronts by its actors, and one that closes nothing may be a front itself.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from models.mev.legs import Direction, Leg, Legs

MATCH = 50
"""Amounts match when they differ by at most 1/50: fee-on-transfer tokens and packed amounts take a little."""


@dataclass(slots=True)
class Round:
    """The legs of one round in one pool, each list in block order."""

    pool: str
    fronts: list[Leg]
    victims: list[Leg]
    backs: list[Leg]


@dataclass(slots=True)
class _Open:
    """A leg that may be a front, and how much of what it bought has not been sold again (None: unknown)."""

    leg: Leg
    left: int | None
    round_: Round | None = None
    closed: bool = False


def find_rounds(legs: Legs) -> list[list[Round]]:
    """Bundles in order of their first front: rounds over all pools that have a front and a back in common."""
    found = [one for pool in sorted(legs.by_pool) for one in _Pool(legs.by_pool[pool], legs.shared).rounds()]
    return sorted(_bundled(found), key=lambda bundle: min(leg.position for one in bundle for leg in one.fronts))


def matches(one: int | None, other: int | None) -> bool:
    """Whether two known, positive amounts are the same but for 1/`MATCH`."""
    if one is None or other is None or min(one, other) <= 0:
        return False
    return abs(one - other) * MATCH <= max(one, other)


class _Pool:
    """One pool's legs in block order."""

    def __init__(self, legs: list[Leg], shared: frozenset[str]) -> None:
        self._legs = legs
        self._shared = shared
        self._ways: dict[Direction, list[Leg]] = defaultdict(list)
        self._places: dict[Direction, list[int]] = defaultdict(list)
        for leg in legs:
            self._ways[leg.direction].append(leg)
            self._places[leg.direction].append(leg.position)
        self._open: dict[tuple[Direction, str], list[_Open]] = defaultdict(list)

    def rounds(self) -> list[Round]:
        found: list[Round] = []
        for leg in self._legs:
            fronts = self._fronts(leg)
            round_ = self._round(leg, fronts) if fronts else None
            if round_ is not None and all(round_ is not one for one in found[-1:]):
                found.append(round_)
            excess = self._unwind(leg, fronts, round_)
            if excess is None or excess > 0:
                opened = _Open(leg, leg.amount_out)
                for actor in leg.actors:
                    self._open[leg.direction, actor].append(opened)
        return found

    def _fronts(self, back: Leg) -> list[_Open]:
        """The open legs that `back` may close, in block order."""
        opposite = (back.direction[1], back.direction[0])
        linked: dict[int, _Open] = {}
        for actor in back.actors:
            held = self._open.get((opposite, actor))
            if held is None:
                continue
            held[:] = [one for one in held if not one.closed]
            for one in held:
                front = one.leg
                own = (front.actors & back.actors) - self._shared
                closes = matches(front.amount_out, back.amount_in) or matches(front.amount_in, back.amount_out)
                if front.position < back.position and (own or closes):
                    linked[front.position] = one
        return [linked[position] for position in sorted(linked)]

    def _round(self, back: Leg, fronts: list[_Open]) -> Round | None:
        """What lies between `fronts` and `back`, or None where nobody does."""
        direction = fronts[0].leg.direction
        places = self._places[direction]
        between = self._ways[direction][
            bisect_right(places, fronts[0].leg.position) : bisect_left(places, back.position)
        ]
        own = frozenset(back.actors.union(*(one.leg.actors for one in fronts))) - self._shared
        victims = [leg for leg in between if not leg.actors & own]
        if not victims:
            return None
        before = [one for one in fronts if one.leg.position < victims[-1].position]
        known = next((one.round_ for one in before if one.round_ is not None), None)
        round_ = known or Round(back.pool, [], [], [])
        round_.fronts = _united(round_.fronts, [one.leg for one in before])
        round_.victims = _united(round_.victims, victims)
        round_.backs = _united(round_.backs, [back])
        for one in before:
            one.round_ = round_
        return round_

    def _unwind(self, back: Leg, fronts: list[_Open], round_: Round | None) -> int | None:
        """Take what `back` sold off `fronts`; how much it sold beyond them, None where it closed none.

        With victims, half of what was open is enough to close: bots keep some. Without, only a full round trip is.
        """
        if not fronts:
            return None
        open_amounts = [one.left for one in fronts]
        total = sum(left for left in open_amounts if left is not None)
        sold = back.amount_in
        if sold is None or None in open_amounts:
            for one in fronts:
                one.closed = round_ is not None
            return None if round_ is None else 0
        if round_ is None and not matches(sold, total):
            return None
        if round_ is not None and sold * 2 < total:
            for one in fronts:
                taken = min(sold, one.left or 0)
                one.left = (one.left or 0) - taken
                sold -= taken
            return 0
        for one in fronts:
            one.closed = True
        return sold - total if sold > 2 * total else 0


def _united(held: list[Leg], more: Sequence[Leg]) -> list[Leg]:
    """Both lists' legs once each, in block order."""
    by_place = {leg.position: leg for leg in (*held, *more)}
    return [by_place[position] for position in sorted(by_place)]


def _bundled(found: list[Round]) -> list[list[Round]]:
    """Group rounds that have a front and a back in common, over all pools."""
    group_of: dict[tuple[str, str], list[Round]] = {}
    groups: list[list[Round]] = []
    for one in found:
        pairs = [(front.transaction, back.transaction) for front in one.fronts for back in one.backs]
        held: list[list[Round]] = []
        for pair in pairs:
            group = group_of.get(pair)
            if group is not None and all(group is not other for other in held):
                held.append(group)
        merged = [one] if not held else held[0]
        if held:
            merged.append(one)
            for other in held[1:]:
                merged.extend(other)
                groups = [group for group in groups if group is not other]
                for key, group in group_of.items():
                    if group is other:
                        group_of[key] = merged
        else:
            groups.append(merged)
        for pair in pairs:
            group_of[pair] = merged
    return groups
