"""Questions the facade asks over requests.data, the answers, and what is said where there is none."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_EVENTS = 10_000
"""In one question."""


class ValidateEvents(BaseModel):
    """Judge each event by the schema and rules of chain.events. Elements are taken as they are: judging them is the question."""

    model_config = ConfigDict(ser_json_inf_nan="constants")
    """A number such as 1e400 is infinite to every parser; as null it would be a field left out, and the event valid."""

    op: Literal["validate_events"]
    events: Annotated[list[Any], Field(max_length=MOST_EVENTS)]


class Fault(BaseModel):
    """One thing wrong with one field: an error refuses the event, a warning does not."""

    field: str
    code: str
    message: str


class Verdict(BaseModel):
    """What the rules say of one event. `event` is its normal form where it is valid, ready for chain.events."""

    is_valid: bool
    errors: list[Fault]
    warnings: list[Fault]
    quality_score: Annotated[float, Field(ge=0, le=1)]
    event: dict[str, Any] | None = None


class Verdicts(BaseModel):
    """The answer to `ValidateEvents`, in the order asked."""

    verdicts: list[Verdict]


class NotAnswered(BaseModel):
    """In place of any answer: our own code failed on the question, which is among the dead letters now."""

    not_answered: Literal["handler_error"] = "handler_error"
