"""Feed an agent with confluent-kafka's batch consume, as a service of the Faust worker.

For topics of very many small messages, where a Faust message costs about 65 µs and one consumed here under 2, and for questions
that somebody waits for, since no other thread's turn comes between (docs/decisions/0012). One thread owns consumer,
handler and commit; offsets are committed only for what is confirmed, every half second, which nothing waits for, and whenever
partitions are given up.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from mode import Service

from agents import telling
from agents.agent import Agent, Partitioned, Record
from agents.outlet import SLOW_S, Outlet, Stopped, leave
from agents.trouble import Troubles
from agents.work import Batch, Positions, Stateful, Stateless, Work
from base import metrics
from base.exits import EXIT_FAILING
from base.settings import Settings
from topics import clients
from topics.clients import headers_of

log = logging.getLogger("soba.runtime")

TICK_S = 0.25
COMMIT_EVERY_S = 0.5
BATCH = 4_000
"""Records done at once: fewer than a restart looks back, so that what one batch left undone is found."""
BATCH_BYTES = 16 * 1024 * 1024
STEP = 64
"""A batch is taken in steps of so many records, until it has `BATCH_BYTES`."""

_RECORD: Callable[[tuple[Any, ...]], Record] = partial(tuple.__new__, Record)
"""A record of its fields in order: by `Record` itself it takes twice as long, and this is done 100,000 times a second."""


class ConsumeFeed(Service):
    """Runs the consumer of one agent in a thread for as long as its Faust app runs."""

    def __init__(self, app_id: str, agent: Agent | Partitioned, settings: Settings, outlet: Outlet) -> None:
        super().__init__()
        self._agent = agent
        self._outlet = outlet
        self._troubles = Troubles(settings)
        self._config = clients.consumer(settings, f"{app_id}.{agent.name}", on_commit=self._on_commit)
        self._work: Work = Stateless(agent, outlet) if isinstance(agent, Agent) else Stateful(agent, settings, outlet)
        outlet.activity.joining.add(agent.name)
        self._thread = threading.Thread(target=self._run, name=agent.name, daemon=True)
        self._positions: Positions = {}
        self._done: Positions = {}
        """What may be committed: positions, held back where a block is open."""
        self._committed: Positions = {}
        self._asked_at: float | None = None
        """Since when a commit is under way that nothing waits for."""
        self._ours: set[int] = set()
        self._fresh: set[int] = set()
        """Partitions that were assigned and not yet told to the work."""
        self._written_at: float | None = None
        """When the last record of the batch in hand was written, by Kafka."""

    async def on_start(self) -> None:
        """Begin to consume."""
        self._thread.start()

    async def on_stop(self) -> None:
        """Finish the batch in hand, commit, leave the group."""
        self._outlet.stopping.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        try:
            consumer = Consumer(self._config)
            consumer.subscribe(
                [self._agent.topic.name], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )
            try:
                self._consume(consumer)
                self._settle()
                self._commit(consumer, wait=True)
            except Stopped:
                log.info("%s: stopping in mid-batch", self._agent.name)
            consumer.close()
        except Exception as error:
            log.error("%s: unforeseen", self._agent.name, exc_info=error)
            leave(EXIT_FAILING, f"{self._agent.name}: {type(error).__name__}: {error}")

    def _consume(self, consumer: Consumer) -> None:
        commit_at = time.monotonic() + COMMIT_EVERY_S
        while not self._outlet.stopping.is_set():
            self.do(consumer)
            if time.monotonic() >= commit_at:
                if self._asked_at is None:
                    self._commit(consumer, wait=False)  # the broker takes up to 10 ms for it
                elif time.monotonic() - self._asked_at > SLOW_S:
                    self._note_commit(KafkaError(KafkaError._TIMED_OUT), [])
                self._measure_lag(consumer)
                commit_at = time.monotonic() + COMMIT_EVERY_S

    def do(self, consumer: Consumer) -> None:
        """Do one batch, and note what may be committed of it.

        Raises:
            Stopped: the worker stops in mid-batch.
        """
        batch = self._batch(consumer)
        if self._fresh:
            log.info("%s: partitions %s are ours now", self._agent.name, ", ".join(map(str, sorted(self._fresh))))
            # Not in the callback that told of them: librdkafka's Python client cannot take another callback after a nested call.
            self._work.assigned(consumer, sorted(self._fresh))
            self._fresh.clear()
            self._outlet.activity.joining.discard(self._agent.name)
        # A record may have been taken just before its partition was given up.
        batch = {partition: records for partition, records in batch.items() if partition in self._ours}
        with self._outlet.activity.doing(self._agent.name):
            done = self._work.process(consumer, batch)
        self._note_done(done)
        if batch:
            telling.record_age(self._agent.name, self._written_at)

    def _settle(self) -> None:
        """Have confirmed what is under way, and note that it may be committed.

        Raises:
            Stopped: the worker stops before it is.
        """
        with self._outlet.activity.doing(self._agent.name):
            done = self._work.settle()
        if done:  # else nothing was confirmed here, and a floor may stand where a batch broke off
            self._note_done(done)

    def _batch(self, consumer: Consumer) -> Batch:
        """What is there, after waiting at most a tick for the first record, and not at all while something is under way."""
        first = consumer.poll(0 if self._work.under_way else TICK_S)
        if first is None:
            return {}
        messages, size = [first], len(first)
        while len(messages) < BATCH and size < BATCH_BYTES and (more := consumer.consume(STEP, timeout=0)):
            messages += more
            size += sum(map(len, more))
        batch: Batch = defaultdict(list)
        topic = self._agent.topic.name
        for message in messages:
            error = message.error()
            if error is None:
                partition = message.partition() or 0
                headers = headers_of(message)
                batch[partition].append(
                    _RECORD((topic, partition, message.offset(), message.key(), headers, message.value() or b"", None))
                )
            elif error.fatal():
                raise KafkaException(error)
            else:
                log.warning("%s: %s", self._agent.name, error.str())
        self._written_at = messages[-1].timestamp()[1] / 1000
        return batch

    def _note_done(self, done: Positions) -> None:
        """Note what may be committed, now that all of it is confirmed: a batch that breaks off later must not move it."""
        if done:
            self._positions.update(done)
            self._outlet.activity.progress[self._agent.name] = time.time()
        for partition, position in self._positions.items():
            floor = self._work.floor(partition)
            self._done[partition] = position if floor is None else min(floor, position)

    def _commit(self, consumer: Consumer, *, wait: bool) -> None:
        """Commit what is done. A failure is only told: the next commit says the same and more."""
        offsets = [
            TopicPartition(self._agent.topic.name, partition, offset)
            for partition, offset in self._done.items()
            if self._committed.get(partition) != offset
        ]
        if not offsets:
            return
        try:
            if wait:
                self._note_commit(None, consumer.commit(offsets=offsets, asynchronous=False))
            else:
                consumer.commit(offsets=offsets, asynchronous=True)
                self._asked_at = time.monotonic()
        except KafkaException as error:
            self._note_commit(error.args[0], [])

    def _on_commit(self, error: KafkaError | None, offsets: Sequence[TopicPartition]) -> None:
        """A commit that nothing waited for is done, or failed."""
        self._asked_at = None
        self._note_commit(error, offsets)

    def _note_commit(self, error: KafkaError | None, offsets: Sequence[TopicPartition]) -> None:
        for one in offsets:
            error = error or one.error
            if one.error is None and one.partition in self._ours:
                self._committed[one.partition] = one.offset
        if error is None:
            self._troubles.over(f"{self._agent.name}'s commit")
        else:
            self._troubles.note(f"{self._agent.name}'s commit", KafkaException(error))

    def _measure_lag(self, consumer: Consumer) -> None:
        lag = 0
        for partition, position in self._positions.items():
            _, high = consumer.get_watermark_offsets(
                TopicPartition(self._agent.topic.name, partition), timeout=1, cached=True
            )
            lag += max(0, high - position)
        self._outlet.activity.lags[self._agent.name] = lag
        metrics.LAG.labels(self._agent.name).set(lag)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if not partitions:  # there are more of us than partitions
            self._outlet.activity.joining.discard(self._agent.name)
        self._asked_at = None  # whatever becomes of what was asked before
        self._fresh.update(where.partition for where in partitions)
        self._ours.update(self._fresh)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if not self._outlet.stopping.is_set():  # else `_run` settles, or a batch broke off
            with suppress(Stopped):  # not into librdkafka: what is confirmed is committed all the same
                self._settle()
        self._commit(consumer, wait=True)
        self._on_lost(consumer, partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        gone = sorted(where.partition for where in partitions)
        if gone:
            log.info("%s: partitions %s are given up", self._agent.name, ", ".join(map(str, gone)))
            self._outlet.activity.joining.add(self._agent.name)
        self._fresh.difference_update(gone)
        self._ours.difference_update(gone)
        self._work.revoked(gone)
        for partition in gone:
            for held in (self._positions, self._done, self._committed):
                held.pop(partition, None)
