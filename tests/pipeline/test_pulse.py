"""The heartbeat of a worker, on a real Redis."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from agents.activity import Activity
from agents.outlet import Outlet
from agents.pulse import Pulse
from base.settings import Settings

pytestmark = pytest.mark.pipeline


class Ended(Exception):
    """The worker ends its process."""


def test_a_worker_that_has_nothing_to_do_ends_too_where_its_redis_was_started_anew(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(code: int, why: str) -> None:
        raise Ended(why)

    monkeypatch.setattr("agents.outlet.leave", leave)
    faust = SimpleNamespace(agents={}, rebalancing=False)
    outlet = Outlet(settings, Activity())

    async def beat() -> float:
        pulse = Pulse("DATA_PROCESSING", "pulse.test", 0, settings, outlet, faust)
        beating: Any = asyncio.create_task(pulse._beat())
        try:
            while not pulse._beaten_at and not beating.done():
                await asyncio.sleep(0.01)
            if beating.done():
                beating.result()
        finally:
            beating.cancel()
            await pulse.on_stop()
        return pulse._beaten_at

    assert asyncio.run(beat())  # nothing was written to any
    outlet.redis.ping()
    assert asyncio.run(beat())
    outlet._run_id = "another"
    with pytest.raises(Ended, match="Redis was restarted"):
        asyncio.run(beat())
