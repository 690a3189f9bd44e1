"""Sandwiches: someone trades before others and back after them, in the same pool, and they pay the difference.

A bundle is one finding: all rounds (`models.mev.rounds`) with a front and a back transaction in common, over all pools.
"""

from __future__ import annotations

from collections.abc import Iterable

from models.mev.base import status, unix_time
from models.mev.legs import Leg, read_legs
from models.mev.loss import MAX_DIGITS, History, read_histories, victim_losses
from models.mev.rounds import Round, find_rounds, matches
from topics.schemas.chain import Block
from topics.schemas.mev import Finding, TokenAmount

MODEL = "sandwich/1"


def detect(block: Block) -> list[Finding]:
    """The sandwiches of `block` as findings, in order of their first front."""
    histories = read_histories(block)
    return [finding(block, bundle, histories) for bundle in find_rounds(read_legs(block))]


def finding(block: Block, bundle: list[Round], histories: dict[str, History]) -> Finding:
    """The finding of one bundle. Its id names chain, block, first front and last back: no other has both."""
    front = _hashes(leg for one in bundle for leg in one.fronts)
    back = _hashes(leg for one in bundle for leg in one.backs)
    attackers = set(front) | set(back)
    evidence, confidence = judge(bundle)
    return Finding(
        id=f"sandwich:{block.chain_id}:{block.number}:{front[0]}:{back[-1]}",
        chain_id=block.chain_id,
        block_number=block.number,
        block_hash=block.hash,
        block_timestamp=unix_time(block),
        revision=block.revision,
        status=status(block),
        kind="sandwich",
        front=front,
        victims=_hashes(leg for one in bundle for leg in one.victims),
        back=back,
        attackers=_attackers(bundle),
        pools=sorted({one.pool for one in bundle}),
        protocols=sorted({leg.protocol for one in bundle for leg in one.fronts if leg.protocol}),
        profit=profit(bundle),
        losses=[
            loss for one in bundle for loss in victim_losses(histories[one.pool], one.pool, attackers, one.victims)
        ],
        confidence=confidence,
        evidence=evidence,
        model=MODEL,
    )


def judge(bundle: list[Round]) -> tuple[list[str], float]:
    """Evidence for a bundle, and a score: 0.5 and up to 0.2 for each fact. A rule's score, no probability."""
    fronts = [leg for one in bundle for leg in one.fronts]
    backs = [leg for one in bundle for leg in one.backs]
    facts: list[tuple[str, float]] = []
    senders = {leg.sender for leg in (*fronts, *backs)}
    if len(senders) == 1 and None not in senders:
        facts.append(("same_sender", 0.2))
    elif frozenset.intersection(*(leg.actors for leg in (*fronts, *backs))):
        facts.append(("same_contract", 0.15))
    if any(_closes(one) for one in bundle):
        facts.append(("position_closed", 0.15))
    gains = [int(amount.amount_raw) for amount in profit(bundle)]
    if gains and min(gains) > 0:
        facts.append(("profit_in_every_token", 0.15))
    elif gains and max(gains) > 0:
        facts.append(("profit_in_some_token", 0.05))
    return [name for name, _ in facts], round(0.5 + sum(weight for _, weight in facts), 2)


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
    return matches(bought, sold) or matches(paid, got)


def _hashes(legs: Iterable[Leg]) -> list[str]:
    """The legs' transactions once each, in block order."""
    return [hash for _, hash in sorted({(leg.position, leg.transaction) for leg in legs})]


def _attackers(bundle: list[Round]) -> list[str]:
    """The senders of fronts and backs, then the other addresses that all of them have in common."""
    legs = [leg for one in bundle for leg in (*one.fronts, *one.backs)]
    senders = {leg.sender for leg in legs if leg.sender}
    common = frozenset.intersection(*(leg.actors for leg in legs))
    return [*sorted(senders), *sorted(common - senders)]


def profit(bundle: list[Round]) -> list[TokenAmount]:
    """What the bundle's own legs left the attacker with, before gas, by token, the one it began with first.

    Base units. Empty where a leg's amount is unknown, or no longer fits the wire.
    """
    net: dict[str, int] = {}
    for one in bundle:
        for leg in (*one.fronts, *one.backs):
            if leg.amount_in is None or leg.amount_out is None:
                return []
            sold, bought = leg.direction
            net[sold] = net.get(sold, 0) - leg.amount_in
            net[bought] = net.get(bought, 0) + leg.amount_out
    kept = {token: str(amount) for token, amount in net.items() if 0 < abs(amount) < 10**MAX_DIGITS}
    return [TokenAmount(token=token, amount_raw=amount) for token, amount in kept.items()]
