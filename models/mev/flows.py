"""Cycles in what a transaction traded: token in, other tokens, more of the first token out.

The swaps are edges between tokens. For a token T that is both sold and bought, swaps that share any other token belong
together: so two cycles over different tokens are two, however their logs lie, and one that is split over several pools, or
whose logs come backwards (a flash swap pays last), is one. A group is a cycle when it puts T in and takes more T out, over
more than one pool, and what is missing of a token in between (a rounding, a fee on transfer) is little, and a smaller share
of it than the gain is of T. Chains of equal amounts, as mev-inspect-py and -js look for, are a special case, and so are
the strongly connected components that EigenPhi looks for, but for those that live on a balance they had before. A group
that is more than a cycle (somebody's own trade over the same tokens) is searched for chains of equal amounts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from models.mev.amounts import matches
from models.mev.view import Trade


@dataclass(frozen=True, slots=True)
class Cycle:
    """Trades that lead from a token back to it."""

    token: str
    trades: tuple[Trade, ...]
    paid: int
    got: int
    left: dict[str, int]
    """What was bought and not sold again of the tokens between, by more than its fair rounding."""


MISSING = 100
"""Of a token between, at most one part in so many of what was sold may not have been bought before."""
CHAINED = 100
"""In a chain, what is sold differs from what was bought by at most one part in so many."""
MAX_STARTS = 16
MAX_CHAINED = 64
MAX_PATHS = 512
"""They bound the work that a strange transaction can cause: tokens to start from, swaps that chains are looked for among, and
chains that are followed."""
ROUNDING = 1000
"""What is left of a token counts from one part in so many of what was bought."""


def cycles(trades: Sequence[Trade], first: str) -> list[Cycle]:
    """The cycles of one transaction's trades, in their order.

    `first` is the token to look at first. A trade without amounts is not looked at.
    """
    known = [one for one in trades if one.amount_in is not None and one.amount_out is not None]
    found: list[Cycle] = []
    taken: set[int] = set()
    for token in _starts(known, first):
        known = [one for one in known if id(one) not in taken]
        for group in _groups(known, token):
            cycle = _cycle(group, token) or _chain(group, token)
            while cycle is not None:
                found.append(cycle)
                taken |= {id(one) for one in cycle.trades}
                group = [one for one in group if id(one) not in taken]
                cycle = _chain(group, token)
    order = {id(one): at for at, one in enumerate(trades)}
    return sorted(found, key=lambda cycle: order[id(cycle.trades[0])])


def _starts(trades: Sequence[Trade], first: str) -> list[str]:
    """Tokens that are both sold and bought, `first` first, then in order of the first sale."""
    sold = dict.fromkeys(trade.sold for trade in trades)
    bought = {trade.bought for trade in trades}
    both = [token for token in sold if token in bought]
    return sorted(both, key=lambda token: token != first)[:MAX_STARTS]


def _groups(trades: Sequence[Trade], token: str) -> list[list[Trade]]:
    """Trades by what they share beside `token`, in order of their first."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    keys: list[str] = []
    for trade in trades:
        others = [name for name in (trade.sold, trade.bought) if name != token]
        # Between two names of the native coin nothing is traded: a pool that wraps.
        keys.append(others[0] if others else "")
        if len(others) == 2:
            parent[root(others[1])] = root(others[0])
    found: dict[str, list[Trade]] = {}
    for trade, key in zip(trades, keys, strict=True):
        if key:
            found.setdefault(root(key), []).append(trade)
    return [group for group in found.values() if len(group) > 1]


def _cycle(group: Sequence[Trade], token: str) -> Cycle | None:
    """The group as a cycle of `token`, or None where it gains nothing or sells what it did not buy."""
    sold: dict[str, int] = {}
    bought: dict[str, int] = {}
    for trade in group:
        one, other = trade.sold, trade.bought
        sold[one] = sold.get(one, 0) + (trade.amount_in or 0)
        bought[other] = bought.get(other, 0) + (trade.amount_out or 0)
    paid, got = sold.pop(token, 0), bought.pop(token, 0)
    if not 0 < paid < got or len({trade.pool for trade in group}) == 1:
        return None
    left: dict[str, int] = {}
    for name in {**sold, **bought}:
        spent, had = sold.get(name, 0), bought.get(name, 0)
        missing = spent - had
        # missing / spent >= (got - paid) / got
        if missing > 0 and (missing * MISSING > spent or missing * got >= (got - paid) * spent):
            return None
        if (had - spent) * ROUNDING > had:
            left[name] = had - spent
    return Cycle(_named(group, token), tuple(_followed(group, token)), paid, got, left)


def _named(trades: Iterable[Trade], token: str) -> str:
    """Under which name `token` was sold first."""
    return next(trade.token_in for trade in trades if trade.sold == token)


def _followed(group: Sequence[Trade], token: str) -> list[Trade]:
    """The trades in the order in which `token` goes through them, whatever order their logs have."""
    reached, left, path = {token}, list(group), []
    while left:
        next_ = next((one for one in left if one.sold in reached), left[0])
        left.remove(next_)
        path.append(next_)
        reached.add(next_.bought)
    return path


def _chain(group: Sequence[Trade], token: str) -> Cycle | None:
    """The shortest chain of `group` from `token` back to more of it, each swap selling what the one before it bought."""
    paths = deque([start] for start in group if start.sold == token)
    looked = 0
    while paths and looked < MAX_PATHS and len(group) <= MAX_CHAINED:
        looked += 1
        path = paths.popleft()
        last = path[-1]
        if last.bought == token:
            paid, got = path[0].amount_in or 0, last.amount_out or 0
            if len(path) > 1 and 0 < paid < got:
                return Cycle(path[0].token_in, tuple(path), paid, got, {})
            continue
        pools = {one.pool for one in path}
        paths.extend(
            [*path, one]
            for one in group
            if one.sold == last.bought and one.pool not in pools and matches(last.amount_out, one.amount_in, CHAINED)
        )
    return None
