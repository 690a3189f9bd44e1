"""What batch consume commits: only what is confirmed, however a batch ends."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition

from agents import consume, validate, verdicts
from agents.activity import Activity
from agents.agent import Record, Result
from agents.consume import TICK_S, ConsumeFeed
from agents.outlet import Stopped
from agents.work import Stateful, Stateless
from base.exits import EXIT_MISFIT
from base.settings import Settings
from tests.unit.wire import records


class Done:
    """Work on one partition whose floor rises before what it closed is confirmed, as a block's does."""

    def __init__(self) -> None:
        self.at: int | None = None
        self.breaks = False
        self.under_way: dict[int, int] = {}

    def process(self, consumer: Any, batch: dict[int, Any]) -> dict[int, int]:
        if self.breaks:
            self.at = None  # the block is closed; giving it out is what breaks off
            raise Stopped
        self.at = 0
        return {0: 5}

    def settle(self) -> dict[int, int]:
        return {}

    def floor(self, partition: int) -> int | None:
        return self.at

    def revoked(self, partitions: Any) -> None:
        pass


class Commits:
    """A consumer that only remembers what was committed."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.waited_for: list[bool] = []

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        self.offsets += [where.offset for where in offsets]
        self.waited_for.append(not asynchronous)
        return offsets


def test_who_gave_partitions_up_waits_for_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a group that never answers is noticed (agents/patience.py), not only at the start."""
    outlet: Any = SimpleNamespace(activity=Activity(), stopping=threading.Event())
    feed = ConsumeFeed("app", validate.AGENT, Settings(_env_file=None, brokers="127.0.0.1:1"), outlet)
    monkeypatch.setattr(feed, "_work", Done())
    consumer: Any = Commits()
    where = [TopicPartition("chain.events", 0)]
    joining: list[bool] = []
    for told, parts in ((feed._on_assign, []), (feed._on_revoke, where), (feed._on_assign, []), (feed._on_lost, where)):
        told(consumer, parts)
        joining.append(bool(outlet.activity.joining))
    assert joining == [False, True, False, True]


def test_a_stop_in_mid_batch_commits_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving the group commits, and the state in hand says that nothing is open: what counts is the last confirmed batch."""
    outlet: Any = SimpleNamespace(activity=Activity(), stopping=threading.Event())
    feed = ConsumeFeed("app", validate.AGENT, Settings(_env_file=None, brokers="127.0.0.1:1"), outlet)
    work, consumer = Done(), Commits()
    monkeypatch.setattr(feed, "_work", work)
    monkeypatch.setattr(feed, "_batch", lambda _: {})
    feed.do(consumer)  # type: ignore[arg-type]
    work.breaks = True
    with pytest.raises(Stopped):
        feed.do(consumer)  # type: ignore[arg-type]
    feed._on_revoke(consumer, [TopicPartition("chain.events", 0)])  # type: ignore[arg-type]
    assert consumer.offsets == [0] and consumer.waited_for == [True]  # the next owner reads them at once


class Written:
    """A record of chain.blocks made from offset 7 of chain.events."""

    def headers(self) -> list[tuple[str, bytes]]:
        return [("ce_source", b"validate"), ("ce_id", b"1:1:7"), ("held", b"1:1")]

    def value(self) -> bytes:
        return b'{"chain_id":1,"number":1,"status":"complete","revision":7,"events":[],"rejected":0,"transactions":[]}'


class Topics:
    """A consumer of a topic of one partition that ends at `end`, nothing committed."""

    def __init__(self, end: int) -> None:
        self._end = end
        self.position = 0

    def seek(self, where: TopicPartition) -> None:
        self.position = where.offset

    def list_topics(self, topic: str, timeout: float) -> Any:
        return type("Metadata", (), {"topics": {topic: type("Topic", (), {"partitions": {0: None}})()}})()

    def committed(self, where: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return where

    def get_watermark_offsets(self, where: TopicPartition, timeout: float) -> tuple[int, int]:
        return 0, self._end


class Given:
    """An outlet that keeps what it is given."""

    def __init__(self) -> None:
        self.activity = Activity()
        self.restoring_while_given: list[str] = []
        self.refused: list[int] = []

    def retry(self, agent: str, call: Any) -> Any:
        return call()

    def give(self, agent: str, result: Any) -> list[int]:
        self.restoring_while_given = list(self.activity.restoring)
        self.refused += [letter.record.offset for letter in result.dead_letters]
        return []


def test_a_worker_does_not_start_on_blocks_of_another_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    """chain.events was made anew: its offsets begin again, and every event would seem to be a replay."""

    def left(code: int, why: str) -> None:
        raise SystemExit(f"{code} {why}")

    monkeypatch.setattr("agents.work.leave", left)
    monkeypatch.setattr("agents.work.read_tail", lambda *_: [Written()])
    outlet: Any = Given()
    work = Stateful(validate.AGENT, Settings(_env_file=None, brokers="127.0.0.1:1"), outlet)
    with pytest.raises(
        SystemExit, match=f"{EXIT_MISFIT} chain.blocks/0 was made from offset 7 of chain.events, which ends at 7"
    ):
        work.assigned(Topics(end=7), [0])  # type: ignore[arg-type]
    work.assigned(Topics(end=8), [0])  # type: ignore[arg-type]
    assert outlet.restoring_while_given == ["validate/0"] and not outlet.activity.restoring


class Refuses:
    """State that raises on what is named bad, and needs what it read of an open block of forty records again."""

    def __init__(self, batches: list[int]) -> None:
        self._batches = batches
        self._last = -1

    def restore(self, tail: Any, committed: int) -> Result:
        return Result()

    def handle(self, batch: Sequence[Record], now: float) -> Result:
        self._batches.append(len(batch))
        if any(record.raw == b"bad" for record in batch):
            raise ValueError("bad")
        if batch:
            self._last = batch[-1].offset
        return Result()

    def floor(self) -> int | None:
        return None if self._last % 40 in (-1 % 40, 39) else self._last // 40 * 40


def test_a_guilty_record_costs_a_few_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.work.read_tail", lambda *_: [])
    batches: list[int] = []
    agent = replace(validate.AGENT, make=lambda *_: Refuses(batches))
    outlet: Any = Given()
    work = Stateful(agent, Settings(_env_file=None, brokers="127.0.0.1:1"), outlet)
    values = [b"bad" if offset in (300, 301, 310, 2_000) else b"good" for offset in range(4_000)]
    topic: Any = Topics(end=len(values))
    work.assigned(topic, [0])
    while topic.position < len(values):
        found = records(values[topic.position :], first=topic.position)
        topic.position = len(values)  # where a seek does not set it back
        work.process(topic, {0: found})
    assert outlet.refused == [300, 301, 310, 2_000]
    assert len(batches) < 150


class Message:
    """A record as confluent-kafka gives it."""

    def __init__(self, partition: int, offset: int, size: int = 2) -> None:
        self._partition, self._offset, self._value = partition, offset, bytes(size)

    def __len__(self) -> int:
        return len(self._value)

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return "requests.data"

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return b""

    def headers(self) -> None:
        return None

    def value(self) -> bytes:
        return self._value

    def timestamp(self) -> tuple[int, int]:
        return 1, 0


class Waiting:
    """A consumer for which these records wait; before one of them a callback may come."""

    def __init__(self, *waiting: Any) -> None:
        self.waiting = list(waiting)
        self.committed: dict[int, int] = {}

    def poll(self, timeout: float) -> Any:
        return next(iter(self.consume(1, 0)), None)

    def consume(self, most: int, timeout: float) -> list[Any]:
        found: list[Any] = []
        while self.waiting and len(found) < most:
            one = self.waiting.pop(0)
            if callable(one):
                one()
            else:
                found.append(one)
        return found

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        self.committed |= {where.partition: where.offset for where in offsets}
        return offsets


class Seen:
    """Work that notes what it was given."""

    def __init__(self) -> None:
        self.batches: list[dict[int, list[int]]] = []
        self.bytes = 0
        self.assigned_while: list[list[str]] = []
        self.activity: Activity
        self.under_way: dict[int, int] = {}

    def settle(self) -> dict[int, int]:
        return {}

    def assigned(self, consumer: Any, partitions: Any) -> None:
        self.assigned_while.append(sorted(self.activity.joining))

    def revoked(self, partitions: Any) -> None:
        pass

    def process(self, consumer: Any, batch: dict[int, list[Record]]) -> dict[int, int]:
        assert list(self.activity.busy) == ["verdicts"]
        self.batches.append({number: [record.offset for record in records] for number, records in batch.items()})
        self.bytes = sum(len(record.raw) for records in batch.values() for record in records)
        return {number: records[-1].offset + 1 for number, records in batch.items()}

    def floor(self, partition: int) -> None:
        return None


def feeding(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Seen]:
    outlet: Any = SimpleNamespace(activity=Activity(), stopping=threading.Event())
    feed = ConsumeFeed("app", verdicts.AGENT, Settings(_env_file=None, brokers="127.0.0.1:1"), outlet)
    work = Seen()
    work.activity = outlet.activity
    monkeypatch.setattr(feed, "_work", work)
    return feed, work


def test_an_agent_joins_when_its_partitions_are_taken_over_and_anew_after_it_gave_them_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed, work = feeding(monkeypatch)
    assert work.activity.joining == {"verdicts"}
    feed.do(Waiting(lambda: feed._on_assign(None, [TopicPartition("requests.data", 0)])))
    assert work.assigned_while == [["verdicts"]] and not work.activity.joining
    feed._on_revoke(Waiting(), [TopicPartition("requests.data", 0)])
    assert work.activity.joining == {"verdicts"}
    feed._on_assign(None, [])  # there are more workers than partitions
    assert not work.activity.joining


def test_a_record_of_a_partition_given_up_meanwhile_is_neither_done_nor_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed, work = feeding(monkeypatch)
    both = [TopicPartition("requests.data", number) for number in (0, 1)]
    consumer = Waiting(
        lambda: feed._on_assign(None, both),
        Message(0, 100),
        lambda: feed._on_lost(None, both[:1]),
        Message(1, 7),
    )
    feed.do(consumer)
    feed._commit(consumer, wait=True)
    assert (work.batches, consumer.committed) == ([{1: [7]}], {1: 8})
    assert work.activity.progress and not work.activity.busy


def test_a_commit_that_nothing_waits_for_counts_once_the_broker_has_told_of_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    feed, _ = feeding(monkeypatch)
    where = TopicPartition("requests.data", 0)
    feed.do(consumer := Waiting(lambda: feed._on_assign(None, [where]), Message(0, 7)))
    feed._commit(consumer, wait=False)
    assert (feed._asked_at is None, feed._committed) == (False, {})
    refused: Any = SimpleNamespace(partition=0, offset=8, error=KafkaError(KafkaError.ILLEGAL_GENERATION))
    feed._on_commit(None, [refused])
    assert (feed._asked_at, feed._committed) == (None, {}) and "verdicts's commit" in caplog.text
    other: Any = SimpleNamespace(partition=1, offset=3, error=None)
    feed._on_commit(None, [refused, other])  # of a partition that is not ours any more
    assert feed._committed == {}
    feed._on_commit(None, [TopicPartition("requests.data", 0, 8)])
    assert feed._committed == {0: 8}
    consumer.committed.clear()
    feed._commit(consumer, wait=False)
    assert not consumer.committed  # it is known to be


def test_a_commit_that_no_broker_tells_of_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    feed, _ = feeding(monkeypatch)
    feed._outlet.stopping = threading.Event()
    monkeypatch.setattr(consume, "COMMIT_EVERY_S", 0.0)
    monkeypatch.setattr(feed, "_measure_lag", lambda _: None)
    steps = iter([lambda: None, lambda: setattr(feed, "_asked_at", 1.0), feed._outlet.stopping.set])
    consumer = Waiting(lambda: feed._on_assign(None, [TopicPartition("requests.data", 0)]), Message(0, 7))
    real = feed.do
    monkeypatch.setattr(feed, "do", lambda one: (real(one), next(steps)()))
    feed._consume(consumer)
    assert consumer.committed == {0: 8} and "verdicts's commit" in caplog.text


def test_a_batch_ends_with_the_step_that_filled_it_however_large_its_records_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed, work = feeding(monkeypatch)
    monkeypatch.setattr(consume, "BATCH_BYTES", 1_000)
    small = [Message(0, offset, 1) for offset in range(100)]
    large = [Message(0, offset, 500) for offset in range(100, 1_000)]
    feed.do(consumer := Waiting(lambda: feed._on_assign(None, [TopicPartition("requests.data", 0)]), *small, *large))
    assert 1_000 <= work.bytes <= 1_000 + consume.STEP * 500
    while consumer.waiting:
        feed.do(consumer)
    assert [offset for batch in work.batches for offset in batch[0]] == list(range(1_000))


@pytest.fixture
def stateless(monkeypatch: pytest.MonkeyPatch) -> tuple[Stateless, list[int]]:
    """Work of a stateless agent, and what is done: how many records begin together, and 0 where all is confirmed."""
    done: list[int] = []
    monkeypatch.setattr("agents.runtime.Runner.begin", lambda _, part: done.append(len(part)))
    monkeypatch.setattr("agents.runtime.Runner.finish", lambda _: done.append(0))
    return Stateless(verdicts.AGENT, Any), done  # type: ignore[arg-type]


def test_a_stateless_agent_gives_a_batch_out_slice_by_slice(
    stateless: tuple[Stateless, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asked a small question does not wait for the answers to a thousand large ones."""
    monkeypatch.setattr("agents.work.SLICE_BYTES", 100)
    work, done = stateless
    batch = [Record("requests.data", 0, n, b"", [], bytes(size), None) for n, size in enumerate([1, 60, 60, 200, 1])]
    assert work.process(Any, {0: batch, 1: [batch[0]] * 130}) == {}  # type: ignore[arg-type]
    assert done == [2, 1, 1, 64, 64, 3]
    assert work.process(Any, {}) == {0: 5, 1: 1}  # type: ignore[arg-type]
    assert done[6:] == [0]


def test_a_batch_counts_as_done_once_the_next_one_began_or_none_is_there(
    stateless: tuple[Stateless, list[int]],
) -> None:
    work, done = stateless
    consumer: Any = None
    batches = [{0: [Record("requests.data", 0, n, b"", [], b"", None)]} for n in range(3)]
    assert work.process(consumer, batches[0]) == {}
    assert work.process(consumer, batches[1]) == {0: 1} and done == [1, 1]
    assert work.settle() == {0: 2} and done == [1, 1, 0]
    assert work.settle() == {} and work.process(consumer, {}) == {}
    work.process(consumer, batches[2])
    work.revoked([0])
    assert work.settle() == {}  # it is somebody else's: nothing of it may be committed


def test_a_feed_waits_for_records_only_when_nothing_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    feed, work = feeding(monkeypatch)
    waited: list[float] = []
    consumer: Any = SimpleNamespace(poll=waited.append)
    for under_way in ({}, {0: 5}):
        work.under_way = under_way
        feed.do(consumer)
    assert waited == [TICK_S, 0]


def test_what_is_under_way_is_confirmed_before_partitions_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    feed, work = feeding(monkeypatch)
    feed._on_assign(None, [TopicPartition("requests.data", 0)])
    monkeypatch.setattr(work, "settle", lambda: {0: 7})
    commits = Commits()
    feed._on_revoke(commits, [TopicPartition("requests.data", 0)])
    assert commits.offsets == [7] and commits.waited_for == [True]


def test_a_stop_while_partitions_are_given_up_commits_what_is_confirmed_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is raised into librdkafka's callback, which would leave the rest of it undone."""
    feed, work = feeding(monkeypatch)
    where = TopicPartition("requests.data", 0)
    feed.do(Waiting(lambda: feed._on_assign(None, [where]), Message(0, 7)))

    def stopped() -> dict[int, int]:
        raise Stopped

    monkeypatch.setattr(work, "settle", stopped)
    commits = Commits()
    feed._on_revoke(commits, [where])
    assert commits.offsets == [8] and not feed._ours


def test_an_agent_is_busy_while_it_gives_partitions_up_and_went_on_once_a_batch_is_confirmed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed, work = feeding(monkeypatch)
    busy: list[list[str]] = []

    def settle() -> dict[int, int]:
        busy.append(list(work.activity.busy))
        return {0: 7}

    monkeypatch.setattr(work, "process", lambda *_: {})
    monkeypatch.setattr(work, "settle", settle)
    where = TopicPartition("requests.data", 0)
    feed.do(Waiting(lambda: feed._on_assign(None, [where]), Message(0, 6)))
    assert not work.activity.progress  # it is under way
    feed._on_revoke(Commits(), [where])
    assert busy == [["verdicts"]] and work.activity.progress and not work.activity.busy


def test_a_feed_went_on_when_what_was_under_way_is_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka may have taken half a minute for it, and more waits: that is no worker that hangs."""
    feed, work = feeding(monkeypatch)
    monkeypatch.setattr(work, "process", lambda *_: {0: 7})
    feed.do(Waiting())
    assert work.activity.progress
