"""A broker that dies leaves aiokafka with a broken connection, on uvloop as on asyncio's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from topics.broken_pipes import mend


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_request_to_a_dead_broker_finds_a_broken_connection(new_loop: Callable[[], Any]) -> None:
    mend()
    mend()

    async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    async def ask() -> None:
        async with await asyncio.start_server(dies, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            connection: Any = AIOKafkaConnection(host, port)
            connection._reader, connection._writer = await asyncio.open_connection(host, port)
            connection._read_task = connection._create_reader_task()
            with pytest.raises(KafkaConnectionError):
                while True:  # so that one falls between the end of the transport and aiokafka's notice of it
                    connection.send(ApiVersionRequest(), expect_response=False).close()
                    await asyncio.sleep(0)
            assert not connection.connected()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(ask())
