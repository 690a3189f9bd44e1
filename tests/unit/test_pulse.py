"""A worker's probes: what its activity makes of /health, /ready and the heartbeat, and who can reach them."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest

from agents.activity import Activity
from agents.pulse import BEAT_S, Pulse
from base.health import STUCK_S
from base.settings import Settings

NO_REDIS = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> float:
    """The time, which stands still: nothing is too long ago because the machine has much to do."""
    at = time.time()
    monkeypatch.setattr(time, "time", lambda: at)
    return at


def during(work: Callable[[Pulse, httpx.AsyncClient], Awaitable[None]], activity: Activity, **settings: Any) -> None:
    """Work on the probes of a worker whose partitions are assigned and whom Redis has just heard."""

    async def inside() -> None:
        faust = SimpleNamespace(
            rebalancing=False, agents={}, consumer=None, sensors=SimpleNamespace(remove=lambda one: None), monitor=None
        )
        chosen = Settings(_env_file=None, redis_url=NO_REDIS, **{"worker_port": 0, **settings})
        outlet: Any = SimpleNamespace(activity=activity)
        pulse = Pulse("DATA_PROCESSING", "DATA_PROCESSING.validate", 8004, chosen, outlet, faust)
        async with pulse:
            pulse._beaten_at = time.time()
            url = f"http://{pulse._host}:{pulse._port}"
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
                await work(pulse, client)

    asyncio.run(inside())


def test_a_worker_is_not_ready_before_it_joined_nor_while_a_partition_is_restored() -> None:
    activity = Activity()

    async def work(pulse: Pulse, client: httpx.AsyncClient) -> None:
        activity.joining = {"verdicts"}
        answer = await client.get("/ready")
        assert (answer.status_code, answer.json()) == (503, {"ready": False, "joining": ["verdicts"], "restoring": []})
        activity.joining.clear()
        assert (await client.get("/ready")).status_code == 200
        activity.restoring = {"validate/1": time.time(), "validate/0": time.time()}
        answer = await client.get("/ready")
        assert answer.status_code == 503
        assert answer.json() == {"ready": False, "joining": [], "restoring": ["validate/0", "validate/1"]}
        activity.restoring.clear()
        assert (await client.get("/ready")).status_code == 200
        pulse._beaten_at = time.time() - 3 * BEAT_S
        assert (await client.get("/ready")).status_code == 503

    during(work, activity)


@pytest.mark.parametrize(
    ("busy", "lag", "idle", "status"),
    [
        ((), 0, 3600, "healthy"),
        ((), 5, STUCK_S / 2, "healthy"),
        ((), 5, STUCK_S + 1, "stuck"),
        ((STUCK_S / 2,), 0, 0, "healthy"),
        ((1, STUCK_S + 1), 0, 0, "stuck"),  # the oldest one counts
    ],
)
def test_a_worker_is_stuck_on_what_waits_or_on_a_batch_or_restore(
    busy: tuple[float, ...], lag: int, idle: float, status: str, now: float
) -> None:
    since = [now - age for age in busy]
    restoring = dict.fromkeys(["validate/0"][: len(since)], min(since, default=0.0))
    activity = Activity(
        progress={"validate": now - idle, "verdicts": now}, lags={"validate": lag, "verdicts": 0}, restoring=restoring
    )

    async def work(pulse: Pulse, client: httpx.AsyncClient) -> None:
        answer = await client.get("/health")
        assert (answer.status_code, answer.json()["status"]) == (200 if status == "healthy" else 503, status)
        assert pulse._row().busy_since == min(since, default=None)
        activity.restoring.clear()
        activity.busy = dict(zip(("validate", "verdicts"), since, strict=False))
        assert (await client.get("/health")).json()["status"] == status
        assert pulse._row().busy_since == min(since, default=None)

    during(work, activity)


@pytest.mark.parametrize("lag", [0, 1])
def test_a_beat_without_anything_waiting_is_progress(lag: int) -> None:
    """Else the first record after a quiet hour would make a worker look stuck until its next heartbeat."""
    activity = Activity(progress={"validate": 1.0}, lags={"validate": lag})

    async def work(pulse: Pulse, client: httpx.AsyncClient) -> None:
        answer = await client.get("/health")  # by now the first beat was tried
        assert answer.status_code == (503 if lag else 200)
        assert (activity.progress["validate"] > 1.0) is (lag == 0)

    during(work, activity)


@pytest.mark.parametrize(("chosen", "at"), [({}, "127.0.0.1"), ({"worker_host": "127.0.0.2"}, "127.0.0.2")])
def test_the_probes_need_no_key_and_so_have_an_address_of_their_own(chosen: dict[str, str], at: str) -> None:
    async def work(pulse: Pulse, client: httpx.AsyncClient) -> None:
        listeners = [one for one in psutil.Process().net_connections("tcp") if one.status == psutil.CONN_LISTEN]
        assert [one.laddr.ip for one in listeners if one.laddr.port == pulse._port] == [at]

    during(work, Activity(), host="0.0.0.0", **chosen)


def test_where_the_port_is_taken_a_free_one_serves() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        async def work(pulse: Pulse, client: httpx.AsyncClient) -> None:
            assert pulse._port not in (0, port)
            assert (await client.get("/health")).status_code == 200

        during(work, Activity(), worker_port=port)
