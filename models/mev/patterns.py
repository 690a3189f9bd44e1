"""What amounts, times and prices of transactions allow where the swaps themselves are not known.

A pattern is weak evidence, and its score says so: it stays below 0.5 unless the senders are told. Two transactions are front and
back of a third where they are linked, by one sender or by amounts that match, and one came before it and one after. An amount that
many have links nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from models.mev.asked import Asked, before
from models.mev.rounds import MATCH
from models.mev.routers import ROUTERS

MODEL = "mev-patterns/1"
MOST_ALIKE = 3
"""An amount that more transactions have links nothing: people like round ones."""
UNSIGNED, SIGNED = 0.45, 0.75
"""The most a pattern is worth without and with the senders."""
COPIED_DIGITS = 3
"""Significant digits of an amount that nobody has twice by chance."""

Role = Literal["front", "victim", "back"]


@dataclass(slots=True)
class Pattern:
    """What may have happened, in words and weighed."""

    kind: Literal["sandwich", "frontrun"]
    roles: dict[Role, Asked]
    score: float = 0.1
    most: float = UNSIGNED
    facts: list[str] = field(default_factory=list)

    def add(self, weight: float, fact: str) -> None:
        """Count a fact in."""
        self.score += weight
        self.facts.append(fact)

    @property
    def confidence(self) -> float:
        """A rule's score, no probability."""
        return round(min(self.score, self.most), 2)


def best(asked: Sequence[Asked]) -> Pattern | None:
    """The likeliest pattern that the first of `asked`, the target, is part of."""
    target = asked[0]
    others = [one for one in asked[1:] if one.key != target.key]
    found = [*_sandwiches(target, others), *_copied(target, others)]
    return max(found, key=lambda one: one.confidence, default=None)


def _sandwiches(target: Asked, others: list[Asked]) -> Iterator[Pattern]:
    alike = _Alike([target, *others])
    earlier = [one for one in others if not _is(before(target, one))]
    later = [one for one in others if not _is(before(one, target))]
    behind = _Alike(later)
    for front in earlier:
        for back in behind.linked(front, alike):
            if back is not front:
                yield from _sandwich(front, target, back)
    # The target may be one of the two legs; anyone between is its victim.
    for back in behind.linked(target, alike):
        for victim in later:
            yield from _sandwich(target, victim, back)
    for front in _Alike(earlier).linked(target, alike):
        for victim in earlier:
            yield from _sandwich(front, victim, target)


def _sandwich(front: Asked, victim: Asked, back: Asked) -> Iterator[Pattern]:
    """The pattern that these three make, unless something told speaks against it."""
    if len({front.key, victim.key, back.key}) < 3 or not _fit(front, victim, back):
        return
    first, second = before(front, victim), before(victim, back)
    if (first and not first[0]) or (second and not second[0]):
        return
    told = Pattern("sandwich", {"front": front, "victim": victim, "back": back})
    if front.sender is not None and front.sender == back.sender:
        told.add(0.3, f"front and back were sent by one address, {front.sender}")
        told.most = SIGNED if victim.sender is not None else UNSIGNED
    elif _one_contract(front, victim, back):
        told.add(0.2, f"front and back called one contract, {front.called}")
    if (alike := _amounts(front, back)) is not None:
        told.add(0.15, f"front and back match in amount within {100 // MATCH} %: {alike[0]:f} and {alike[1]:f}")
    if first and second and "gas prices" not in (first[1], second[1]):
        told.add(
            0.1, f"one stood before and one behind the third, by their {' and '.join(sorted({first[1], second[1]}))}"
        )
    elif first and second:
        told.add(0.0, "their order is inferred from gas prices alone")
    else:
        told.add(0.0, "nothing tells their order: it is one only if front, victim and back stood in this order")
    if front.gas is not None and victim.gas is not None and front.gas > victim.gas:
        told.add(0.05, f"the front paid more for gas than the victim: {front.gas:f} and {victim.gas:f} gwei")
    if front.pool is not None and front.pool == victim.pool == back.pool:
        told.add(0.1, "all three traded in one pool")
    if front.direction and victim.direction and back.direction:
        told.add(0.15, "front and victim sold the same token, and the back bought it")
    yield told


def _fit(front: Asked, victim: Asked, back: Asked) -> bool:
    """Whether what is told of pools, directions and addresses does not speak against it."""
    pools = {one.pool for one in (front, victim, back)} - {None}
    if len(pools) > 1:
        return False
    if front.direction and victim.direction and front.direction != victim.direction:
        return False
    if front.direction and back.direction and front.direction != back.direction[::-1]:
        return False
    if victim.direction and back.direction and victim.direction != back.direction[::-1]:
        return False
    if victim.sender is not None and victim.sender in (front.sender, back.sender):
        return False
    if front.sender is None or back.sender is None or front.sender == back.sender:
        return True
    return _one_contract(front, victim, back)


def _one_contract(front: Asked, victim: Asked, back: Asked) -> bool:
    """Whether the legs went through a contract that is not everybody's."""
    called = front.called
    return called is not None and called == back.called and called != victim.called and called not in ROUTERS


def _copied(target: Asked, others: list[Asked]) -> Iterator[Pattern]:
    """Somebody who made the target's trade just before it, and paid more for gas to be there."""
    for front in others:
        order = before(front, target)
        if order is None or not order[0] or order[1] == "gas prices":
            continue
        if front.amount is None or front.amount != target.amount or _digits(front.amount) < COPIED_DIGITS:
            continue
        if front.gas is None or target.gas is None or front.gas <= target.gas:
            continue
        if front.sender is not None and front.sender == target.sender:
            continue
        if (front.pool and target.pool and front.pool != target.pool) or (
            front.direction and target.direction and front.direction != target.direction
        ):
            continue
        told = Pattern("frontrun", {"front": front, "victim": target})
        told.add(
            0.1, f"another transaction of the very same amount, {front.amount:f}, stood before it, by their {order[1]}"
        )
        told.add(0.1, f"it paid more for gas: {front.gas:f} and {target.gas:f} gwei")
        if front.direction and target.direction:
            told.add(0.05, "both sold the same token")
        yield told


def _is(order: tuple[bool, str] | None) -> bool:
    return order is not None and order[0]


def _amounts(front: Asked, back: Asked) -> tuple[Decimal, Decimal] | None:
    """The two amounts of one token by which the legs match: bought and sold again where tokens are told, else as they stand."""
    if front.direction and back.direction:
        pairs = [(front.amount_out, back.amount), (front.amount, back.amount_out)]
    else:
        pairs = [(front.amount, back.amount)]
    for one, other in pairs:
        if (
            one is not None
            and other is not None
            and min(one, other) > 0
            and abs(one - other) * MATCH <= max(one, other)
        ):
            return one, other
    return None


def _digits(amount: Decimal) -> int:
    return len(amount.normalize().as_tuple().digits)


class _Alike:
    """Transactions by amount and by sender."""

    def __init__(self, asked: Sequence[Asked]) -> None:
        told = {(amount, one.place): one for one in asked for amount in _positive(one)}
        self._sorted = sorted(told)
        self._amounts = [amount for amount, _ in self._sorted]
        self._told = told
        self._by_sender: dict[str, list[Asked]] = {}
        for one in asked:
            if one.sender is not None:
                self._by_sender.setdefault(one.sender, []).append(one)

    def _range(self, amount: Decimal) -> tuple[int, int]:
        """Where the amounts stand that are this one but for 1/MATCH."""
        low, high = amount * (MATCH - 1) / MATCH, amount * MATCH / (MATCH - 1)
        return bisect_left(self._amounts, low), bisect_right(self._amounts, high)

    def linked(self, leg: Asked, everybody: _Alike) -> list[Asked]:
        """Those that may be the other leg, by their sender or by an amount that few of `everybody` have; a few at most."""
        of_sender = self._by_sender.get(leg.sender or "", [])
        # Of a busy sender those that stand next to it in the question will do.
        at = bisect_left(of_sender, leg.place, key=lambda one: one.place)
        found = {one.place: one for one in of_sender[max(0, at - MOST_ALIKE) : at + MOST_ALIKE]}
        for amount in _positive(leg):
            start, end = everybody._range(amount)
            if end - start <= MOST_ALIKE:
                start, end = self._range(amount)
                among = (self._told[key] for key in self._sorted[start:end])
                found |= {one.place: one for one in among if _amounts(leg, one) is not None}
        return [one for one in found.values() if one.key != leg.key]


def _positive(one: Asked) -> set[Decimal]:
    return {amount for amount in (one.amount, one.amount_out) if amount is not None and amount > 0}
