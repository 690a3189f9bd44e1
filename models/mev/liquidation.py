"""Liquidations: somebody repays another's loan and gets its collateral for less than it is worth.

What happened is in the lending protocol's own event, so each event is a finding: debt goes in, collateral comes out. Its
profit names both; in wei it is the collateral's worth less the debt's, where the block's pools price both. Where a protocol
takes over debt and collateral itself and logs them one by one (Compound V3), the events of one borrower in a transaction are
one finding, and the liquidator's profit is unknown: what it is paid is not in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from models.mev.base import Case, Fact, actors, fitting, make
from models.mev.view import View
from topics.schemas.chain import Liquidation
from topics.schemas.mev import Finding, Step

MODEL = "liquidation/1"
Loan = list[Liquidation]
"""One event with both sides, or all events of one borrower in a transaction that have one side each."""


def detect(view: View, found: Sequence[Finding]) -> list[Finding]:
    """The liquidations of a block, in block order."""
    counts: dict[str, int] = {}
    findings: list[Finding] = []
    for loan in _loans(view.liquidations):
        hash = loan[0].transaction_hash.lower()
        at = counts[hash] = counts.get(hash, -1) + 1
        findings.append(_finding(view, hash, loan, at))
    return findings


def _loans(events: Sequence[Liquidation]) -> list[Loan]:
    loans: list[Loan] = []
    sides: dict[tuple[str, str | None, str | None], Loan] = {}
    for event in events:
        whole = (event.token_in is None) == (event.token_out is None)
        key = (event.transaction_hash.lower(), _market(event), event.to_address)
        if not whole and key in sides:
            sides[key].append(event)
            continue
        loans.append([event])
        if not whole:
            sides[key] = loans[-1]
    return loans


def _finding(view: View, hash: str, loan: Loan, at: int) -> Finding:
    first = loan[0]
    liquidator = first.from_address.lower() if first.from_address else None
    attackers = actors(view, [hash])
    if liquidator and liquidator not in attackers and liquidator not in view.nobody:
        attackers.append(liquidator)
    market = _market(first)
    facts = [Fact("liquidation_event", 0.4)]
    if liquidator in attackers:
        facts.append(Fact("liquidator_named", 0.1))
    case = Case(
        kind="liquidation",
        name=f"{hash}:{first.log_index if first.log_index is not None else f'loan{at}'}",
        own=[hash],
        attackers=attackers,
        pools=[market] if market else [],
        protocols=[first.protocol],
        profit=_profit(first) if len(loan) == 1 and first.token_out else {},
        path=_path(hash, market, loan),
        facts=facts,
        borrower=first.to_address.lower() if first.to_address else None,
        model=MODEL,
    )
    return make(view, case)


def _market(event: Liquidation) -> str | None:
    market = event.market or event.contract_address
    return market.lower() if market else None


def _profit(event: Liquidation) -> dict[str, int]:
    """Collateral that came out and debt that went in, base units; empty where one of them is unknown."""
    if not event.token_in or not event.token_out or event.amount_in_raw is None or event.amount_out_raw is None:
        return {}
    bought, repaid = event.token_out.lower(), event.token_in.lower()
    net = {bought: int(event.amount_out_raw)}
    net[repaid] = net.get(repaid, 0) - int(event.amount_in_raw)
    return net


def _path(hash: str, market: str | None, loan: Loan) -> list[Step]:
    """Debt and collateral side by side; of a debt against several collaterals the amount stands with the first."""
    debts = [(one.token_in.lower(), one.amount_in_raw) for one in loan if one.token_in]
    seized = [(one.token_out.lower(), one.amount_out_raw) for one in loan if one.token_out]
    if market is None or not debts or not seized:
        return []
    return [
        Step(
            transaction_hash=hash,
            pool=market,
            protocol=loan[0].protocol,
            token_in=debt[0],
            token_out=collateral[0],
            amount_in_raw=_told(debt[1]),
            amount_out_raw=_told(collateral[1]),
        )
        for debt, collateral in (
            (debt or (debts[0][0], None), collateral or (seized[0][0], None))
            for debt, collateral in zip_longest(debts, seized)
        )
    ]


def _told(amount: str | None) -> str | None:
    return amount if amount is not None and fitting(int(amount)) else None
