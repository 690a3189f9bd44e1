"""Record headers: CloudEvents in binary mode, tracing and the reasons of a dead letter."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

Headers = list[tuple[str, bytes]]

REROUTED = "rerouted"
ORIGIN = "origin"
"""On a rerouted record: where it first stood."""
HELD = "held"
"""On a record of chain.blocks: what its chain's window of blocks was when it was written (agents/resumed.py)."""
REQUEST_ID = "request_id"
REPLY_TO = "reply_to"
TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
_FORMS = {
    REQUEST_ID: re.compile(rb".{1,300}", re.DOTALL),
    TRACEPARENT: re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"),
    TRACESTATE: re.compile(rb"[\x20-\x7e]{1,512}"),
}
"""Anybody may write them, in any size, and what they stand on next may be small: only what has its form goes on."""
CARRIED = tuple(_FORMS)
"""Headers of a record that go on to what is made from it."""
ATTEMPT = "dlq.attempt"
"""On a replayed record, and on the dead letter that it becomes if it is refused again: how often it was replayed."""
LETTER = "dlq.letter"
"""Beside it: the place of the dead letter that it was replayed from."""
LETTER_TYPE, HANDLED_TYPE = "soba.dead_letter", "soba.dead_letters.handled"
"""`ce_type` of the two kinds of records in a dead-letter topic: letters, and what became of them (`topics.schemas.letters`)."""

CONTENT_TYPE = "content-type"
LONGEST_PLACE = 300
"""Bytes of a record's place (`place`): a topic's name has at most 249."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a header means, for the documents of the wire. `always`: no record of its kind is without it."""

    name: str
    doc: str
    always: bool = False


TRACED = (
    Header(REQUEST_ID, "The request that it all goes back to: X-Request-ID of HTTP; in every log line about it."),
    Header(TRACEPARENT, "W3C trace context, of the record that this one was made from."),
    Header(TRACESTATE, "W3C trace state, carried beside traceparent."),
)
RESULT = (
    Header("ce_specversion", "CloudEvents: 1.0.", always=True),
    Header("ce_id", "CloudEvents: deterministic; the same result, made again, has the same one.", always=True),
    Header("ce_source", "CloudEvents: the agent that made it.", always=True),
    Header("ce_type", "CloudEvents: what it is.", always=True),
    Header(CONTENT_TYPE, "application/json.", always=True),
    *TRACED,
)
"""Of what an agent makes."""
BLOCK = (
    *RESULT,
    Header(HELD, "The chain's window of blocks when it was written: the lowest number and how many. validate's own."),
)
"""Of a validated block."""
REPLAYED = (
    Header(ATTEMPT, "How often it was replayed from the dead letters."),
    Header(LETTER, "The dead letter that it was replayed from: topic/partition/offset."),
)
"""Of what an operator sent again, and of the dead letter that it becomes if it is refused again."""
TAKEN_IN = (
    Header(CONTENT_TYPE, "application/json, whatever it says."),
    Header(REROUTED, "1: sent on to the partition of its chain, once."),
    Header(ORIGIN, "On a rerouted record: where it first stood, topic/partition/offset[/index]."),
    *TRACED,
)
"""Of what anyone may send."""
QUESTION = (
    Header(REQUEST_ID, "Names the question; its answer is the row answers:{request_id} in Redis.", always=True),
    Header(REPLY_TO, "The Redis channel on which the asker hears that the answer is there."),
    Header(CONTENT_TYPE, "application/json."),
    *TRACED[1:],
)
"""Of a question."""
ASKED = (
    Header(REQUEST_ID, "Names the request, so that it is assessed once; without it, its place does: partition:offset."),
    QUESTION[1],
    Header(CONTENT_TYPE, "application/json, whatever it says."),
    *TRACED[1:],
)
"""Of what anyone may send, and may wait for an answer to."""
DEAD_LETTER = (
    *RESULT[:4],
    Header("dlq.reason", "Why it was refused, in one word; handler_error: our own code failed on it.", always=True),
    Header("dlq.field", "The field at fault; empty where it is no single one.", always=True),
    Header("dlq.detail", "Why, in a sentence.", always=True),
    Header("dlq.source", "Where it stood: topic/partition/offset.", always=True),
    Header("dlq.agent", "Who refused it.", always=True),
    Header("dlq.index", "Its place, where it was one of many."),
    *REPLAYED,
    *TRACED,
)
"""Of a refused element."""

_JSON = (CONTENT_TYPE, b"application/json")
_SPEC = ("ce_specversion", b"1.0")


def cloud_event(id: str, source: str, kind: str, carried: Iterable[tuple[str, bytes]] = ()) -> Headers:
    """Headers of a result. `id` is deterministic: the same result, made again, has the same one."""
    return [
        _SPEC,
        ("ce_id", id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", kind.encode()),
        _JSON,
        *carry(carried),
    ]


def carry(headers: Iterable[tuple[str, bytes]]) -> Headers:
    """Those of `headers` that go on to what is made from their record: the first well-formed one of each name."""
    found: dict[str, bytes] = {}
    for name, value in headers:
        if name in _FORMS and value is not None and _FORMS[name].fullmatch(value):
            found.setdefault(name, value)
    return list(found.items())


def get(headers: Iterable[tuple[str, bytes]] | None, name: str) -> bytes | None:
    """The first header called `name`, or None."""
    for key, value in headers or ():
        if key == name:
            return value
    return None


def place(topic: str, partition: int, offset: int, index: str | None) -> str:
    """`topic/partition/offset`, and the element's place where it is one of many."""
    return f"{topic}/{partition}/{offset}" + ("" if index is None else f"/{index}")


def parse_place(text: str) -> tuple[str, int, int] | None:
    """Topic, partition and offset of what `place` wrote; None for anything else."""
    found = re.fullmatch(r"([\w.-]{1,249})/(\d{1,9})/(\d{1,18})(/.*)?", text, re.ASCII)
    return None if found is None else (found[1], int(found[2]), int(found[3]))


def history(carried: Iterable[tuple[str, bytes]]) -> Headers:
    """The headers that say of a record that it was replayed; anybody may have written them, so only what is well formed."""
    attempt, letter = get(carried := list(carried), ATTEMPT), get(carried, LETTER)
    if attempt is None or letter is None or not re.fullmatch(rb"[0-9]{1,6}", attempt) or len(letter) > LONGEST_PLACE:
        return []
    return [(ATTEMPT, attempt), (LETTER, letter)]


def dead_letter(
    *,
    topic: str,
    partition: int,
    offset: int,
    index: str | None,
    reason: str,
    field: str,
    detail: str,
    agent: str,
    carried: Iterable[tuple[str, bytes]] = (),
) -> Headers:
    """Headers of a dead letter: where the record stood and what was wrong with it. Its id is its place, so a repeat is equal."""
    carried = list(carried)
    origin = (get(carried, ORIGIN) or b"")[: LONGEST_PLACE + 1].decode(errors="replace")
    known = len(origin) <= LONGEST_PLACE and parse_place(origin) is not None
    source = origin if known else place(topic, partition, offset, None)
    out: Headers = [
        _SPEC,
        ("ce_id", (source if index is None else f"{source}/{index}").encode()),
        ("ce_source", agent.encode()),
        ("ce_type", LETTER_TYPE.encode()),
        ("dlq.reason", reason.encode()),
        ("dlq.field", field.encode()),
        ("dlq.detail", detail.encode(errors="replace")[:2000]),
        ("dlq.source", source.encode()),
        ("dlq.agent", agent.encode()),
    ]
    if index is not None:
        out.append(("dlq.index", index.encode()))
    return [*out, *carry(carried), *history(carried)]
