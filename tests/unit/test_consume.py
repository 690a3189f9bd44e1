"""What batch consume commits: only what is confirmed, however a batch ends."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import TopicPartition

from agents import validate
from agents.consume import ConsumeFeed
from agents.runtime import Activity, Stopped
from base.settings import Settings


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
