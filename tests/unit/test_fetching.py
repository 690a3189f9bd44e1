"""How long Faust's consumer waits where nothing ends the wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faust
from faust.transport.drivers import aiokafka
from faust.types import TP

from agents.app import WORKERS, make_app
from agents.fetching import WAIT_S, _Consumer, look_sooner
from base.settings import Settings

FULL, EMPTY = TP("chain.blocks", 0), TP("chain.blocks", 1)


@contextmanager
def consumer() -> Iterator[Any]:
    """The consumer of an app that reads two partitions; to be used where a loop runs."""
    app: Any = faust.App("fetching", broker="kafka://127.0.0.1:1")
    look_sooner(app)
    app.consumer._set_active_tps({FULL, EMPTY})
    yield app.consumer
    app.consumer._thread.thread_loop.close()


def test_workers_read_with_it(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, brokers="127.0.0.1:1", data_dir=tmp_path)
    assert make_app(WORKERS["chain"], settings).transport.Consumer is _Consumer


def test_the_broker_answers_soon_that_it_has_nothing() -> None:
    async def waits() -> list[int]:
        with consumer() as one:
            thread, transport = one._thread, one.transport
            faust_s = aiokafka.AIOKafkaConsumerThread._create_worker_consumer(thread, transport)
            both = thread._create_worker_consumer(transport), faust_s
            for made in both:
                await made.stop()
            return [made._fetch_max_wait_ms for made in both]

    assert asyncio.run(waits()) == [WAIT_S * 1000, 1500]


def test_while_one_stream_is_full_records_of_others_are_waited_for_briefly() -> None:
    async def asked() -> list[Any]:
        asked = []

        async def getmany(active: set[TP], timeout: float) -> dict[TP, Any]:
            asked.append((set(active), timeout))
            return {}

        with consumer() as one:
            one._thread.getmany = getmany
            one.on_buffer_full(FULL)
            assert [record async for record in one.getmany(1.0)] == []
        return asked

    assert asyncio.run(asked()) == [({EMPTY}, WAIT_S)]


def test_where_all_streams_are_full_it_looks_again_soon() -> None:
    async def slept() -> list[float]:
        slept = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        with consumer() as one:
            one.sleep = sleep
            for partition in (FULL, EMPTY):
                one.on_buffer_full(partition)
            assert [record async for record in one.getmany(1.0)] == []
        return slept

    assert asyncio.run(slept()) == [WAIT_S]
