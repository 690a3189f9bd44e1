"""validate takes back what it wrote last, whatever somebody else has put between it in chain.blocks."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from base.settings import Settings
from facade.routes.data import EXAMPLE
from tests.conftest import wait_for
from tests.contract.facade import hash_of, new_chain, validating
from topics.admin import create
from topics.clients import consumer, producer

pytestmark = pytest.mark.pipeline


def block(reader: Consumer, chain: int, events: int) -> dict[str, Any]:
    """The next block of a chain with so many events."""

    def found() -> dict[str, Any] | None:
        for message in reader.consume(100, timeout=0.1):
            value = json.loads(message.value() or b"{}") if message.error() is None else None
            if isinstance(value, dict) and value.get("chain_id") == chain and len(value["events"]) == events:
                return dict(value)
        return None

    got = wait_for(found)
    assert got is not None
    return got


def test_foreign_records_in_chain_blocks_do_not_keep_validate_from_restoring(
    settings: Settings, tmp_path: Path
) -> None:
    create(settings)
    chain, number = new_chain(), 17_000_000
    client = Producer(producer(settings))

    def send(topic: str, value: Any, partition: int | None = None) -> None:
        where: dict[str, Any] = {} if partition is None else {"partition": partition}
        client.produce(topic, json.dumps(value), str(chain).encode(), **where)
        assert client.flush(60) == 0

    def event(place: int) -> dict[str, Any]:
        return {**EXAMPLE, "event_id": None, "chain_id": chain, "transaction_hash": hash_of(place), "log_index": place}

    with closing(Consumer(consumer(settings, "restore"))) as reader:
        parts = range(settings.partitions)
        reader.assign([TopicPartition("chain.blocks", part, OFFSET_BEGINNING) for part in parts])
        with validating(settings, tmp_path / "first.log"):
            envelope = {"chain_id": chain, "number": number, "status": "complete", "events": [event(1)]}
            send("chain.events", envelope)
            first = block(reader, chain, 1)
        for partition in parts:
            for foreign in ({"hello": 1}, {**first, "events": []}, None):
                send("chain.blocks", foreign, partition)
        with validating(settings, tmp_path / "second.log") as worker:
            send("chain.events", event(2))
            both = block(reader, chain, 2)
            assert worker.poll() is None
    assert [one["log_index"] for one in both["events"]] == [1, 2] and both["revision"] > first["revision"]
