"""What is kept of a wallet over blocks, as it lies in a row; `models.fraud.wallet` says how it comes about."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, Field

from topics.schemas.fields import Uint64

Level = Literal["low", "medium", "high", "critical"]
Share = Annotated[float, Field(ge=0, le=1)]


class Kept(NamedTuple):
    """What one block said of a wallet, while it may still say something else."""

    number: int
    revision: int
    time: int
    """Unix seconds of the block."""
    more: int
    """Moves beyond those that count."""
    moves: str
    """Those that count, a line each."""


class Known(BaseModel, use_attribute_docstrings=True):
    """A base, folded in order of blocks, and the contributions of the last blocks, which are not folded yet."""

    layout: Uint64
    """Which fields the profiles and moves below have (`models.fraud.packed.LAYOUT`)."""
    number: Uint64
    """The newest block seen of the wallet."""
    folded: int = -1
    """The highest block of the base."""
    folded_revision: int = -1
    """The highest revision of a block of the base."""
    more: int = 0
    """Moves of the base's blocks beyond those that count."""
    window: int = 0
    """The number of the younger window of the base."""
    old: list[Any] | None = None
    """The profile of the older window (`models.fraud.packed`); left out where it is the younger one's."""
    young: list[Any] | None = None
    """The profile of the younger window; left out where nothing is folded."""
    kept: list[Any] = []
    """Of each kept block what `Kept` holds, rising; unchecked, since each row that is written would pay for all of them."""
    ready: Annotated[Any, Field(exclude=True)] = None
    """In memory only: what the profiles of a busy wallet are worked on with."""


class Judged(BaseModel, use_attribute_docstrings=True):
    """What a wallet's own moves amount to when its level changes."""

    block_number: Uint64
    """The newest block seen of it."""
    evidence: Uint64
    """How many moves that rests on."""
    probability: Share | None = None
    """Of being a fraud's wallet, calibrated, by behaviour alone; left out where no move is left."""
    anomaly: Share | None = None
    """How unusual it is among ordinary wallets, as a rank: no probability. Left out where the level is low."""


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
