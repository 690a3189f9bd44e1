"""Dead letters: what their headers say, and the records beside them that say what became of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from topics.schemas.fields import Uint64

Fate = Literal["replayed", "dropped"]
"""What an operator did with a letter; one that nothing was done with is open."""


class Letter(BaseModel):
    """The headers of a dead letter. Its value is the refused element, byte for byte."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(alias="ce_id")
    """Where the element stood: the same refusal, told again after a crash, has the same id and the same bytes."""
    reason: str = Field(alias="dlq.reason")
    field: str = Field("", alias="dlq.field")
    detail: str = Field("", alias="dlq.detail")
    source: str = Field(alias="dlq.source")
    agent: str = Field(alias="dlq.agent")
    index: str | None = Field(None, alias="dlq.index", pattern=r"^(transactions/)?[0-9]{1,9}$")
    """Its place where it was one of many: its number, `transactions/` before it where it is no event of an envelope."""
    attempt: int = Field(0, alias="dlq.attempt", ge=0)
    """How often it had been replayed when it was refused."""
    letter: str | None = Field(None, alias="dlq.letter")
    """The letter that it was replayed from."""


class Handled(BaseModel):
    """What became of letters: a record in their own partition, after them, so that retention deletes it after them too."""

    status: Fate
    offsets: Annotated[list[Uint64], Field(min_length=1)]
    at: datetime
