"""Cyclic arbitrage: one transaction that trades a token through others back into more of it.

The cycles are those of `models.mev.flows`. A transaction that is a leg of a sandwich is none: there the way back is
somebody else's loss, not another market's price. Where swaps alone close no cycle, exchanges that only the transfers tell
(`models.mev.exchanges`) are looked at too. A round on the way of somebody's own trade through a known router
may be that router's way of splitting it: it is marked, and worth little.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.mev.base import Case, Fact, actors, fitting, make
from models.mev.exchanges import exchanges
from models.mev.flows import Cycle, cycles
from models.mev.routers import ROUTERS
from models.mev.view import Trade, View
from topics.schemas.mev import Finding, Step

MODEL = "arbitrage/1"


def detect(view: View, found: Sequence[Finding]) -> list[Finding]:
    """The arbitrages of a block, in block order; several of one transaction in the order of their first swaps."""
    legs = {hash for one in found if one.kind == "sandwich" for hash in (*one.front, *one.back)}
    findings: list[Finding] = []
    for hash, trades in view.trades.items():
        if hash in legs:
            continue
        routed = view.called(hash) in ROUTERS
        around = cycles(trades, view.coin) if len(trades) > 1 else []
        taken = {id(trade) for cycle in around for trade in cycle.trades}
        rest = [trade for trade in trades if id(trade) not in taken]
        wider = _wider(view, hash, rest) if rest and not routed else []
        if not (around or wider):
            continue
        taken |= {id(trade) for cycle in wider for trade in cycle.trades}
        inside = any(id(trade) not in taken for trade in rest)
        attackers = actors(view, [hash])
        for cycle in (*around, *wider):
            findings.append(_finding(view, hash, cycle, attackers, _facts(view, hash, cycle, routed, inside)))
    return findings


def _wider(view: View, hash: str, rest: Sequence[Trade]) -> list[Cycle]:
    """Cycles of swaps that are part of none by themselves, over exchanges that only transfers tell."""
    more = exchanges(view, hash, rest)
    known = {id(trade) for trade in rest}
    wider = cycles([*rest, *more], view.coin) if more else []
    return [cycle for cycle in wider if any(id(trade) in known for trade in cycle.trades)]


def _finding(view: View, hash: str, cycle: Cycle, attackers: Sequence[str], facts: Sequence[Fact]) -> Finding:
    first = cycle.trades[0].swap
    place = first.log_index if first.log_index is not None else f"swap{_nth(view.trades[hash], cycle)}"
    case = Case(
        kind="arbitrage",
        name=f"{hash}:{place}",
        own=[hash],
        attackers=attackers,
        pools=(trade.pool for trade in cycle.trades),
        protocols=(trade.swap.protocol for trade in cycle.trades),
        profit=_profit(view, hash, cycle, attackers),
        path=[_step(trade) for trade in cycle.trades],
        facts=facts,
        model=MODEL,
    )
    return make(view, case)


def _nth(trades: Sequence[Trade], cycle: Cycle) -> int:
    """Which of a transaction's trades is the first of `cycle`."""
    return next(at for at, trade in enumerate(trades) if trade in cycle.trades)


def _facts(view: View, hash: str, cycle: Cycle, routed: bool, inside: bool) -> list[Fact]:
    facts = [Fact("cycle_gains", 0.2)]
    called = view.called(hash)
    if not cycle.left:
        facts.append(Fact("nothing_left_over", 0.1))
    if not {*cycle.trades} <= {*view.trades[hash]}:
        facts.append(Fact("exchange_by_transfers", -0.1))
    if routed:
        facts.append(Fact("through_a_router", -0.2))
    elif called is not None:
        facts.append(Fact("own_contract", 0.1))
    if inside:
        facts.append(Fact("inside_a_trade", -0.2))
    transaction = view.transactions.get(hash)
    if transaction is not None and int(transaction.coinbase_transfer_wei or 0) > 0:
        facts.append(Fact("pays_the_builder", 0.1))
    return facts


def _profit(view: View, hash: str, cycle: Cycle, attackers: Sequence[str]) -> dict[str, int]:
    """The gain of the cycle's token, and what transfers say was kept of the others; base units.

    What a swap paid out and nobody of the attackers has afterwards was the token's own fee.
    """
    gain = {cycle.token: cycle.got - cycle.paid}
    for name, left in cycle.left.items():
        kept = 0
        for one in view.transfers(hash) if name not in view.native else ():
            if one.token_in is None or one.token_in.lower() != name or one.amount_in_raw is None:
                continue
            kept += int(one.amount_in_raw) * (
                ((one.to_address or "").lower() in attackers) - ((one.from_address or "").lower() in attackers)
            )
        if kept > 0:
            gain[name] = min(kept, left)
    return gain


def _step(trade: Trade) -> Step:
    sold, bought = trade.amount_in or 0, trade.amount_out or 0
    return Step(
        transaction_hash=trade.transaction,
        pool=trade.pool,
        protocol=trade.swap.protocol,
        token_in=trade.token_in,
        token_out=trade.token_out,
        amount_in_raw=str(sold) if fitting(sold) else None,
        amount_out_raw=str(bought) if fitting(bought) else None,
    )
