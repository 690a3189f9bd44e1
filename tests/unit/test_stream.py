"""How a batch is taken from a Faust stream: what is there, bounded in number and in bytes; and when it is confirmed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import faust
import pytest

from agents import profiles, stream
from agents.activity import Activity
from agents.stream import BATCH, BATCH_BYTES, taken


async def batches(sizes: list[int | None]) -> list[int]:
    """How many events each batch holds of a channel that is filled with values of these sizes; None: no value."""
    channel: Any = faust.App("batches", broker="kafka://127.0.0.1:1").channel(maxsize=1_000)
    for size in sizes:
        channel.queue.put_nowait(SimpleNamespace(message=SimpleNamespace(value=size and b" " * size)))
    found: list[int] = []
    while sum(found) < len(sizes):
        found.append(len(await taken(channel)))
    return found


@pytest.mark.parametrize(
    ("sizes", "found"),
    [
        ([None, 1, None], [3]),
        ([1] * (BATCH + 1), [BATCH, 1]),
        ([BATCH_BYTES // 2] * 5, [2, 2, 1]),
        ([BATCH_BYTES + 1, 1, BATCH_BYTES - 1, 1], [1, 2, 1]),
    ],
)
def test_a_batch_ends_where_it_is_large_enough(sizes: list[int | None], found: list[int]) -> None:
    assert asyncio.run(batches(sizes)) == found


class Channel:
    """A stream's channel and its queue, that ends where Faust would wait. `forgets`: a rebalance empties it meanwhile."""

    def __init__(self, many: int, ack: Callable[[], None], forgets: bool = False) -> None:
        self.queue, self._forgets = self, forgets
        self._events = [
            SimpleNamespace(
                message=SimpleNamespace(
                    value=b"{}",
                    key=b"",
                    headers=(),
                    topic="t",
                    partition=0,
                    offset=offset,
                    timestamp=1.0,
                    generation_id=1,
                ),
                ack=ack,
            )
            for offset in range(many)
        ]

    async def get(self) -> Any:
        if not self._events:
            raise StopAsyncIteration
        return self._events.pop(0)

    def get_nowait(self) -> Any:
        return self._events.pop(0)

    def empty(self) -> bool:
        was = not self._events
        if self._forgets and len(self._events) == 1:
            self._events.clear()
        return was


@pytest.mark.parametrize(
    ("many", "forgets", "told"),
    [
        (1, False, ["begin 1", "finish", "acknowledged 1"]),
        (BATCH + 1, False, [f"begin {BATCH}", "begin 1", "finish", f"acknowledged {BATCH + 1}"]),
        (BATCH + 1, True, [f"begin {BATCH}", "finish", f"acknowledged {BATCH}"]),
    ],
)
def test_a_batch_is_confirmed_while_the_next_is_done_or_at_once_where_none_waits(
    many: int, forgets: bool, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said, acknowledged = list[str](), list[int]()

    class Runner:
        def __init__(self, *_: Any) -> None: ...

        def begin(self, records: list[Any]) -> None:
            said.append(f"begin {len(records)}" + (", too much acknowledged" if acknowledged else ""))

        def finish(self) -> None:
            said.append("finish")

    runs: list[Any] = []
    app = SimpleNamespace(
        topic=lambda *_, **__: None,
        on_partitions_assigned=SimpleNamespace(connect=lambda call: call),
        consumer_generation_id=1,
        agent=lambda *_, **__: runs.append,
    )
    outlet: Any = SimpleNamespace(activity=Activity(), stopping=threading.Event())
    monkeypatch.setattr(stream, "Runner", Runner)
    with stream.attach(app, profiles.AGENT, outlet, lambda record: record):
        asyncio.run(runs[0](SimpleNamespace(channel=Channel(many, lambda: acknowledged.append(1), forgets))))
    assert [*said, f"acknowledged {len(acknowledged)}"] == told
