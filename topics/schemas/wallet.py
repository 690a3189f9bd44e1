"""What is kept of a wallet over blocks, as it lies in a row; `models.fraud.wallet` says how it comes about."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field

from topics.schemas.fields import Raw, Uint64

Level = Literal["low", "medium", "high", "critical"]
LEVELS: tuple[Level, ...] = get_args(Level)
Share = Annotated[float, Field(ge=0, le=1)]
Unjudged = Literal["contract", "protocol", "zero_address"]
"""What an address is of which behaviour tells nothing (`models.fraud.contracts`)."""


class Known(BaseModel, use_attribute_docstrings=True):
    """A base, folded in order of blocks, and the contributions of the last blocks, which are not folded yet.

    What `base`, `turn` and `kept` hold is not checked: what another layout wrote there is not read, but the rest of its row is.
    """

    layout: Uint64
    """Which fields the profiles and moves below have, and how (`models.fraud.packed.LAYOUT`)."""
    number: Uint64
    """The newest block seen of the wallet."""
    folded: int = -1
    """The highest block of the base."""
    folded_revision: int = -1
    """The highest revision of a block of the base."""
    more: int = 0
    """Moves of the base's blocks beyond those that count."""
    base: Any = None
    """Profiles of the base's blocks (`models.fraud.windows`); left out where they say nothing."""
    turn: Any = None
    """The same with those kept blocks that are of an earlier span than the newest; left out where that is the base."""
    kept: list[Any] = []
    """What each kept block said (`models.fraud.kept`), rising."""
    ready: Annotated[Any, Field(exclude=True)] = None
    """In memory only: what is known of the wallet, counted (`models.fraud.wallet.Memory`)."""


class Warned(BaseModel, use_attribute_docstrings=True):
    """A reason to look; one that is `low` is told and raises nothing."""

    code: str
    severity: Level
    message: str
    value: float | str
    """The number that was too much, or the name that was found."""


class Dealings(BaseModel, use_attribute_docstrings=True):
    """What a wallet dealt with listed addresses in one direction, in the months that are looked at."""

    moves: Uint64
    """Transactions that did not fail,"""
    value_wei: Raw
    """what they moved,"""
    share: Share | None = None
    """and which part that is of all that moved this way; left out where nothing did."""
    tokens: Uint64
    """ERC-20 transfers."""
    last_at: Uint64
    """When the last was, unix seconds of its block."""
    address: str
    """With whom,"""
    lists: list[str]
    """and the lists that named it then."""


class Exposure(BaseModel, use_attribute_docstrings=True):
    """What a wallet dealt with listed addresses, counted as the lists were at the time of each move."""

    received: Dealings | None = None
    paid: Dealings | None = None
    """Who pays a fraud is its victim rather than one."""


class Judged(BaseModel, use_attribute_docstrings=True):
    """What a wallet's own moves amount to when its level changes."""

    block_number: Uint64
    """The newest block seen of it."""
    evidence: Uint64
    """How many moves that rests on."""
    probability: Share | None = None
    """Of being a fraud's wallet, calibrated, by behaviour alone; left out where no move is left."""
    anomaly: Share | None = None
    """How unusual it is among ordinary wallets, as a rank: no probability. Left out where the probability is that of `low`."""
    alerts: list[Warned] = []
    """What lists and named rules say of it; one from `medium` up raises the level to its own."""
    exposure: Exposure | None = None
    """Left out where it dealt with no listed address."""
    lists_version: str = ""
    """The lists that it was judged by: their mark, as workers and `soba lists show` tell it."""


class WalletRisk(BaseModel, use_attribute_docstrings=True):
    """A wallet whose level has changed: a value of risk.scores. Its newest scores are in the table `profiles`.

    Every wallet is `low` until it is said otherwise, and again once that is `retracted`.
    """

    kind: Literal["wallet"] = "wallet"
    id: str
    """chain_id:address."""
    revision: Uint64
    """The newest one of an id is its state."""
    status: Literal["final", "retracted"]
    chain_id: Uint64
    address: str
    risk_level: Level
    model: str
    stale: bool = False
    """Whether the model has expired."""
    at: Judged
