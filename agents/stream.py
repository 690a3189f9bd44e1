"""Feed an agent from a Faust stream, closing the traps that research/streams.md section 2 measured.

Events are taken from the stream's channel, not by iterating the stream: Faust's `take` and plain iteration acknowledge in a
`finally`, so a SIGTERM in mid-batch would lose it. Here each event is acknowledged after its batch. A batch is whatever came while
the last one was done, so an idle agent answers at once and a busy one takes many together (docs/decisions/0002), and is confirmed
while the next is done, where one waits (0025). Batches run in a
thread of their own, so the loop keeps its heartbeats while a handler computes or waits for a broker. No exception reaches Faust: it
would restart the agent and hang it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from agents import telling
from agents.agent import Agent, Record
from agents.outlet import Outlet, Stopped, leave
from agents.parsing import Parse
from agents.runtime import Runner
from base.exits import EXIT_FAILING

log = logging.getLogger("soba.runtime")

BATCH = 64
"""Records that are done at once, and held ready meanwhile, at most: rows of busy wallets are then written once for many blocks."""
BATCH_BYTES = 16 * 1024 * 1024
"""Parsed, a value takes about six times as much: a batch ends with the record that reaches this, and so does what is held ready."""


def attach(app: Any, agent: Agent, outlet: Outlet, parse: Parse) -> ThreadPoolExecutor:
    """Make `agent` an agent of the Faust `app`; return the thread its batches run in."""
    runner = Runner(agent, outlet, parse)
    thread = ThreadPoolExecutor(1, thread_name_prefix=agent.name)
    topic = app.topic(agent.topic.name, value_type=bytes, key_type=bytes, value_serializer="raw", key_serializer="raw")

    @app.on_partitions_assigned.connect  # type: ignore[untyped-decorator]
    async def assigned(_: Any, partitions: Any = (), **__: Any) -> None:
        runner.assigned()
        ours = sorted(where.partition for where in partitions if where.topic == agent.topic.name)
        log.info("%s: partitions %s are ours now", agent.name, ", ".join(map(str, ours)) or "(none)")

    def current(event: Any) -> bool:
        return bool(event.message.generation_id == app.consumer_generation_id)

    def acknowledge(events: list[Any]) -> None:
        outlet.activity.progress[agent.name] = time.time()
        for event in events:
            if current(event):
                event.ack()
        if events:
            telling.record_age(agent.name, events[-1].message.timestamp)

    async def run(stream: Any) -> None:
        channel = stream.channel
        held: list[Any] = []  # done and not yet confirmed

        def do(records: list[Record]) -> bool:
            """Do a batch; whether it is confirmed, as it is where no other waits."""
            runner.begin(records)
            return settle() if channel.empty() else False

        def settle() -> bool:
            runner.finish()
            return True

        async def threaded(call: Callable[[], bool]) -> bool:
            with outlet.activity.doing(agent.name):
                return await asyncio.get_running_loop().run_in_executor(thread, call)

        try:
            while True:
                # Faust empties the channel of a stream whose partitions are given up.
                if held and (channel.empty() or outlet.stopping.is_set()):
                    await threaded(settle)
                    acknowledge(held)
                    held = []
                events = await taken(channel)
                # What an assignment before this one read is read again by whoever has its partition now, perhaps by us.
                events = [event for event in events if current(event)]
                if outlet.stopping.is_set():
                    raise Stopped
                confirmed = await threaded(partial(do, [_record(event) for event in events]))
                acknowledge(held)
                held = events
                if confirmed:
                    acknowledge(held)
                    held = []
        except StopAsyncIteration:
            return  # what Faust throws into the channel of a stream that it stops
        except Stopped:
            log.info("%s: stopping in mid-batch", agent.name)
        except Exception as error:
            log.error("%s: unforeseen", agent.name, exc_info=error)
            leave(EXIT_FAILING, f"{agent.name}: {type(error).__name__}: {error}")

    app.agent(topic, name=agent.name, concurrency=1)(run)
    return thread


async def taken(channel: Any) -> list[Any]:
    """The next batch: an event, waited for, and those that are there behind it, to `BATCH` and about `BATCH_BYTES` of values."""
    events = [await channel.get()]
    size = len(events[0].message.value or b"")
    while len(events) < BATCH and size < BATCH_BYTES and not channel.empty():
        events.append(channel.queue.get_nowait())
        size += len(events[-1].message.value or b"")
    return events


def _record(event: Any) -> Record:
    message = event.message
    headers = message.headers or ()
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        headers=pairs,
        raw=message.value or b"",
        value=None,
    )
