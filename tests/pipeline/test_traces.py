"""A trace and a request through real workers that trace nothing: in records, dead letters and log lines."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from base.settings import Settings
from facade.routes.data import EXAMPLE
from tests.conftest import wait_for
from tests.contract.facade import new_chain
from tests.pipeline.system import HOPS, PROCESS, System, carried, new_trace, reading, running, sandwiches, send

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def system(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Without tracing."""
    with running(settings, tmp_path_factory.mktemp("plain")) as system:
        yield system


def test_a_trace_goes_through_every_hop(system: System) -> None:
    chain, request_id = new_chain(), uuid.uuid4().hex
    headers = {"request_id": request_id, "traceparent": new_trace(), "tracestate": "vendor=1"}
    with reading(system.settings, *HOPS) as reader:
        send(system, chain, sandwiches(chain), headers)
        found = carried(reader, request_id, *HOPS)
    assert found == {topic: headers for topic in HOPS}


def test_headers_of_megabytes_go_nowhere_and_end_no_worker(system: System) -> None:
    """Carried on, they would make records that no topic takes: of a finding, of an alert and of a dead letter."""
    chain, headers = new_chain(), {"request_id": uuid.uuid4().hex, "traceparent": new_trace()}
    huge = {"tracestate": "x" * (3 << 19), "origin": "y" * (3 << 20)}
    with reading(system.settings, *HOPS[1:]) as reader:
        send(system, chain, sandwiches(chain), {**headers, **huge})
        assert carried(reader, headers["request_id"], *HOPS[1:]) == {topic: headers for topic in HOPS[1:]}


def test_a_request_by_http_is_found_in_records_and_in_the_lines_of_every_process(
    system: System, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "soba.facade")
    chain, request_id, trace = new_chain(), f"order-{uuid.uuid4().hex}", new_trace()
    event = {**EXAMPLE, "chain_id": chain, "event_id": uuid.uuid4().hex}
    asked = {"X-Request-ID": request_id, "traceparent": trace}
    with reading(system.settings, "requests.data", "chain.events", "chain.blocks") as reader:
        answer = system.http.post(PROCESS, json={"events": [event]}, headers=asked)
        assert answer.status_code == 200 and answer.headers["traceparent"] == trace
        found = carried(reader, request_id, "chain.events", "chain.blocks")
    assert found == {
        "chain.events": {"request_id": request_id, "traceparent": trace},
        "chain.blocks": {"request_id": request_id, "traceparent": trace},
    }
    # It is written once the answer is sent.
    (line,) = wait_for(lambda: [one for one in caplog.records if getattr(one, "request_id", None) == request_id])
    assert line.__dict__["duration_ms"] > 0
    wait_for(lambda: len(system.about("validate", request_id)) == 2)
    told = system.about("validate", request_id)
    answered, made = told
    assert answered["message"] == "verdicts: answered" and answered["request_id"].startswith(f"{request_id}:")
    assert made["message"].startswith("validate: 1 to chain.blocks, 1 to pair.trades")
    for one in told:
        assert (one["service"], one["level"]) == ("data-processing", "INFO") and one["duration_ms"] > 0


def test_workers_say_with_what_they_start_what_is_theirs_and_what_they_restored(system: System) -> None:
    for name, agents in (
        ("validate", ["validate", "verdicts"]),
        ("chain", ["mev", "blocks", "detections"]),
        ("language", ["alerts", "risk_alerts"]),
    ):
        lines = system.lines(name)
        (start,) = [line for line in lines if line["message"] == f"worker {name} starts"]
        assert start["metadata"]["agents"] == agents
        assert start["metadata"]["settings"]["brokers"] == system.settings.brokers
        for agent in agents:
            wait_for(partial(said, system, name, f"{agent}: partitions 0, 1 are ours now"))
    wait_for(lambda: len(said(system, "validate", "restored from")) == system.settings.partitions)
    assert all(line["duration_ms"] > 0 for line in said(system, "validate", "restored from"))


def said(system: System, worker: str, words: str) -> list[dict[str, Any]]:
    """A worker's lines with these words."""
    return [line for line in system.lines(worker) if words in line["message"]]


def test_workers_tell_ages_and_dead_letters_by_reason(system: System) -> None:
    chain = new_chain()
    with reading(system.settings, "alerts", "chain.events.dlq") as reader:
        headers = {"request_id": (request_id := uuid.uuid4().hex)}
        send(system, chain, sandwiches(chain), headers)
        carried(reader, request_id, "alerts", "chain.events.dlq")
    port = next(
        int(line["message"].rpartition(":")[2])
        for line in system.lines("validate")
        if line["message"].startswith("health and metrics at")
    )

    def samples() -> dict[str, float]:
        """The worker's, once it has counted what it gave out."""
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=60).text
        told = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("soba_"))
        found = {name: float(value) for name, value in told}
        counted = [
            found.get('soba_dead_letters_total{agent="validate",reason="unknown_event_type"}', 0),
            found.get('soba_batch_seconds_count{agent="validate"}', 0),
        ]
        return found if min(counted) >= 1 else {}

    found = wait_for(samples)
    assert 0 <= found['soba_record_age_seconds{agent="validate"}'] < 3600
    assert found['soba_block_age_seconds{agent="validate"}'] > 3600  # the block is years old
