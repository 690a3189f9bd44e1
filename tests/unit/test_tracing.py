"""Spans of batches and requests, and how they stand among the contexts that records carry."""

from __future__ import annotations

import asyncio
import builtins
import logging
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from agents import spans
from agents.activity import Activity
from agents.agent import Agent, Output, Record, Result, Rows
from agents.outlet import Outlet
from agents.runtime import Runner
from base import tracing
from base.settings import ROOT
from facade.middleware import Watch
from facade.requests import trace
from tests.unit.handled import OnItsWay
from tests.unit.test_carried import Work, one, traced
from tests.unit.wire import NUMBER
from topics.headers import Headers, cloud_event, get
from topics.registry import ALERTS, REQUESTS_DATA

Spans = Callable[[], Sequence[ReadableSpan]]
QUESTION = b'{"op": "validate_events", "events": []}'


@pytest.fixture
def seen() -> Iterator[Spans]:
    """Tracing is on; the spans that ended."""
    exporter = InMemorySpanExporter()
    tracing.use("fraud-detection", SimpleSpanProcessor(exporter))
    yield exporter.get_finished_spans
    tracing.stop()


def traceparent(number: int) -> str:
    return (get(traced(number), "traceparent") or b"").decode()


def context(span: ReadableSpan) -> str:
    """The traceparent of what was made in a span."""
    made = span.get_span_context()
    assert made is not None
    return f"00-{made.trace_id:032x}-{made.span_id:016x}-{made.trace_flags:02x}"


def parents(span: ReadableSpan) -> list[tuple[int, int]]:
    """(trace, span) of what a span is linked to."""
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


class Shelf:
    """An outlet that stamps what it is given, as the real one does, and keeps it."""

    def __init__(self) -> None:
        self.activity = Activity()
        self.outputs: list[Output] = []

    def read(self, agent: str, names: Any) -> dict[Any, Any]:
        return {}

    def give(self, agent: str, result: Result) -> list[int]:
        return self.giving(agent, result).finish()

    def giving(self, agent: str, result: Result) -> OnItsWay:
        spans.stamp(result.outputs)
        self.outputs += result.outputs
        return OnItsWay(list)


def handle(batch: Sequence[Record], rows: Rows) -> Result:
    if any(record.key == b"bad" for record in batch):
        raise RuntimeError("cannot")
    return Result(outputs=[Output(ALERTS.name, b"k", b"{}", cloud_event("i", "t", "t", r.headers)) for r in batch])


def question(offset: int, headers: Headers, key: bytes = b"k") -> Record:
    return Record(REQUESTS_DATA.name, 0, offset, key, headers, QUESTION, None)


def run(*batch: Record) -> list[str | None]:
    """Have a stateless agent do a batch; the context of each output."""
    shelf = Shelf()
    Runner(Agent("test", REQUESTS_DATA, handle), cast(Outlet, shelf)).process(batch)
    found = [get(output.headers, "traceparent") for output in shelf.outputs]
    return [None if value is None else value.decode(errors="replace") for value in found]


def test_off_nothing_is_made_and_contexts_go_on_as_they_came() -> None:
    assert not tracing.on()
    assert spans.batch("a", "t", [question(0, [])]) is spans.batch("a", "t", [question(1, [])])
    assert run(question(0, traced(1)), question(1, [])) == [traceparent(1), None]


def test_off_costs_no_import() -> None:
    # redis-py imports the rest of OpenTelemetry by itself where it is installed.
    code = (
        "import agents.app, facade.app, sys; print([m for m in sys.modules if m.startswith('opentelemetry.exporter')])"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_a_batch_is_a_span_that_says_how_much_it_was(seen: Spans) -> None:
    run(question(0, []), question(1, []))
    (span,) = seen()
    assert (span.name, span.kind) == ("process requests.data", SpanKind.CONSUMER)
    assert dict(span.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "requests.data",
        "messaging.batch.message_count": 2,
        "soba.agent": "test",
    }
    assert span.resource.attributes["service.name"] == "fraud-detection"
    assert span.resource.attributes["service.namespace"] == "soba"


def test_a_batch_of_one_trace_is_part_of_it_and_so_is_what_it_makes(seen: Spans) -> None:
    made = run(question(0, traced(1)), question(1, traced(1)), question(2, []))
    (span,) = seen()
    assert span.parent is not None and (span.parent.trace_id, span.parent.span_id) == (1, 1)
    assert parents(span) == [(1, 1)]
    assert made == [context(span)] * 3


def test_a_batch_of_many_traces_is_linked_to_each_and_changes_none(seen: Spans) -> None:
    made = run(question(0, traced(1)), question(1, traced(2)), question(2, []), question(3, traced(1)))
    (span,) = seen()
    assert span.parent is None
    assert parents(span) == [(1, 1), (2, 2)]
    assert made == [traceparent(1), traceparent(2), context(span), traceparent(1)]


def test_a_context_that_is_none_is_taken_for_none(seen: Spans) -> None:
    run(question(0, [("traceparent", b"\xff nonsense")]))
    (span,) = seen()
    assert span.parent is None and not span.links


def test_a_trace_state_is_carried_and_known_to_the_span(seen: Spans) -> None:
    shelf = Shelf()
    record = question(0, [*traced(1), ("tracestate", b"vendor=1")])
    Runner(Agent("test", REQUESTS_DATA, handle), cast(Outlet, shelf)).process([record])
    (span,) = seen()
    assert span.parent is not None and span.parent.trace_state.get("vendor") == "1"
    assert get(shelf.outputs[0].headers, "tracestate") == b"vendor=1"


def test_more_traces_than_a_span_may_be_linked_to_are_cut(seen: Spans) -> None:
    run(*(question(n, traced(n + 1)) for n in range(spans.LINKS + 50)))
    (span,) = seen()
    assert len(span.links) == spans.LINKS


def test_a_failing_handler_is_seen(seen: Spans) -> None:
    run(question(0, [], b"bad"))
    (span,) = seen()
    assert span.status.status_code.name == "ERROR" and span.status.description == "RuntimeError: cannot"
    assert [event.name for event in span.events] == ["exception"]


def test_a_block_of_records_without_a_trace_gets_that_of_the_batch_that_took_the_last(
    seen: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(monkeypatch)
    work.do([one(NUMBER, 0, 0, [])])
    work.do([one(NUMBER, 1, 1, [])])
    work.do([one(NUMBER + 1, 2, 0, [])])
    work.do([])  # a tick is no batch
    (block,) = work.of("chain.blocks")
    first, second, third = seen()
    assert (get(block, "traceparent") or b"").decode() == context(second)
    assert {span.name for span in (first, second, third)} == {"process chain.events"}


def test_stopped_in_mid_batch_nothing_breaks(seen: Spans) -> None:
    with spans.batch("a", "t", [question(0, [])]):
        tracing.stop()
        assert spans.here() == []
    with tracing.span("late", "CONSUMER", {}):
        pass


def test_an_endpoint_without_the_extra_is_told_of_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")):
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with caplog.at_level(logging.WARNING):
        tracing.start("facade", "")
        assert not caplog.records
        tracing.start("facade", "http://127.0.0.1:4318")
    assert not tracing.on()
    assert [record.getMessage() for record in caplog.records] == [tracing.MISSING]
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["otel"]
    names = " ".join(one.partition(">")[0] for one in extra)
    for text in (tracing.MISSING, (ROOT / "docs" / "operations.md").read_text()):
        assert f".venv/bin/pip install {names}" in text and "SOBA_OTEL_ENDPOINT" in text


# Requests


def asked(status: int = 200, path: str = "/api/mev", **headers: str) -> tuple[dict[str, str], dict[str, str]]:
    """Headers of the answer to a request, and what would go to Kafka for it."""
    answer: dict[str, str] = {}
    carried: dict[str, str] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        request: Any = type("Request", (), {"scope": scope})()
        carried.update((name, value.decode()) for name, value in trace(request).carried)
        await send({"type": "http.response.start", "status": status, "headers": []})

    async def send(message: Any) -> None:
        answer.update((name.decode(), value.decode()) for name, value in message["headers"])

    async def receive() -> Any:
        return {}

    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(Watch(app)(scope, receive, send))
    return answer, carried


def test_off_a_request_carries_what_it_came_with_or_a_new_trace() -> None:
    answer, carried = asked(traceparent=traceparent(7), tracestate="vendor=1")
    assert answer["traceparent"] == carried["traceparent"] == traceparent(7)
    assert carried["tracestate"] == "vendor=1" and carried["request_id"] == answer["x-request-id"]
    answer, carried = asked(tracestate="vendor=1")
    assert answer["traceparent"] == carried["traceparent"] and "tracestate" not in carried


def test_a_request_is_a_span_of_its_callers_trace(seen: Spans) -> None:
    answer, carried = asked(traceparent=traceparent(7))
    (span,) = seen()
    assert span.kind is SpanKind.SERVER and span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (7, 7)
    assert answer["traceparent"] == traceparent(7) and carried["traceparent"] == context(span)
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/api/mev",
        "http.route": "unmatched",
        "http.response.status_code": 200,
    }


def test_a_request_without_a_trace_begins_one(seen: Spans) -> None:
    answer, carried = asked(503)
    (span,) = seen()
    assert span.parent is None and span.status.status_code.name == "ERROR"
    assert answer["traceparent"] == carried["traceparent"] == context(span)


def test_probes_are_no_spans(seen: Spans) -> None:
    asked(path="/health")
    assert not seen()
