"""Liquidations: somebody repays another's loan and gets its collateral for less than it is worth.

What happened is in the lending protocol's own event, so each event is a finding: debt goes in, collateral comes out. Its
profit names both; in wei it is the collateral's worth less the debt's, where the block's pools price both.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.mev.base import Case, Fact, actors, fitting, make
from models.mev.view import View
from topics.schemas.chain import Liquidation
from topics.schemas.mev import Finding, Step

MODEL = "liquidation/1"


def detect(view: View, found: Sequence[Finding]) -> list[Finding]:
    """The liquidations of a block, in block order."""
    counts: dict[str, int] = {}
    findings: list[Finding] = []
    for event in view.liquidations:
        hash = event.transaction_hash.lower()
        at = counts[hash] = counts.get(hash, -1) + 1
        findings.append(_finding(view, hash, event, at))
    return findings


def _finding(view: View, hash: str, event: Liquidation, at: int) -> Finding:
    liquidator = event.from_address.lower() if event.from_address else None
    borrower = event.to_address.lower() if event.to_address else None
    attackers = actors(view, [hash])
    if liquidator and liquidator not in attackers and liquidator not in view.nobody:
        attackers.append(liquidator)
    market = event.contract_address.lower() if event.contract_address else None
    place = event.log_index if event.log_index is not None else f"loan{at}"
    facts = [Fact("liquidation_event", 0.4)]
    if liquidator in attackers:
        facts.append(Fact("own_contract", 0.1))
    case = Case(
        kind="liquidation",
        name=f"{hash}:{place}",
        own=[hash],
        attackers=attackers,
        pools=[market] if market else [],
        protocols=[event.protocol],
        profit=_profit(event),
        path=_path(hash, market, event),
        facts=facts,
        borrower=borrower,
        model=MODEL,
    )
    return make(view, case)


def _profit(event: Liquidation) -> dict[str, int]:
    """Collateral that came out and debt that went in, base units; only what is known."""
    net: dict[str, int] = {}
    if event.token_out and event.amount_out_raw is not None:
        net[event.token_out.lower()] = int(event.amount_out_raw)
    if event.token_in and event.amount_in_raw is not None:
        token = event.token_in.lower()
        net[token] = net.get(token, 0) - int(event.amount_in_raw)
    return net


def _path(hash: str, market: str | None, event: Liquidation) -> list[Step]:
    if market is None or not event.token_in or not event.token_out:
        return []
    paid, got = event.amount_in_raw, event.amount_out_raw
    return [
        Step(
            transaction_hash=hash,
            pool=market,
            protocol=event.protocol,
            token_in=event.token_in.lower(),
            token_out=event.token_out.lower(),
            amount_in_raw=paid if paid is not None and fitting(int(paid)) else None,
            amount_out_raw=got if got is not None and fitting(int(got)) else None,
        )
    ]
