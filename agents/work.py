"""What batch consume does with an agent's batches, partition by partition: `agents.consume` reads and commits around it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Protocol

from confluent_kafka import Consumer, TopicPartition

from agents import spans, telling
from agents.agent import Agent, Partitioned, Record, Result, State, Written
from agents.carried import Carried, follow
from agents.outlet import Outlet, check_sizes, leave
from agents.runtime import DeadLetterLimit, Runner, refuse_for_error
from base import metrics
from base.exits import EXIT_MISFIT
from base.settings import Settings
from topics.clients import headers_of
from topics.headers import get
from topics.tail import read_tail

log = logging.getLogger("soba.runtime")

TAIL_STEP = 512
SLICE_BYTES = 1024 * 1024
"""What a stateless agent does, and gives out, of a batch at once, but for `at_once`."""

Batch = dict[int, list[Record]]
"""Records by partition, in order."""
Positions = dict[int, int]
"""The next offset to do, by partition."""


class Work(Protocol):
    """What is done with the batches of an agent, partition by partition."""

    under_way: Positions
    """How far partitions are done once what is under way is confirmed."""

    def assigned(self, consumer: Consumer, partitions: Sequence[int]) -> None:
        """Partitions are ours now."""

    def revoked(self, partitions: Sequence[int]) -> None:
        """Partitions are no longer ours."""

    def process(self, consumer: Consumer, batch: Batch) -> Positions:
        """Do a batch, which may be empty. Returns how far each partition is done, and that confirmed."""

    def settle(self) -> Positions:
        """Have confirmed what is under way. Returns how far each partition is done that this moves."""

    def floor(self, partition: int) -> int | None:
        """The lowest offset still needed, beyond what is not done; None where there is none."""


class Stateless:
    """Work of an `Agent`: the same `Runner` that a Faust stream feeds.

    Kafka and Redis take in what a batch made while the next is done, where there is one at once.
    """

    def __init__(self, agent: Agent, outlet: Outlet) -> None:
        self._runner = Runner(agent, outlet)
        self._at_once = agent.at_once
        self.under_way: Positions = {}

    def assigned(self, consumer: Consumer, partitions: Sequence[int]) -> None:
        self._runner.assigned()

    def revoked(self, partitions: Sequence[int]) -> None:
        for partition in partitions:
            self.under_way.pop(partition, None)

    def process(self, consumer: Consumer, batch: Batch) -> Positions:
        if not batch:
            return self.settle()
        part: list[Record] = []
        size = 0
        for record in (record for partition in sorted(batch) for record in batch[partition]):
            if part and (len(part) == self._at_once or size + len(record.raw) > SLICE_BYTES):
                self._runner.begin(part)
                part, size = [], 0
            part.append(record)
            size += len(record.raw)
        self._runner.begin(part)
        done = self.under_way  # of the batch before: confirmed by the first of those
        self.under_way = {partition: records[-1].offset + 1 for partition, records in batch.items()}
        return done

    def settle(self) -> Positions:
        self._runner.finish()
        done, self.under_way = self.under_way, {}
        return done

    def floor(self, partition: int) -> int | None:
        return None


class Stateful:
    """Work of a `Partitioned` agent: an object a partition, restored from what it wrote before.

    When its handler raises, the state may be half changed: it is thrown away, restored as after a restart, and the records since
    the last commit are read again in ever smaller batches, until the one that raises stands alone and becomes a dead letter.
    """

    def __init__(self, agent: Partitioned, settings: Settings, outlet: Outlet) -> None:
        self._agent = agent
        self._settings = settings
        self._outlet = outlet
        self._states: dict[int, State] = {}
        self._carried: dict[int, Carried] = {}
        self._limit = DeadLetterLimit()
        self._search: dict[int, tuple[int, int, int]] = {}
        """Where a guilty record is looked for: how many records are taken at once, up to which offset, and the last that passed."""
        self._counted: dict[int, int] = {}
        """The offset up to which a partition's records were counted, so that reading them again counts nothing."""
        self._guilty: set[tuple[int, int]] = set()
        self.under_way: Positions = {}
        """Nothing, ever: a batch is confirmed before the next one, which is made from what it left."""

    def assigned(self, consumer: Consumer, partitions: Sequence[int]) -> None:
        for partition in partitions:
            self._restore(consumer, partition)

    def revoked(self, partitions: Sequence[int]) -> None:
        for partition in partitions:
            self._states.pop(partition, None)
            self._carried.pop(partition, None)
            self._search.pop(partition, None)

    def process(self, consumer: Consumer, batch: Batch) -> Positions:
        done: Positions = {}
        for partition in list(self._states):
            records = batch.get(partition, [])
            most, until, passed = self._search.get(partition, (len(records), -1, -1))
            again = sum(record.offset <= passed for record in records) if passed >= 0 else 0
            taken = records[: again or most]  # what has passed once passes again, all together
            floor, began = self.floor(partition), time.perf_counter()
            with spans.batch(self._agent.name, self._agent.topic.name, taken):
                try:
                    result = self._handle(partition, taken)
                except Exception as error:
                    done[partition] = self._begin_again(consumer, partition, taken, floor, error)
                    continue
                self._carried[partition].give(taken, result)
                self._carried[partition].keep(taken, self.floor(partition))
                self._outlet.give(self._agent.name, result)
            seconds = time.perf_counter() - began
            telling.requests(self._agent.name, result, seconds)
            if result.outputs:
                telling.block_age(self._agent.name, result.outputs[-1].value)
            if taken:
                metrics.BATCH_SECONDS.labels(self._agent.name).observe(seconds)
                done[partition] = taken[-1].offset + 1
                if len(taken) < len(records):
                    consumer.seek(TopicPartition(self._agent.topic.name, partition, done[partition]))
                if done[partition] > until:
                    self._search.pop(partition, None)
                elif not again:  # further guilty ones are likely near the last, and ever less so
                    self._search[partition] = (2 * most, until, taken[-1].offset)
        return done

    def settle(self) -> Positions:
        return self.under_way

    def floor(self, partition: int) -> int | None:
        state = self._states.get(partition)
        return None if state is None else state.floor()

    def _handle(self, partition: int, records: Sequence[Record]) -> Result:
        began = time.perf_counter()
        innocent = [r for r in records if (partition, r.offset) not in self._guilty] if self._guilty else records
        result = self._states[partition].handle(innocent, time.time())
        check_sizes(result)
        fresh = [r for r in innocent if r.offset >= self._counted.get(partition, 0)]
        if fresh:
            self._counted[partition] = fresh[-1].offset + 1
            self._limit.fine(len(fresh))
            self._outlet.activity.handled += len(fresh)
            metrics.EVENTS_IN.labels(self._agent.name).inc(sum(result.taken.values()) + len(result.dead_letters))
            for verdict, many in result.taken.items():
                metrics.VERDICTS.labels(self._agent.name, verdict).inc(many)
            metrics.BATCH_SIZE.labels(self._agent.name).observe(len(fresh))
            metrics.HANDLER_SECONDS.labels(self._agent.name).observe(time.perf_counter() - began)
        return result

    def _begin_again(
        self, consumer: Consumer, partition: int, records: Sequence[Record], floor: int | None, error: Exception
    ) -> int:
        """Restore a partition after its handler raised on `records`; returns the offset from which it reads again.

        `floor` is what the state needed before: from there on the records make the same state again.
        """
        if not records:
            raise error  # nothing but the clock was handled: no record to blame, and none to lose
        if len(records) == 1:
            refuse_for_error(self._agent.name, records[0], error, self._outlet, self._limit)
            self._guilty.add((partition, records[0].offset))
        else:
            log.warning("%s: a batch of %d failed, halving it: %s", self._agent.name, len(records), error)
        _, until, passed = self._search.get(partition, (0, -1, -1))
        passed = min(passed, records[0].offset - 1)  # should one that passed before be among them
        self._search[partition] = (max(1, len(records) // 2), max(until, records[-1].offset), passed)
        start = records[0].offset if floor is None else min(floor, records[0].offset)
        self._restore(consumer, partition, start)
        consumer.seek(TopicPartition(self._agent.topic.name, partition, start))
        return start

    def _restore(self, consumer: Consumer, partition: int, start: int | None = None) -> None:
        """Build a partition's state from what was written last, to read on from `start` (None: what is committed)."""
        topic, name = self._agent.topic.name, f"{self._agent.name}/{partition}"

        def find() -> tuple[int, int, list[Written]]:
            count = len(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
            where = TopicPartition(topic, partition)
            committed = max(0, consumer.committed([where], timeout=10)[0].offset) if start is None else start
            tail = self._tail(partition, committed)
            # Read after the tail, which another may still be writing to.
            _, end = consumer.get_watermark_offsets(where, timeout=10)
            if (newest := max((self._agent.made_at(one.id) for one in tail), default=-1)) >= end:
                source = self._agent.restored_from.name
                why = f"{source}/{partition} was made from offset {newest} of {topic}, which ends at {end}"
                leave(EXIT_MISFIT, f"{why}: {topic} is another topic now; delete {source} too (docs/operations.md)")
            return count, committed, tail

        self._outlet.activity.restoring[name], began = time.time(), time.perf_counter()
        count, committed, tail = self._outlet.retry(self._agent.name, find)
        state = self._agent.make(partition, count)
        result = state.restore(tail, committed)
        follow(result.after, {one.id.encode(): one.headers for one in tail})
        self._outlet.give(self._agent.name, result)
        self._states[partition] = state
        self._carried.setdefault(partition, Carried(self._agent.made_at))
        del self._outlet.activity.restoring[name]
        told = {"duration_ms": round((time.perf_counter() - began) * 1000, 2), "metadata": {"committed": committed}}
        log.info("%s: restored from %d records", name, len(tail), extra=told)

    def _tail(self, partition: int, committed: int) -> list[Written]:
        """What this agent wrote last, oldest first: few records, and twice as many until they are enough."""
        records, name = TAIL_STEP, self._agent.name.encode()
        while True:
            found = read_tail(self._settings, self._agent.restored_from.name, partition, records)
            tail = [
                Written((get(headers, "ce_id") or b"").decode(), headers, message.value() or b"")
                for message in found
                if get(headers := headers_of(message), "ce_source") == name  # others may have put anything there
            ]
            if len(found) < records or records >= self._agent.tail or self._agent.enough(tail, committed):
                return tail
            records *= 2
