"""Compacted topics for the commands that write them: what they hold, and how they are written to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaException, Producer

from base.settings import Settings
from console import records
from topics import clients
from topics.headers import Headers
from topics.registry import Topic

FLUSH_S = 45
Row = tuple[str, bytes | None, Headers]
"""Key, value and headers of a record; a value of None deletes the key."""


def newest(topic: Topic) -> tuple[Settings, dict[str, records.Seen]]:
    """The newest record of each key, as the topic stands now, and the settings that lead to it.

    Raises LocalError when no Kafka answers, or the topic is missing.
    """
    settings, there = records.connected()
    partitions = there[records.known(topic.name, there)]
    held = records.spans(settings, {topic.name: partitions})[topic.name]
    start = {number: first for number, (first, _) in held.items()}
    found: dict[str, records.Seen] = {}
    for seen in records.read(settings, topic.name, start, {number: end for number, (_, end) in held.items()}):
        key = (seen.key or b"").decode(errors="replace")
        if seen.value:
            found[key] = seen
        else:
            found.pop(key, None)
    return settings, found


def put(settings: Settings, topic: Topic, *steps: Sequence[Row]) -> None:
    """Write records, each step of them confirmed before the next.

    Raises KafkaException when one is not confirmed.
    """
    producer = Producer({**clients.producer(settings), **records.QUIET})
    failed: list[Any] = []

    def delivered(error: Any, _: Any) -> None:
        if error is not None:
            failed.append(error)

    for step in steps:
        for key, value, headers in step:
            told: Any = headers
            while True:
                try:
                    producer.produce(topic.name, value, key.encode(), headers=told, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.1)
        if producer.flush(FLUSH_S) or failed:
            raise KafkaException(*failed[:1])
