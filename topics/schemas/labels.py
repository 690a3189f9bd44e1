"""What operators know of wallets: values of the topic `labels`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from topics.schemas.fields import LowerAddress, Uint64
from topics.schemas.wallet import Level, Share

Verdict = Literal["fraud", "ordinary", "unknown"]


class Prior(BaseModel, frozen=True, use_attribute_docstrings=True):
    """How a wallet had been judged when it was first labelled, by behaviour alone."""

    level: Level
    probability: Share | None = None
    model: str
    evidence: Uint64
    """How many moves that rested on."""
    trained_on: bool = False
    """Whether the model was trained on the wallet's campaign: then its judgement proves nothing."""


class Label(BaseModel, frozen=True, use_attribute_docstrings=True):
    """What is known of a wallet. The newest record of a key holds; an empty value takes the label back."""

    chain_id: Uint64 = 1
    address: LowerAddress
    label: Verdict
    """`unknown` withdraws what was known before, also where training data says so."""
    source: Annotated[str, Field(max_length=500)] = ""
    """Who says so."""
    group: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """The campaign: wallets of one are never on both sides of a split. None: it stands for itself."""
    labelled_at: AwareDatetime
    confidence: Share = 1.0
    note: Annotated[str, Field(max_length=2_000)] = ""
    prior: Prior | None = None
    """How Soba had judged it before; None where it had not seen it. Relabelling keeps the first."""

    @property
    def key(self) -> str:
        """The key of its record."""
        return f"{self.chain_id}:{self.address}"

    @property
    def campaign(self) -> str:
        """By which it is split."""
        return self.group or self.address
