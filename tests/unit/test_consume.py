"""What batch consume commits: only what is confirmed, however a batch ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from agents import consume, validate
from agents.agent import Record, Result
from agents.consume import ConsumeFeed, Stateful
from agents.runtime import Activity, Stopped
from base.exits import EXIT_MISFIT
from base.settings import Settings
from tests.unit.wire import records


class Done:
    """Work on one partition whose floor rises before what it closed is confirmed, as a block's does."""

    def __init__(self) -> None:
        self.at: int | None = None
        self.breaks = False

    def process(self, consumer: Any, batch: dict[int, Any]) -> dict[int, int]:
        if self.breaks:
            self.at = None  # the block is closed; giving it out is what breaks off
            raise Stopped
        self.at = 0
        return {0: 5}

    def floor(self, partition: int) -> int | None:
        return self.at

    def revoked(self, partitions: Any) -> None:
        pass


class Commits:
    """A consumer that only remembers what was committed."""

    def __init__(self) -> None:
        self.offsets: list[int] = []

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> None:
        self.offsets += [where.offset for where in offsets]


def test_who_gave_partitions_up_waits_for_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a group that never answers is noticed (agents/patience.py), not only at the start."""
    outlet: Any = type("Outlet", (), {"activity": Activity()})()
    feed = ConsumeFeed("app", validate.AGENT, Settings(_env_file=None, brokers="127.0.0.1:1"), outlet)
    monkeypatch.setattr(feed, "_work", Done())
    consumer: Any = Commits()
    where = [TopicPartition("chain.events", 0)]
    joining: list[bool] = []
    for told in (feed._on_assign, feed._on_revoke, feed._on_assign, feed._on_lost):
        told(consumer, where)
        joining.append(bool(outlet.activity.joining))
    feed._on_assign(consumer, [])  # all of them are with others
    assert joining == [False, True, False, True] and not outlet.activity.joining


def test_a_stop_in_mid_batch_commits_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving the group commits, and the state in hand says that nothing is open: what counts is the last confirmed batch."""
    outlet: Any = type("Outlet", (), {"activity": Activity()})()
    feed = ConsumeFeed("app", validate.AGENT, Settings(_env_file=None, brokers="127.0.0.1:1"), outlet)
    work, consumer = Done(), Commits()
    monkeypatch.setattr(feed, "_work", work)
    monkeypatch.setattr(feed, "_batch", lambda _: {})
    feed.do(consumer)  # type: ignore[arg-type]
    work.breaks = True
    with pytest.raises(Stopped):
        feed.do(consumer)  # type: ignore[arg-type]
    feed._on_revoke(consumer, [TopicPartition("chain.events", 0)])  # type: ignore[arg-type]
    assert consumer.offsets == [0]


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

    monkeypatch.setattr(consume, "leave", left)
    monkeypatch.setattr(consume, "read_tail", lambda *_: [Written()])
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
    monkeypatch.setattr(consume, "read_tail", lambda *_: [])
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
