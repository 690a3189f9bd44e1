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
MAX_CHAINED = 64
MAX_PATHS = 512
"""They bound the work that a strange transaction can cause."""
ROUNDING = 1000
"""What is left of a token counts from one part in so many of what was bought."""


def cycles(trades: Sequence[Trade], first: Iterable[str], same: frozenset[str]) -> list[Cycle]:
    """The cycles of one transaction's trades, in their order.

    `first` are the tokens to look at first, of `same` any stands for the others. A trade without amounts is not looked at.
    """
    known = [one for one in trades if one.amount_in is not None and one.amount_out is not None]
    found: list[Cycle] = []
    for token in _starts(known, first, same):
        for group in _groups(known, token, same):
            cycle = _cycle(group, token, same) or _chain(group, token, same)
            while cycle is not None:
                found.append(cycle)
                taken = {id(one) for one in cycle.trades}
                known = [one for one in known if id(one) not in taken]
                group = [one for one in group if id(one) not in taken]
                cycle = _chain(group, token, same)
    order = {id(one): at for at, one in enumerate(trades)}
    return sorted(found, key=lambda cycle: order[id(cycle.trades[0])])


def _starts(trades: Sequence[Trade], first: Iterable[str], same: frozenset[str]) -> list[str]:
    """Tokens that are both sold and bought, those of `first` first, then in order of the first sale."""
    sold = dict.fromkeys(_one(trade.token_in, same) for trade in trades)
    bought = {_one(trade.token_out, same) for trade in trades}
    both = [token for token in sold if token in bought]
    ahead = [token for token in dict.fromkeys(_one(token, same) for token in first) if token in both]
    return [*ahead, *(token for token in both if token not in ahead)]


def _one(token: str, same: frozenset[str]) -> str:
    """One name for all of `same`: the smallest."""
    return min(same) if token in same else token


def _groups(trades: Sequence[Trade], token: str, same: frozenset[str]) -> list[list[Trade]]:
    """Trades by what they share beside `token`, in order of their first."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    keys: list[str] = []
    for trade in trades:
        others = [name for name in (_one(trade.token_in, same), _one(trade.token_out, same)) if name != token]
        # Between two names of the native coin nothing is traded: a pool that wraps.
        keys.append(others[0] if others else "")
        if len(others) == 2:
            parent[root(others[1])] = root(others[0])
    found: dict[str, list[Trade]] = {}
    for trade, key in zip(trades, keys, strict=True):
        if key:
            found.setdefault(root(key), []).append(trade)
    return [group for group in found.values() if len(group) > 1]


def _cycle(group: Sequence[Trade], token: str, same: frozenset[str]) -> Cycle | None:
    """The group as a cycle of `token`, or None where it gains nothing or sells what it did not buy."""
    sold: dict[str, int] = {}
    bought: dict[str, int] = {}
    for trade in group:
        one, other = _one(trade.token_in, same), _one(trade.token_out, same)
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
    return Cycle(_named(group, token, same), tuple(_followed(group, token, same)), paid, got, left)


def _named(trades: Iterable[Trade], token: str, same: frozenset[str]) -> str:
    """Under which name `token` was sold first."""
    return next(trade.token_in for trade in trades if _one(trade.token_in, same) == token)


def _followed(group: Sequence[Trade], token: str, same: frozenset[str]) -> list[Trade]:
    """The trades in the order in which `token` goes through them, whatever order their logs have."""
    reached, left, path = {token}, list(group), []
    while left:
        next_ = next((one for one in left if _one(one.token_in, same) in reached), left[0])
        left.remove(next_)
        path.append(next_)
        reached.add(_one(next_.token_out, same))
    return path


def _chain(group: Sequence[Trade], token: str, same: frozenset[str]) -> Cycle | None:
    """The first chain of `group` from `token` back to more of it, each swap selling what the one before it bought."""
    if len(group) < 2 or len(group) > MAX_CHAINED:
        return None
    for start in group:
        if _one(start.token_in, same) == token:
            path = _continued([start], group, token, same)
            if path is not None:
                paid, got = path[0].amount_in or 0, path[-1].amount_out or 0
                return Cycle(path[0].token_in, tuple(path), paid, got, {})
    return None


def _continued(path: list[Trade], group: Sequence[Trade], token: str, same: frozenset[str]) -> list[Trade] | None:
    """`path` led back to `token` with a gain, in as few swaps as there are, or None."""
    paths = deque([path])
    looked = 0
    while paths and looked < MAX_PATHS:
        looked += 1
        path = paths.popleft()
        last = path[-1]
        reached = _one(last.token_out, same)
        if reached == token:
            if len(path) > 1 and (last.amount_out or 0) > (path[0].amount_in or 0) > 0:
                return path
            continue
        pools = {one.pool for one in path}
        paths.extend(
            [*path, one]
            for one in group
            if one.pool not in pools
            and _one(one.token_in, same) == reached
            and matches(last.amount_out, one.amount_in, CHAINED)
        )
    return None
