"""Values from bytes by a topic's schema, once for all agents of a worker that read the topic.

A block of a few hundred events takes milliseconds to parse, which is more than what its readers do with it. Readers get the same
object, so none may change it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import TypeAdapter

from agents.agent import Agent, Record

Parse = Callable[[Record], Any]
"""A record's value. Raises pydantic's ValidationError where it fits no schema."""

HELD_BYTES = 16 * 1024 * 1024
"""As they came: parsed, they take about six times as much. What one reader is further behind than that is parsed again."""


def alone(schema: Any) -> Parse:
    """For a topic with one reader."""
    validate = TypeAdapter(schema).validate_json
    return lambda record: validate(record.raw)


class Shared:
    """For a topic that two agents of a worker read, each in a thread of its own: who comes second finds what the first made."""

    def __init__(self, schema: Any) -> None:
        self._validate = TypeAdapter(schema).validate_json
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[int, int], tuple[bytes, Any]] = OrderedDict()
        self._bytes = 0

    def __call__(self, record: Record) -> Any:
        # While one parses, the other waits and then finds it; it could not parse at the same time anyway.
        with self._lock:
            place = record.partition, record.offset
            if (held := self._held.pop(place, None)) is not None:
                self._bytes -= len(held[0])
                if held[0] == record.raw:
                    return held[1]
            value = self._validate(record.raw)
            self._held[place] = record.raw, value
            self._bytes += len(record.raw)
            while self._bytes > HELD_BYTES:
                _, (raw, _) = self._held.popitem(last=False)
                self._bytes -= len(raw)
            return value


def shared(agents: Sequence[Agent]) -> dict[str, Parse]:
    """By agent: how its values are parsed. Those of one topic share, where there are two."""
    topics: dict[str, list[Agent]] = {}
    for agent in agents:
        topics.setdefault(agent.topic.name, []).append(agent)
    found: dict[str, Parse] = {}
    for readers in topics.values():
        schema = readers[0].topic.schema
        parse: Parse = Shared(schema) if len(readers) == 2 else alone(schema)
        found |= {agent.name: parse for agent in readers}
    return found
