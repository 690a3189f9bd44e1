"""Back-runs: an arbitrage in the very next transaction behind somebody's swap, against the price that it left.

The arbitrage is one that `models.mev.arbitrage` found; this finding says whom it followed. Ordinary trades behind one
another are none: only a cycle proves that the second lives on a difference in price, only the next place in the block that
it was put behind the first, and only a swap the other way in
the same pool, of no more than was bought there, that this is the price which it lives on.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.mev.base import Case, Fact, actors, make
from models.mev.view import View
from topics.schemas.mev import Finding, Step

MODEL = "backrun/1"
Way = tuple[str, str, str]
"""Pool, token that a back-run sells there, token that it buys."""


def detect(view: View, found: Sequence[Finding]) -> list[Finding]:
    """The back-runs of a block, in block order."""
    around: dict[str, list[Finding]] = {}
    for one in found:
        if one.kind == "arbitrage":
            around.setdefault(one.transactions[0], []).append(one)
    if not around:
        return []
    by_index = {view.index(hash): hash for hash in view.trades}
    findings: list[Finding] = []
    for hash, arbitrages in around.items():
        index = view.index(hash)
        target = by_index.get(index - 1) if index else None
        if target is not None and not {*actors(view, [hash])} & {*actors(view, [target])}:
            findings += _followed(view, hash, target, arbitrages)
    return findings


def _followed(view: View, hash: str, target: str, arbitrages: Sequence[Finding]) -> list[Finding]:
    """The finding of `hash` behind `target`, or none where it does not trade against it, or trades more than it."""
    bought: dict[Way, int] = {}
    for trade in view.trades[target]:
        way = (trade.pool, trade.token_out, trade.token_in)
        bought[way] = bought.get(way, 0) + (trade.amount_out or 0)

    def lives_on_it(step: Step) -> bool:
        return int(step.amount_in_raw or 0) <= bought.get((step.pool, step.token_in, step.token_out), -1)

    against = [one for one in arbitrages if any(map(lives_on_it, one.path))]
    if not against:
        return []
    steps = [step for one in against for step in one.path if lives_on_it(step)]
    profit: dict[str, int] = {}
    for one in against:
        for gain in one.profit:
            profit[gain.token] = profit.get(gain.token, 0) + int(gain.amount_raw)
    facts = [Fact("arbitrage", 0.2), Fact("next_transaction", 0.1), Fact("against_its_price", 0.1)]
    case = Case(
        kind="backrun",
        name=f"{target}:{hash}",
        own=[hash],
        victims=[target],
        back=[hash],
        attackers=actors(view, [hash]),
        pools=(step.pool for step in steps),
        protocols=(step.protocol for step in steps),
        profit=profit,
        facts=facts,
        model=MODEL,
    )
    return [make(view, case)]
