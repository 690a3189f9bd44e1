"""What every detector shares: how a finding is named, valued and made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from models.mev.costs import gas_cost, priority_fees, sent_to_builder
from models.mev.view import View
from topics.schemas.chain import Block
from topics.schemas.mev import Finding, Kind, Loss, Role, RoleName, Step, TokenAmount

Detector = Callable[[View, Sequence[Finding]], list[Finding]]
"""A pure function of one block and of what the detectors before it found there. Findings come in block order."""

MAX_DIGITS = 78
"""The wire has no place for longer numbers."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One piece of evidence, and what it adds to the confidence or takes from it."""

    name: str
    weight: float


@dataclass(slots=True, kw_only=True)
class Case:
    """What a detector says of a finding; all else follows from the block."""

    kind: Kind
    name: str
    """What sets it apart from all others of its kind in the block, whatever else is known of the block later."""
    own: Sequence[str]
    """The attacker's transactions, in block order."""
    attackers: Sequence[str]
    pools: Iterable[str]
    protocols: Iterable[str | None]
    profit: Mapping[str, int]
    facts: Sequence[Fact]
    model: str
    front: Sequence[str] = ()
    victims: Sequence[str] = ()
    back: Sequence[str] = ()
    path: Sequence[Step] = ()
    losses: Sequence[Loss] = ()
    borrower: str | None = None
    blocks: Sequence[int] = ()
    """Where it is over more than one: their numbers."""


def make(view: View, case: Case) -> Finding:
    """The finding of a case. Its confidence is 0.5 and what its facts add: a rule's score, no probability."""
    block = view.block
    gas, sent, fees = (told(view, case.own) for told in (gas_cost, sent_to_builder, priority_fees))
    paid = None if sent is None or fees is None else sent + fees
    valued = view.prices.value(case.profit) if case.profit else None
    fits = {token: amount for token, amount in case.profit.items() if amount and fitting(amount)}
    return Finding(
        id=f"{case.kind}:{block.chain_id}:{block.number}:{case.name}",
        chain_id=block.chain_id,
        block_number=block.number,
        block_hash=block.hash,
        block_timestamp=unix_time(block),
        blocks=list(case.blocks),
        revision=block.revision,
        status=status(block),
        kind=case.kind,
        front=list(case.front),
        victims=list(case.victims),
        back=list(case.back),
        transactions=list(case.own) if not (case.front or case.back) else [],
        attackers=list(case.attackers),
        roles=_roles(view, case, paid),
        pools=sorted(set(case.pools)),
        protocols=sorted({one for one in case.protocols if one}),
        path=list(case.path),
        profit=[TokenAmount(token=token, amount_raw=str(amount)) for token, amount in fits.items()],
        losses=list(case.losses),
        profit_wei=_told(valued[0]) if valued else None,
        prices=valued[1] if valued else [],
        gas_cost_wei=_told(gas),
        builder_payment_wei=_told(paid),
        net_profit_wei=None if valued is None or gas is None or sent is None else _told(valued[0] - gas - sent),
        confidence=round(min(1.0, max(0.0, 0.5 + sum(fact.weight for fact in case.facts))), 2),
        evidence=[fact.name for fact in case.facts],
        model=case.model,
    )


def _roles(view: View, case: Case, paid: int | None) -> list[Role]:
    """Who was who, once each in a role: attackers, victims, borrower, and the builder if it was paid."""
    signers = {signer for hash in case.own if (signer := view.signer(hash))}
    named: list[tuple[str, RoleName]] = [(one, "searcher" if one in signers else "contract") for one in case.attackers]
    named += [(signer, "victim") for hash in case.victims if (signer := view.signer(hash))]
    if case.borrower:
        named.append((case.borrower, "borrower"))
    if paid and view.block.miner:
        named.append((view.block.miner.lower(), "builder"))
    return [Role(address=address, role=role) for address, role in dict.fromkeys(named)]


def actors(view: View, hashes: Sequence[str]) -> list[str]:
    """Who made transactions: their signers, then the contracts they called, known routers and pools aside.

    Where neither is known, the addresses that their swaps were made by and for.
    """
    signers = {signer for hash in hashes if (signer := view.signer(hash))}
    called = {called for hash in hashes if (called := view.called(hash))} - view.nobody
    if not signers and not called:
        parties = ((one.swap.sender, one.swap.recipient) for hash in hashes for one in view.trades.get(hash, ()))
        called = {party.lower() for pair in parties for party in pair if party} - view.nobody
    return [*sorted(signers), *sorted(called - signers)]


def fitting(amount: int) -> bool:
    """Whether the wire has a place for `amount`."""
    return len(str(abs(amount))) <= MAX_DIGITS


def _told(amount: int | None) -> str | None:
    return str(amount) if amount is not None and fitting(amount) else None


def status(block: Block) -> Literal["provisional", "final"]:
    """What a finding of `block` is: nothing can be added to a complete block."""
    return "final" if block.status == "complete" else "provisional"


def unix_time(block: Block) -> int | None:
    """The block's time in unix seconds, or None where it is unknown or no time."""
    return block.timestamp if block.timestamp is not None and block.timestamp >= 0 else None
