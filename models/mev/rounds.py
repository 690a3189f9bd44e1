"""Round trips around others: a front leg, one or more victims in its direction, a back leg the other way, in one pool.

Front and back are made by the same one; `models.mev.legs` says who that is. One walk over a pool's legs finds them all:
each leg is tried as the back of open fronts by its actors, and one that closes nothing may be a front itself.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from models.mev.amounts import matches
from models.mev.legs import Direction, Leg, Legs

MATCH = 50
"""Amounts match when they differ by at most 1/50: fee-on-transfer tokens and packed amounts take a little."""
MAX_OPEN = 64
"""So many open fronts are kept of one actor in one pool and direction; it bounds the work that a strange block can cause."""
MOST_LOOKED_AT = 2**18
"""So many legs of a block are looked at as victims, over all attackers: more than a block holds, so that one finds all its own.
It bounds what many attackers around each other can cause, who all have the same victims."""


@dataclass(slots=True)
class Round:
    """The legs of one round in one pool, each list in block order."""

    pool: str
    fronts: list[Leg]
    victims: list[Leg]
    backs: list[Leg]


@dataclass(slots=True)
class _Room:
    """How many legs of the block may still be looked at as victims."""

    left: int


@dataclass(slots=True)
class _Open:
    """A leg that may be a front, and how much of what it bought has not been sold again (None: unknown)."""

    leg: Leg
    left: int | None
    round_: Round | None = None
    closed: bool = False


def find_rounds(legs: Legs) -> list[list[Round]]:
    """The rounds of a block as bundles, in order of their first front."""
    found: list[Round] = []
    room = _Room(MOST_LOOKED_AT)
    for pool in sorted(legs.by_pool):
        own, adds = legs.by_pool[pool], legs.adds.get(pool, [])
        # A way in, a way out, and somebody between.
        if len(own) > 1 and len(own) + len(adds) > 2 and len({leg.direction for leg in own}) > 1:
            found += _Pool(own, adds, legs.shared, room).rounds()
    return bundles(found)


def bundles(found: Sequence[Round]) -> list[list[Round]]:
    """Rounds over all pools that have a front and a back in common, in order of their first front."""
    return sorted(_bundled(found), key=lambda bundle: _place(bundle[0]))


def _place(one: Round) -> tuple[int, int, str, Direction]:
    """Where a round stands among those of its block; no two stand in the same place."""
    return one.fronts[0].position, one.backs[-1].position, one.pool, one.fronts[0].direction


def _position(leg: Leg) -> int:
    return leg.position


def same(one: int | None, other: int | None) -> bool:
    """Whether two amounts are the same but for 1/`MATCH`."""
    return matches(one, other, MATCH)


class _Pool:
    """One pool's legs in block order."""

    def __init__(self, legs: list[Leg], adds: list[Leg], shared: frozenset[str], room: _Room) -> None:
        self._legs = legs
        self._adds = adds
        self._shared = shared
        self._room = room
        self._ways: dict[Direction, list[Leg]] = defaultdict(list)
        self._places: dict[Direction, list[int]] = defaultdict(list)
        for leg in legs:
            self._ways[leg.direction].append(leg)
            self._places[leg.direction].append(leg.position)
        self._open: dict[tuple[Direction, str], deque[_Open]] = defaultdict(lambda: deque(maxlen=MAX_OPEN))
        self._found: list[Round] = []

    def rounds(self) -> list[Round]:
        for leg in self._legs:
            fronts = self._fronts(leg)
            round_ = self._round(leg, fronts) if fronts else None
            beyond = self._unwind(leg, fronts, round_)
            if beyond is None or beyond > 0:
                left = leg.amount_out
                if beyond and leg.amount_in and left is not None:
                    left = left * beyond // leg.amount_in
                opened = _Open(leg, left)
                for actor in leg.actors:
                    self._open[leg.direction, actor].append(opened)
        return self._found

    def _fronts(self, back: Leg) -> list[_Open]:
        """The open legs that `back` may close, in block order."""
        opposite = (back.direction[1], back.direction[0])
        linked: dict[int, _Open] = {}
        for actor in back.actors:
            for one in self._open.get((opposite, actor), ()):
                if one.closed:
                    continue
                front = one.leg
                own = front.alike(back) - self._shared
                closes = same(front.amount_out, back.amount_in) or same(front.amount_in, back.amount_out)
                if front.position < back.position and (own or closes):
                    linked[front.position] = one
        return [linked[position] for position in sorted(linked)]

    def _round(self, back: Leg, fronts: list[_Open]) -> Round | None:
        """What lies between `fronts` and `back`, or None where nobody does."""
        known = fronts[0].round_
        if known is None or any(one.round_ is not known for one in fronts):
            return self._widened(back, fronts)
        # One more back for the same fronts: what lies before the last one is in the round already.
        known.victims += self._victims(back, fronts, max(known.backs[-1].position, known.victims[-1].position))
        known.backs.append(back)
        return known

    def _widened(self, back: Leg, fronts: list[_Open]) -> Round | None:
        """A round of `fronts` and `back`, together with what any of them is part of already."""
        victims = self._victims(back, fronts, fronts[0].leg.position)
        if not victims:
            return None
        before = [one for one in fronts if one.leg.position < victims[-1].position]
        known = next((one.round_ for one in before if one.round_ is not None), None)
        round_ = known or Round(back.pool, [], [], [])
        if known is None:
            self._found.append(round_)
        round_.fronts = _united(round_.fronts, [one.leg for one in before])
        round_.victims = _united(round_.victims, victims)
        round_.backs = _united(round_.backs, [back])
        for one in before:
            one.round_ = round_
        return round_

    def _victims(self, back: Leg, fronts: list[_Open], after: int) -> list[Leg]:
        """The legs of others in the fronts' direction between transaction `after` and `back`; none where there is no room left."""
        direction = fronts[0].leg.direction
        places = self._places[direction]
        start, end = bisect_right(places, after), bisect_left(places, back.position)
        looked_at = max(0, end - start) + len(self._adds)
        if looked_at > self._room.left:
            return []
        self._room.left -= looked_at
        between = self._ways[direction][start:end]
        own = [back, *(one.leg for one in fronts)]
        senders = {leg.sender for leg in own if leg.sender}
        shared = frozenset.union(*(one.leg.actors & back.actors for one in fronts)) - self._shared
        adds = [
            leg
            for leg in self._adds
            if after < leg.position < back.position and direction[0] in (leg.added or direction)
        ]
        return [
            leg
            for leg in sorted((*between, *adds), key=_position)
            if not leg.actors & senders and not any(leg.alike(one) & shared for one in own)
        ]

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
        if round_ is None and not same(sold, total):
            return None
        if round_ is not None and sold * 2 < total:
            for one, left in zip(fronts, open_amounts, strict=True):
                taken = min(sold, left or 0)
                one.left = (left or 0) - taken
                one.closed = one.left <= 0
                sold -= taken
            return 0
        for one in fronts:
            one.closed = True
        return sold - total if sold > 2 * total else 0


def _united(held: list[Leg], more: Sequence[Leg]) -> list[Leg]:
    """Both lists' legs once each, in block order."""
    by_place = {leg.position: leg for leg in (*held, *more)}
    return [by_place[position] for position in sorted(by_place)]


def _bundled(found: Sequence[Round]) -> list[list[Round]]:
    """Group rounds that have a front and a back in common, over all pools, until no two groups have."""
    groups = [[one] for one in found]
    while True:
        owner: dict[tuple[str, str], list[Round]] = {}
        kept: list[list[Round]] = []
        for group in groups:
            fronts = {leg.transaction for one in group for leg in one.fronts}
            pairs = [(front, leg.transaction) for front in fronts for one in group for leg in one.backs]
            other = next((owner[pair] for pair in pairs if pair in owner), None)
            if other is None:
                kept.append(group)
            else:
                other.extend(group)
            for pair in pairs:
                owner.setdefault(pair, group if other is None else other)
        if len(kept) == len(groups):
            return [sorted(group, key=_place) for group in kept]
        groups = kept
