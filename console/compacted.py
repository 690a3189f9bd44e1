"""What a compacted topic holds, and how it is written to: for the commands by which operators say something that stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from confluent_kafka import KafkaException, Producer

from base.settings import Settings
from console import records
from topics import clients
from topics.headers import Headers

FLUSH_S = 45
AT_ONCE = 10_000
"""Records that are handed over before they are waited for."""


def book(topic: str) -> tuple[Settings, dict[str, records.Seen]]:
    """The newest record of each key that has a value, and the settings that lead to it.

    Raises LocalError when no Kafka answers, or the topic is missing.
    """
    settings, there = records.connected()
    partitions = there[records.known(topic, there)]
    found: dict[str, records.Seen] = {}
    for seen in whole(settings, topic, partitions):
        key = (seen.key or b"").decode(errors="replace")
        if seen.value:
            found[key] = seen
        else:
            found.pop(key, None)
    return settings, found


def whole(settings: Settings, topic: str, partitions: int) -> Iterator[records.Seen]:
    """Every record that a topic holds now, each partition in its order.

    Raises KafkaException when the broker does not answer.
    """
    held = records.spans(settings, {topic: partitions})[topic]
    start = {number: first for number, (first, _) in held.items()}
    return records.read(settings, topic, start, {number: end for number, (_, end) in held.items()})


def put(
    settings: Settings, topic: str, rows: Sequence[tuple[str, bytes | None, Headers]], at_once: int = AT_ONCE
) -> None:
    """Write records in order; None deletes a key. `at_once` 1: each is confirmed before the next.

    Raises KafkaException when one is not confirmed.
    """
    producer = Producer({**clients.producer(settings), **records.QUIET})
    failed: list[Any] = []

    def delivered(error: Any, _: Any) -> None:
        if error is not None:
            failed.append(error)

    for start in range(0, len(rows), at_once):
        for key, value, headers in rows[start : start + at_once]:
            told: Any = headers
            producer.produce(topic, value, key.encode(), headers=told, on_delivery=delivered)
        if producer.flush(FLUSH_S) or failed:
            raise KafkaException(*failed[:1])
