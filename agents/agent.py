"""What an agent is: a handler of batches and the facts that the runtime needs to feed it.

A handler has no Kafka or Redis: it takes records, the rows it named and the models it serves, and returns what should come of
them. It has no clock either; those whose answers are for the moment (verdicts, assess) look at it once a batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, cast

from pydantic import BaseModel

from models.fraud.lists import SHIPPED, Lists
from models.releases import Models, Served
from tables.registry import Table
from tables.rows import Answer, Row
from topics.headers import REQUEST_ID, Headers, get
from topics.registry import Topic

RowName = tuple[Table, str]
"""A table and a key in it."""
Rows = Mapping[RowName, BaseModel | None]
"""The rows an agent named, parsed; None where there is none."""


class Record(NamedTuple):
    """One record of a topic, its value parsed by the topic's schema. A tuple, because they are made by the 100,000 a second."""

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
    index: str | None = None


def from_nobody(record: Record) -> DeadLetter:
    """A question that does not say who asks: nobody could be told the answer."""
    return DeadLetter(record, "missing_field", REQUEST_ID, "a question needs the header request_id", record.raw)


@dataclass(slots=True)
class Result:
    """What a handler makes of a batch, in the order in which the runtime gives it out and has it confirmed.

    Dead letters and what is sent on to its right partition; then outputs; then what may follow them only; then rows and answers.
    After all that the input is acknowledged.
    """

    sent_on: list[Output] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    after: list[Output] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    taken: Counter[str] = field(default_factory=Counter)
    """For metrics, where a record holds many elements: how many were not refused, by what became of them."""
    older: int = 0
    """How many records said nothing, because the row is of a newer one."""
    held: int = 0
    """How many records said nothing, because their row is there and stays as it is."""
    warned: Counter[str] = field(default_factory=Counter)
    """For metrics: warnings of what was not refused, by code."""


def no_rows(batch: Sequence[Record]) -> list[RowName]:
    """For an agent that reads no rows."""
    return []


Handle = Callable[[Sequence[Record], Rows], Result]
HandleWithModels = Callable[[Sequence[Record], Rows, Models], Result]
HandleWithLists = Callable[[Sequence[Record], Rows, Models, Lists], Result]


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent of a Faust app. `keys` names the rows that `handle` reads, for the whole batch at once.

    `models` are the trained models that it serves: then `handle` takes them as its third argument, each batch those of one moment,
    and as its fourth, where it `lists`, the lists of addresses.
    `feed` is a Faust stream, or confluent-kafka's batch consume for topics of very many small messages or of questions that
    somebody waits for; the handler cannot tell which. `own` are the tables whose rows only this agent writes, which are kept in a
    write-through cache.
    """

    name: str
    topic: Topic
    handle: Handle | HandleWithModels | HandleWithLists
    keys: Callable[[Sequence[Record]], list[RowName]] = no_rows
    own: tuple[Table, ...] = ()
    cached: int = 5_000
    """How many of its own rows are kept in memory."""
    feed: Literal["stream", "consume"] = "stream"
    models: tuple[Served, ...] = ()
    lists: bool = False
    at_once: int = 64
    """How many records of a batch consume are done, and given out, together: nobody waits long for the answers to others."""

    def call(self, batch: Sequence[Record], rows: Rows, models: Models, lists: Lists = SHIPPED) -> Result:
        """Handle a batch; an agent is given no models or lists that it does not ask for."""
        if self.lists:
            return cast(HandleWithLists, self.handle)(batch, rows, models, lists)
        if self.models:
            return cast(HandleWithModels, self.handle)(batch, rows, models)
        return cast(Handle, self.handle)(batch, rows)


class Written(NamedTuple):
    """A record that an agent wrote, as a restart reads it back."""

    id: str
    """Its `ce_id`."""
    headers: Headers
    value: bytes


class State(Protocol):
    """What an agent keeps for one partition."""

    def restore(self, tail: Sequence[Written], committed: int) -> Result:
        """Take back what the agent wrote last (`tail`, oldest first); return what may not have been given out.

        The records of its topic below the offset `committed` are done with.
        """

    def handle(self, batch: Sequence[Record], now: float) -> Result:
        """Make of a batch, which may be empty, what should come of it at `now` (unix seconds). A raise changes nothing."""

    def floor(self) -> int | None:
        """The lowest offset still needed after a restart; None when none is."""


@dataclass(frozen=True, slots=True)
class Partitioned:
    """An agent with state, an object a partition, always fed by batch consume.

    `make(partition, partitions)` builds the state; it is restored from what it wrote last to the same partition number of
    `restored_from`: as few records as `enough` is content with, told them and the committed offset of `topic`, and never more than
    `tail`. `made_at` tells from such a record's `ce_id` the offset in `topic` of the record that changed it last: the newest that
    the agent had read, and the one whose trace and request it carries on. What follows it (`Result.after`) has its `ce_id` and one
    part more.
    """

    name: str
    topic: Topic
    make: Callable[[int, int], State]
    restored_from: Topic
    tail: int
    enough: Callable[[Sequence[Written], int], bool]
    made_at: Callable[[str], int]
