"""Spans of batches, and the trace context of what is made in them.

What is made from a record carries that record's context, as `topics.headers.CARRIED` says, whether or not anything is traced. While
spans are made, ours stand in between: what has no context gets that of the batch it was made in, and so does what belongs to the
same trace. A batch of many traces is linked to each and changes none of their contexts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from agents.agent import Output, Record
from base import tracing
from topics.headers import TRACEPARENT, TRACESTATE, Headers, get

LINKS = 128
"""Contexts that a span is linked to: OpenTelemetry's own limit."""
_OFF: AbstractContextManager[None] = nullcontext()
_TRACE_ID = slice(3, 35)


def batch(agent: str, topic: str, records: Sequence[Record]) -> AbstractContextManager[None]:
    """A span around the work on `records`, if anything is traced."""
    return _batch(agent, topic, records) if records and tracing.on() else _OFF


@contextmanager
def _batch(agent: str, topic: str, records: Sequence[Record]) -> Iterator[None]:
    attributes = {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": topic,
        "messaging.batch.message_count": len(records),
        "soba.agent": agent,
    }
    with tracing.span(f"process {topic}", "CONSUMER", attributes, _contexts(records)):
        yield


def _contexts(records: Iterable[Record]) -> list[tracing.Context]:
    """The contexts that records carry, once each."""
    found: dict[bytes, tracing.Context] = {}
    for record in records:
        traceparent = get(record.headers, TRACEPARENT)
        if traceparent is not None and traceparent not in found:
            told = {TRACEPARENT: traceparent.decode(errors="replace")}
            if (state := get(record.headers, TRACESTATE)) is not None:
                told[TRACESTATE] = state.decode(errors="replace")
            found[traceparent] = told
            if len(found) == LINKS:
                break
    return list(found.values())


def here() -> Headers:
    """The context of the batch in hand, as headers; [] while nothing is traced."""
    return [(name, value.encode()) for name, value in tracing.current().items()] if tracing.on() else []


def continued(headers: Headers, here: Headers) -> Headers:
    """`headers` with the context `here` in them where they have none, or one of the same trace."""
    carried = get(headers, TRACEPARENT)
    ours = get(here, TRACEPARENT)
    if ours is None or (carried is not None and carried[_TRACE_ID] != ours[_TRACE_ID]):
        return headers
    return [*((name, value) for name, value in headers if name not in (TRACEPARENT, TRACESTATE)), *here]


def stamp(outputs: Iterable[Output]) -> None:
    """Put the context of the batch in hand into what goes out of it, where it belongs there."""
    if ours := here():
        for output in outputs:
            output.headers[:] = continued(output.headers, ours)
