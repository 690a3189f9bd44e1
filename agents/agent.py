"""What an agent is: a handler of batches and the facts that the runtime needs to feed it.

A handler has no Kafka, Redis or clock: it takes records and the rows it named, and returns what should come of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from tables.registry import Table
from tables.rows import Answer, Row
from topics.headers import Headers, get
from topics.registry import Topic

RowName = tuple[Table, str]
"""A table and a key in it."""
Rows = Mapping[RowName, BaseModel | None]
"""The rows an agent named, parsed; None where there is none."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic, its value parsed by the topic's schema."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: Headers
    raw: bytes
    value: Any

    def header(self, name: str) -> str | None:
        """The header `name` as text, or None."""
        value = get(self.headers, name)
        return None if value is None else value.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Output:
    """A record to produce; `partition` only where a number carries over, else the key decides."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers = field(default_factory=list)
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A refused element: `raw` is its own bytes, `index` its place in the record where it was one of many."""

    record: Record
    reason: str
    field: str
    detail: str
    raw: bytes
    index: int | None = None


@dataclass(slots=True)
class Result:
    """What a handler makes of a batch. Outputs are confirmed before rows are written, rows before the input is acknowledged."""

    outputs: list[Output] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)


def no_rows(batch: Sequence[Record]) -> list[RowName]:
    """For an agent that reads no rows."""
    return []


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent of a Faust app, fed from a Faust stream.

    `keys` names the rows that `handle` reads; rows of `tables` written by this agent are kept in a write-through cache.
    """

    name: str
    topic: Topic
    handle: Callable[[Sequence[Record], Rows], Result]
    keys: Callable[[Sequence[Record]], list[RowName]] = no_rows
    batch: int = 64
    within_s: float = 0.02
