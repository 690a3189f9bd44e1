"""A facade and all workers as processes, what they log, and what records carry for a request."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from base.settings import ROOT, Settings
from facade.routes.data import EXAMPLE
from ingest.files import read_blocks
from tests.conftest import logged, wait_for
from tests.contract.facade import serving, working
from topics import codecs
from topics.admin import create
from topics.clients import consumer, producer
from topics.headers import CARRIED

WORKERS = ("validate", "chain", "language")
HOPS = ("chain.events", "chain.blocks", "pair.trades", "wallet.activity", "mev.findings", "alerts", "chain.events.dlq")
VALIDATE, PROCESS = "/api/python/data/validate-blockchain-event", "/api/python/data/process-event-stream"


@dataclass
class System:
    """A facade and all workers."""

    http: httpx.Client
    settings: Settings
    logs: Path

    def lines(self, worker: str) -> list[dict[str, Any]]:
        """What a worker has logged; every line must be JSON of our form."""
        return [json.loads(line) for line in logged(self.logs / f"{worker}.log")]

    def about(self, worker: str, request_id: str) -> list[dict[str, Any]]:
        """A worker's lines about a request or its questions."""
        return [line for line in self.lines(worker) if str(line["request_id"]).startswith(request_id)]


@contextlib.contextmanager
def running(settings: Settings, logs: Path, **environment: str) -> Iterator[System]:
    create(settings)
    # Nothing is asked twice, however long a worker has to wait for a core: a repeat would have lines and spans too.
    busy = settings.model_copy(update={"rate_limit_per_minute": 100_000, "reply_timeout_s": 180.0})
    with contextlib.ExitStack() as stack:
        for name in WORKERS:
            stack.enter_context(working(name, settings, logs / f"{name}.log", **environment))
        http = stack.enter_context(serving(busy))
        wait_for(lambda: _ready(http))
        yield System(http, settings, logs)


def _ready(http: httpx.Client) -> bool:
    """Whether an answer comes: health tells of workers of other tests too."""
    return http.post(VALIDATE, json={"event": EXAMPLE}).status_code == 200


@contextlib.contextmanager
def reading(settings: Settings, *topics: str) -> Iterator[Consumer]:
    """A consumer of what comes from now on."""
    reader = Consumer(consumer(settings, f"traces-{uuid.uuid4().hex}"))
    try:
        where = [TopicPartition(topic, part) for topic in topics for part in range(settings.partitions)]
        for one in where:
            one.offset = reader.get_watermark_offsets(one, timeout=60)[1]
        reader.assign(where)
        yield reader
    finally:
        reader.close()


def carried(reader: Consumer, request_id: str, *wanted: str) -> dict[str, dict[str, str]]:
    """What records of each wanted topic carry for a request, once there is one of each."""
    found: dict[str, dict[str, str]] = {}

    def all_there() -> bool:
        for message in reader.consume(500, timeout=0.2):
            headers: Any = message.headers() or []
            told = {name: value.decode() for name, value in headers if name in CARRIED}
            if told.get("request_id") == request_id:
                first = found.setdefault(str(message.topic()), told)
                # Findings of one block may be told of in several batches, each a span of its own in the one trace.
                assert _of_trace(first) == _of_trace(told), message.topic()
        return found.keys() >= set(wanted)

    wait_for(all_there)
    return found


def _of_trace(told: dict[str, str]) -> dict[str, str]:
    return {name: value.split("-")[1] if name == "traceparent" else value for name, value in told.items()}


def sandwiches(chain: int) -> bytes:
    """A real block with sandwiches, on a chain of its own, and one transaction in it broken."""
    (found,) = read_blocks(ROOT / "samples" / "blocks" / "ethereum-18999999-real" / "block.json.gz")
    value = orjson.loads(codecs.encode(found.block.model_copy(update={"chain_id": chain})))
    value["events"].append({"event_type": "wish"})
    return orjson.dumps(value)


def send(system: System, chain: int, value: bytes, headers: dict[str, str]) -> None:
    client = Producer(producer(system.settings))
    client.produce("chain.events", value, str(chain).encode(), headers=dict(headers))
    assert client.flush(60) == 0


def new_trace() -> str:
    return f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"
