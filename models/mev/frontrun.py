"""Front-runs by displacement: somebody does first what another is about to do, and the other gets less or nothing.

Two shapes of it show without the mempool:

- *The same round*: two arbitrages by different people through the same pools in the same directions. The one in front took
  the difference in price; the one behind got what was left of it.
- *The same swap*: directly in front of a swap, another signer sells, through a contract that is no known router, the same
  amount to the last base unit, and no round number, of the same token in the same pool, and pays more for gas. Amounts like
  that are copied, not met by chance.

Whoever buys before another and sells in a later block looks like any other buyer here, so that is not told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from models.mev.base import Case, Fact, actors, make
from models.mev.view import Trade, View
from topics.schemas.mev import Finding

MODEL = "frontrun/1"
ROUND = 6
"""An amount with so many significant digits or fewer is a round number: people choose them independently."""


@dataclass(slots=True)
class _Seen:
    """What shows that one transaction was put before another: a pair is one finding, whatever shows it."""

    trades: list[Trade] = field(default_factory=list)
    facts: dict[Fact, None] = field(default_factory=dict)
    profit: dict[str, int] = field(default_factory=dict)


Pairs = dict[tuple[str, str], _Seen]
"""(the transaction in front, the one behind) → what shows it."""


def detect(view: View, found: Sequence[Finding]) -> list[Finding]:
    """The front-runs of a block, in block order."""
    pairs: Pairs = defaultdict(_Seen)
    _same_rounds(view, found, pairs)
    _same_swaps(view, {hash for one in found if one.kind in ("sandwich", "jit") for hash in one.named()}, pairs)
    findings = [_finding(view, front, behind, seen) for (front, behind), seen in pairs.items()]
    return sorted(findings, key=lambda one: (view.places[one.front[0]], one.id))


def _same_rounds(view: View, found: Sequence[Finding], pairs: Pairs) -> None:
    first: dict[tuple[tuple[str, str, str], ...], Finding] = {}
    told: set[tuple[str, str]] = set()
    for one in found:
        if one.kind != "arbitrage":
            continue
        route = tuple(sorted((step.pool, step.token_in, step.token_out) for step in one.path))
        before = first.setdefault(route, one)
        if before is one or {*before.attackers} & {*one.attackers} or not _gained_more(before, one):
            continue
        front, behind = before.transactions[0], one.transactions[0]
        if (before.id, behind) in told:
            continue
        told.add((before.id, behind))
        seen = pairs[front, behind]
        seen.facts |= dict.fromkeys((Fact("same_round", 0.2), Fact("gained_more", 0.1)))
        seen.trades += [trade for trade in view.trades[front] if trade.pool in before.pools]
        for gain in before.profit:
            seen.profit[gain.token] = seen.profit.get(gain.token, 0) + int(gain.amount_raw)


def _same_swaps(view: View, told: set[str], pairs: Pairs) -> None:
    by_index = {view.index(hash): hash for hash in view.trades}
    for behind, trades in view.trades.items():
        index = view.index(behind)
        front = by_index.get(index - 1) if index else None
        if front is None or front in told or behind in told or not _pays_more(view, front, behind):
            continue
        if not _own_contract(view, front) or {*actors(view, [front])} & {*actors(view, [behind])}:
            continue
        wanted = {(one.pool, one.token_in, one.amount_in) for one in trades if _odd(one.amount_in)}
        copied = [one for one in view.trades[front] if (one.pool, one.token_in, one.amount_in) in wanted]
        if copied:
            seen = pairs[front, behind]
            seen.facts |= dict.fromkeys((Fact("same_amount", 0.2), Fact("next_transaction", 0.1)))
            seen.trades += copied


def _pays_more(view: View, front: str, behind: str) -> bool:
    prices = [one.gas_price_wei if (one := view.transactions.get(hash)) else None for hash in (front, behind)]
    return prices[0] is not None and prices[1] is not None and prices[0] > prices[1]


def _own_contract(view: View, hash: str) -> bool:
    """Whether a transaction called a contract that is no router: people who sell an equal airdrop use routers."""
    called = view.called(hash)
    return called is not None and called not in view.nobody


def _odd(amount: int | None) -> bool:
    """Whether nobody would choose `amount`."""
    return amount is not None and len(str(amount).rstrip("0")) > ROUND


def _gained_more(one: Finding, other: Finding) -> bool:
    """Whether `one` gained more than `other` of the token that both went round for; amounts of two tokens say nothing."""
    if not one.profit or not other.profit or one.profit[0].token != other.profit[0].token:
        return False
    return int(one.profit[0].amount_raw) > int(other.profit[0].amount_raw)


def _finding(view: View, front: str, behind: str, seen: _Seen) -> Finding:
    case = Case(
        kind="frontrun",
        name=f"{front}:{behind}",
        own=[front],
        front=[front],
        victims=[behind],
        attackers=actors(view, [front]),
        pools=(one.pool for one in seen.trades),
        protocols=(one.swap.protocol for one in seen.trades),
        profit=seen.profit,
        facts=list(seen.facts),
        model=MODEL,
    )
    return make(view, case)
