"""confluent-kafka alone: the same bytes on. What no Python consumer and producer of single records can exceed."""

from __future__ import annotations

import time

import common
from confluent_kafka import Consumer, Producer

COMMIT_EVERY_S = 0.5


def main() -> None:
    consumer = Consumer(
        {"bootstrap.servers": common.BROKERS, "group.id": common.GROUP, "enable.auto.commit": False, **common.CONSUMER}
    )
    producer = Producer({"bootstrap.servers": common.BROKERS, **common.PRODUCER})
    consumer.subscribe([common.INPUT])
    produce, commit_at, last = producer.produce, time.monotonic() + COMMIT_EVERY_S, None
    while True:
        messages = consumer.consume(10_000, 0.25)
        for message in messages:
            if message.error() is not None:
                continue
            while True:
                try:
                    produce(common.OUTPUT, message.value(), message.key())
                    break
                except BufferError:
                    producer.poll(0.05)
            last = message
        producer.poll(0)
        if last is not None and time.monotonic() >= commit_at:
            producer.flush()
            consumer.commit(asynchronous=False)
            commit_at = time.monotonic() + COMMIT_EVERY_S


main()
