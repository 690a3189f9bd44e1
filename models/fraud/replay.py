"""Labelled history as profiles: the same moves, windows and features that serve, told account by account in order of time.

Ordered by (time, what); where a history knows no blocks, the market price that gas is measured against is what its own
transactions pay at the time.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from models.fraud.contracts import by_moves
from models.fraud.features import numbers
from models.fraud.first_contact import only_side
from models.fraud.layout import MOVES
from models.fraud.profile import DAY_S, OUT, Move, Profile, Side
from models.fraud.said import Parties, moves_of, on_no_list
from topics.schemas.chain import WalletMove

HALF_QUARTER_S = 45 * DAY_S
MARKET_STEP = 0.05
"""How far, in powers of two, one transaction moves the market price."""


class Told(NamedTuple):
    """One row of history: a move of an account at `time`, unix seconds."""

    account: str
    time: int
    move: WalletMove
    market: int | None = None
    """What a unit of gas cost in its block, wei; None where that is not known."""


class AccountQuarter(NamedTuple):
    """An account in a quarter of a year, the unit that is scored: `2019Q3`."""

    account: str
    quarter: str


def quarter(time: int) -> str:
    """The quarter of a time (unix seconds, UTC)."""
    day = datetime.fromtimestamp(time, UTC)
    return f"{day.year}Q{(day.month + 2) // 3}"


def across(time: int) -> str:
    """The same of windows that lie across quarters: each begins half a quarter later than the one that it is named after."""
    return quarter(time - HALF_QUARTER_S)


@dataclass(slots=True)
class Replayed:
    """What was replayed of one account-quarter."""

    profile: Profile = field(default_factory=Profile)
    transactions: int = 0
    early: dict[int, array[float]] = field(default_factory=dict)
    """`numbers` of the profile after so many transactions."""
    first: dict[Side, Move] = field(default_factory=dict)
    """The first transaction on each side, but a call that came in: who is called is not judged by that."""
    alone: Side | None = None
    """On which side the first move of all was; None where that was no transaction, or a call that makes it a contract."""


Fame = Callable[[str], float]
"""`Scorer.fame`."""


def replay(
    history: Iterable[Told],
    fame_of: Callable[[str], Fame],
    early: Iterable[int] = (1,),
    listed: Callable[[str], str] = on_no_list,
    window: Callable[[int], str] = quarter,
) -> dict[AccountQuarter, Replayed]:
    """Profiles of every account-quarter, which begin with the quarter. `fame_of` is what an account's model knows of addresses.

    What `listed` says of peers, the lists that name them, is for rules; no feature tells it. `window` names windows other than
    quarters by a time in them.
    """
    marks = frozenset(early)
    found: dict[AccountQuarter, Replayed] = {}
    fames: dict[str, Fame] = {}
    for account, time, move, market in _with_market(history):
        here = found.setdefault(AccountQuarter(account, window(time)), Replayed())
        if account not in fames:
            fames[account] = fame_of(account)
        counted = moves_of(
            move, time, market, Parties(fames[account], listed)
        )  # kept for millions of moves they would fill memory
        if isinstance(counted, Move):
            here.profile.move(counted)
            here.transactions += 1
            half = here.profile.went if counted.side == OUT else here.profile.came
            if half.numbers[MOVES] == 1.0 and (counted.side == OUT or counted.selector == "0x"):
                here.first[counted.side] = counted
            if only_side(here.profile) is not None and by_moves(here.profile) is None:
                here.alone = counted.side
            if here.transactions in marks:
                here.early[here.transactions] = numbers(here.profile)
        else:
            here.profile.token_move(counted)
    return found


def _with_market(history: Iterable[Told]) -> Iterator[tuple[str, int, WalletMove, int | None]]:
    """Each row with what a unit of gas costs at the time: a running median, in steps."""
    level: float | None = None
    for account, time, move, market in history:
        if market is None and (price := move.get("gas_price_wei")):
            paid = math.log2(price)
            level = paid if level is None else level + max(-MARKET_STEP, min(MARKET_STEP, paid - level))
        yield account, time, move, market or (None if level is None else round(2.0**level))
