"""Sandwiches: someone trades before others and back after them, in the same pool, and they pay the difference.

A bundle is one finding: all rounds (`models.mev.rounds`) with a front and a back transaction in common, over all pools.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from models.mev.base import Case, Fact, make
from models.mev.legs import Leg, read_legs
from models.mev.loss import victim_losses
from models.mev.rounds import Round, find_rounds, same
from models.mev.view import View
from topics.schemas.mev import Finding

MODEL = "sandwich/2"


def detect(view: View, found: Sequence[Finding]) -> list[Finding]:
    """The sandwiches of a block as findings, in order of their first front."""
    return [make(view, case_of(view, bundle)) for bundle in find_rounds(read_legs(view))]


def case_of(view: View, bundle: list[Round]) -> Case:
    """What is to say of one bundle. Its name is that of its first front and last back: no other has both."""
    front = _hashes(leg for one in bundle for leg in one.fronts)
    back = _hashes(leg for one in bundle for leg in one.backs)
    own = {*front, *back}
    gains = profit(bundle)
    losses = [loss for one in bundle for loss in victim_losses(view.histories[one.pool], one.pool, own, one.victims)]
    return Case(
        kind="sandwich",
        name=f"{front[0]}:{back[-1]}",
        own=view.in_order([*front, *back]),
        front=front,
        victims=_hashes(leg for one in bundle for leg in one.victims),
        back=back,
        attackers=_attackers(bundle),
        pools=(one.pool for one in bundle),
        protocols=(leg.protocol for one in bundle for leg in one.fronts),
        profit=gains,
        losses=losses,
        facts=judge(bundle, gains),
        model=MODEL,
    )


def judge(bundle: list[Round], gains: dict[str, int]) -> list[Fact]:
    """What speaks for a bundle."""
    fronts = [leg for one in bundle for leg in one.fronts]
    backs = [leg for one in bundle for leg in one.backs]
    facts: list[Fact] = []
    senders = {leg.sender for leg in (*fronts, *backs)}
    if len(senders) == 1 and None not in senders:
        facts.append(Fact("same_sender", 0.2))
    elif frozenset.intersection(*(leg.actors for leg in (*fronts, *backs))):
        facts.append(Fact("same_contract", 0.15))
    if any(_closes(one) for one in bundle):
        facts.append(Fact("position_closed", 0.15))
    if gains and min(gains.values()) > 0:
        facts.append(Fact("profit_in_every_token", 0.15))
    elif gains and max(gains.values()) > 0:
        facts.append(Fact("profit_in_some_token", 0.05))
    return facts


def _closes(one: Round) -> bool:
    """Whether the round ends where it began in one of its two tokens."""
    sums = [
        [None if any(amount is None for amount in side) else sum(amount or 0 for amount in side)]
        for side in (
            [leg.amount_out for leg in one.fronts],
            [leg.amount_in for leg in one.backs],
            [leg.amount_in for leg in one.fronts],
            [leg.amount_out for leg in one.backs],
        )
    ]
    bought, sold, paid, got = (total[0] for total in sums)
    return same(bought, sold) or same(paid, got)


def _hashes(legs: Iterable[Leg]) -> list[str]:
    """The legs' transactions once each, in block order."""
    return [hash for _, hash in sorted({(leg.position, leg.transaction) for leg in legs})]


def _attackers(bundle: list[Round]) -> list[str]:
    """The senders of fronts and backs, then the other addresses that all of them have in common."""
    legs = [leg for one in bundle for leg in (*one.fronts, *one.backs)]
    senders = {leg.sender for leg in legs if leg.sender}
    common = frozenset.intersection(*(leg.actors for leg in legs))
    return [*sorted(senders), *sorted(common - senders)]


def profit(bundle: list[Round]) -> dict[str, int]:
    """What the bundle's own legs left the attacker with, before gas, by token, the one it began with first.

    Base units. Empty where a leg's amount is unknown.
    """
    net: dict[str, int] = {}
    for one in bundle:
        for leg in (*one.fronts, *one.backs):
            if leg.amount_in is None or leg.amount_out is None:
                return {}
            sold, bought = leg.direction
            net[sold] = net.get(sold, 0) - leg.amount_in
            net[bought] = net.get(bought, 0) + leg.amount_out
    return {token: amount for token, amount in net.items() if amount}
