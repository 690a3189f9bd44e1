"""A live facade whose Redis or Kafka is killed with -9 and comes back: it needs no restart, and callers few repeats."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from redis.backoff import ExponentialBackoff

from base.settings import Settings
from console.local.process import Child
from console.local.servers import LocalServers
from facade import context
from facade.kafka import SEND_TIMEOUT_S
from facade.routes.data import EXAMPLE
from tests.conftest import wait_for
from tests.contract.facade import serving, validating
from topics.admin import create

pytestmark = pytest.mark.pipeline

PROCESS = "/api/python/data/process-event-stream"
POOLED = 8


@pytest.fixture
def busy(settings: Settings) -> Settings:
    """Settings with topics made and a rate limit that tests do not reach."""
    create(settings)
    return settings.model_copy(update={"rate_limit_per_minute": 100_000})


@contextlib.contextmanager
def killed(child: Child) -> Iterator[None]:
    """The server is dead inside and answers again after, whatever happens: it is the whole session's."""
    child.kill()
    try:
        yield
    finally:
        child.start()
        child.wait_ready()


def events() -> dict[str, object]:
    """The body of one valid event that is new."""
    return {"events": [{**EXAMPLE, "event_id": uuid.uuid4().hex, "transaction_hash": f"0x{uuid.uuid4().int:064x}"}]}


def test_the_first_request_after_redis_is_back_succeeds(
    servers: LocalServers, busy: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: set[Any] = set()
    """The requests that have found Redis away, and wait for it."""

    class Noted(ExponentialBackoff):
        def compute(self, failures: int) -> float:
            met.add(asyncio.current_task())
            return super().compute(failures)

    monkeypatch.setattr(context, "ExponentialBackoff", Noted)
    monkeypatch.setattr(context, "TRIES_AGAIN", 200)  # on a busy machine a start takes longer than from a launcher
    with serving(busy) as client, ThreadPoolExecutor(POOLED) as callers:

        def asked() -> list[Future[int]]:
            """Statuses of requests by many callers, so that many connections lie in the pool."""
            return [callers.submit(lambda: client.get("/api/mev").status_code) for _ in range(4 * POOLED)]

        assert {status.result() for status in asked()} == {200}
        with killed(servers.redis):
            pass
        assert {status.result() for status in asked()} == {200}
        with killed(servers.redis):
            met.clear()
            waiting = asked()
            wait_for(lambda: len(met) >= POOLED)
        assert {status.result() for status in waiting} == {200}  # waited for, not refused


def test_a_longer_absence_of_redis_is_told_and_over_when_it_is_back(servers: LocalServers, busy: Settings) -> None:
    with serving(busy) as client:
        assert client.get("/api/mev").status_code == 200
        with killed(servers.redis):
            began = time.monotonic()
            answer = client.get("/api/mev")
            assert answer.status_code == 503 and answer.json()["error"]["code"] == "unavailable"
            assert 1 < time.monotonic() - began < 30
            assert client.get("/health").status_code == 200
        assert client.get("/api/mev").status_code == 200
        assert client.get("/ready").json()["checks"]["redis"] == "ok"


def test_events_are_taken_again_once_kafka_is_back(servers: LocalServers, busy: Settings, tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    with validating(busy, log) as worker, serving(busy) as client:
        wait_for(lambda: worker.poll() is not None or client.post(PROCESS, json=events()).status_code == 200)
        assert worker.poll() is None, log.read_text()[-3000:]
        with killed(servers.kafka):
            began = time.monotonic()
            answer = client.post(PROCESS, json=events())
            assert answer.status_code == 503 and answer.json()["error"]["code"] == "unavailable", answer.text
            assert int(answer.headers["retry-after"]) > 0 and time.monotonic() - began < 4 * SEND_TIMEOUT_S
            assert client.get("/ready").json()["checks"] == {"redis": "ok", "kafka": "unreachable"}
            assert client.get("/api/mev").status_code == 200
        data = wait_for(lambda: client.post(PROCESS, json=events()).json().get("data"))
        assert data["valid"] == 1 and len(data["ids"]) == 1
        assert worker.poll() is None, log.read_text()[-3000:]
