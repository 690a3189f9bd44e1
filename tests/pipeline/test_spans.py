"""Spans of a facade and real workers, as a collector receives them."""

from __future__ import annotations

import uuid
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from base import tracing
from base.settings import Settings
from facade.routes.data import EXAMPLE
from tests.conftest import wait_for
from tests.contract.facade import new_chain
from tests.pipeline.collector import Collector, collecting
from tests.pipeline.system import (
    HOPS,
    VALIDATE,
    WORKERS,
    System,
    carried,
    new_trace,
    reading,
    running,
    sandwiches,
    send,
)

pytestmark = pytest.mark.pipeline


def test_spans_reach_a_collector_and_stand_in_one_trace(settings: Settings, tmp_path: Path) -> None:
    with collecting() as collector:
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        with running(settings, tmp_path, **endpoint) as system:
            tracing.start("facade", collector.endpoint)
            try:
                _a_request_is_one_trace(system, collector)
                _a_block_is_one_trace(system, collector)
            finally:
                tracing.stop()
        assert collector.paths == {"/v1/traces"}
        for name in WORKERS:
            told = [
                line for line in system.lines(name) if line["metadata"]["logger"].startswith(("soba", "opentelemetry"))
            ]
            # A broker that just started makes Kafka's warn, and one that has to wait for a core is told of.
            wrong = [line for line in told if line["level"] != "INFO" and "Kafka at" not in line["message"]]
            assert told and not wrong, wrong


def _a_request_is_one_trace(system: System, collector: Collector) -> None:
    """The facade's span is the caller's child, the worker's batch that of the facade's."""
    trace = new_trace()
    assert system.http.post(VALIDATE, json={"event": EXAMPLE}, headers={"traceparent": trace}).status_code == 200
    ours = bytes.fromhex(trace[3:35])
    tracing.stop()  # sends what is left
    tracing.start("facade", collector.endpoint)

    def both() -> list[Any]:
        asked = collector.of("facade", f"POST {VALIDATE}")
        found = [*asked, *collector.of("data-processing", "process requests.data")]
        found = [span for span in found if span.trace_id == ours]
        return found if len(found) == 2 else []

    request, batch = wait_for(both)
    assert request.parent_span_id == bytes.fromhex(trace[36:52])
    assert batch.parent_span_id == request.span_id
    assert {one.key: one.value.int_value for one in batch.attributes}["messaging.batch.message_count"] == 1


def _a_block_is_one_trace(system: System, collector: Collector) -> None:
    """From the producer's span to the alert each hop is the child of the one before."""
    chain, request_id, trace = new_chain(), uuid.uuid4().hex, new_trace()
    with reading(system.settings, *HOPS) as reader:
        send(system, chain, sandwiches(chain), {"request_id": request_id, "traceparent": trace})
        found = carried(reader, request_id, *HOPS)
    assert {told["traceparent"][3:35] for told in found.values()} == {trace[3:35]}
    wanted = {
        "chain.events": ("data-processing", trace),
        "chain.blocks": ("blockchain-intelligence", found["chain.blocks"]["traceparent"]),
        "mev.findings": ("nlp-translation", found["mev.findings"]["traceparent"]),
    }
    for topic, (service, parent) in wanted.items():
        for span in wait_for(partial(_children, collector, service, topic, parent)):
            if span.parent_span_id:  # where other tests' blocks were in the batch too, it belongs to no one trace
                assert span.trace_id == bytes.fromhex(trace[3:35])
                assert all(link.trace_id == span.trace_id for link in span.links)


def _children(collector: Collector, service: str, topic: str, parent: str) -> list[Any]:
    """The batches of a topic that are children of the span that `parent` names, or link to it among others."""
    found, id = collector.of(service, f"process {topic}"), bytes.fromhex(parent[36:52])
    return [span for span in found if id in (span.parent_span_id, *(link.span_id for link in span.links))]
