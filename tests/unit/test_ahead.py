"""How much Faust holds ready for a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents.app import WORKERS, make_app
from agents.stream import BATCH, BATCH_BYTES, taken
from base.settings import Settings


def event(size: int | None) -> Any:
    return SimpleNamespace(message=SimpleNamespace(value=None if size is None else bytes(size)))


@pytest.fixture
def channel(tmp_path: Path) -> Callable[[], Any]:
    """A stream's channel of a worker; to be made where a loop runs."""

    def made() -> Any:
        app = make_app(WORKERS["chain"], Settings(_env_file=None, brokers="127.0.0.1:1", data_dir=tmp_path))
        app.flow_control.resume()
        return app.channel()

    return made


@pytest.mark.parametrize(
    ("size", "held"),
    [(None, BATCH), (1, BATCH), (BATCH_BYTES // 4, 4), (BATCH_BYTES // 2 + 1, 2), (2 * BATCH_BYTES, 1)],
)
def test_it_is_full_by_number_or_by_bytes(channel: Callable[[], Any], size: int | None, held: int) -> None:
    async def put() -> int:
        queue = channel().queue
        while not queue.full():
            queue.put_nowait(event(size))
        return len(queue._queue)

    assert asyncio.run(put()) == held


def test_a_partition_is_paused_by_bytes_and_read_again_when_they_are_gone(channel: Callable[[], Any]) -> None:
    async def told() -> list[str]:
        one, said = channel(), list[str]()
        high, drop = (lambda: said.append("paused")), (lambda: said.append("read again"))
        for _ in range(4):  # of a fetch that is there already, more than what is asked for
            one.queue.put_nowait_enhanced(event(BATCH_BYTES // 2), on_pressure_high=high, on_pressure_drop=drop)
        for _ in range(2):
            said.append(f"took {len(await taken(one))}")
        asking = asyncio.ensure_future(taken(one))
        await asyncio.sleep(0)
        asking.cancel()
        return said

    assert asyncio.run(told()) == ["paused", "took 2", "took 2", "read again"]


def test_all_of_many_large_records_come_through(channel: Callable[[], Any]) -> None:
    async def through() -> list[int]:
        one = channel()

        async def put() -> None:
            for _ in range(7):
                await one.queue.put(event(BATCH_BYTES // 2))

        putting, found = asyncio.ensure_future(put()), list[int]()
        while sum(found) < 7:
            found.append(len(await asyncio.wait_for(taken(one), 5)))
        await putting
        return found

    assert set(asyncio.run(through())) <= {1, 2}


def test_what_a_rebalance_forgets_counts_no_more(channel: Callable[[], Any]) -> None:
    async def forgotten() -> tuple[bool, bool]:
        queue = channel().queue
        queue.put_nowait(event(BATCH_BYTES))
        before = queue.full()
        queue.clear()
        return before, queue.full()

    assert asyncio.run(forgotten()) == (True, False)
