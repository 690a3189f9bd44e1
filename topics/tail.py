"""Read the last records of a partition: where a restart finds what was written before it."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from base.settings import Settings
from topics.clients import consumer

TIMEOUT_S = 30.0


def read_tail(settings: Settings, topic: str, partition: int, count: int) -> list[Message]:
    """At most the last `count` records of a partition, oldest first, as it stood when this was called.

    Raises:
        KafkaException: the broker does not answer in 30 s.
    """
    reader = Consumer(consumer(settings, "soba.tail", **{"enable.partition.eof": True}))
    try:
        where = TopicPartition(topic, partition)
        low, high = reader.get_watermark_offsets(where, timeout=TIMEOUT_S)
        where.offset = max(low, high - count)
        if where.offset >= high:
            return []
        reader.assign([where])
        found: list[Message] = []
        give_up_at = time.monotonic() + TIMEOUT_S
        while time.monotonic() < give_up_at:
            message = reader.poll(1.0)
            if message is None:
                continue
            error = message.error()
            if error is None:
                found.append(message)
                if (message.offset() or 0) >= high - 1:
                    return found
            elif error.code() == KafkaError._PARTITION_EOF:
                return found
            elif error.fatal():
                raise KafkaException(error)
        raise KafkaException(
            KafkaError(KafkaError._TIMED_OUT, f"reading the tail of {topic}/{partition} took too long")
        )
    finally:
        reader.close()
