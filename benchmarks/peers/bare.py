"""Soba's decoding and rules in a loop of their own between Kafka and Kafka: what a whole worker cannot exceed.

Blocks are the bytes of their events as they came, dead letters have no reason, and nothing is merged, encoded or cut into views.
It is for the bench's lower-case input alone: what is not in normal form it refuses. That input has equally many bad events in
every block of 200, and it ends where it finds others: so one that judges nothing shows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import common
from confluent_kafka import Consumer, Producer

from base.garbage import collect_rarely
from console.bench.events import BLOCK_EVENTS, BLOCK_GOOD
from models.chain import rules
from topics import codecs

COMMIT_EVERY_S = 0.5
BAD = BLOCK_EVENTS - BLOCK_GOOD
"""Of each block."""


class Bare:
    """What became of records."""

    def __init__(self, producer: Producer) -> None:
        self._produce = producer.produce
        self._good: list[bytes] = []
        self._taken = self._refused = 0

    def singles(self, raws: Sequence[bytes]) -> None:
        """Take records of one event each."""
        alone, good = rules.Context(time.time()), self._good
        for raw, value in zip(raws, codecs.decode_chain_events(raws), strict=True):
            if value.__class__ is dict and rules.keeps(value, alone):
                good.append(raw)
            else:
                self._produce(common.DEAD_LETTERS, raw, common.KEY)
                self._refused += 1
        self._taken += len(raws)
        # The last block may be here in part.
        assert 0 <= self._refused - self._taken // BLOCK_EVENTS * BAD <= BAD, (self._refused, self._taken)
        while len(good) >= BLOCK_GOOD:
            self._produce(common.BLOCKS, b'{"events":[' + b",".join(good[:BLOCK_GOOD]) + b"]}", common.KEY)
            del good[:BLOCK_GOOD]

    def envelopes(self, raws: Sequence[bytes]) -> None:
        """Take records of one envelope each."""
        now = time.time()
        for raw, found in zip(raws, codecs.decode_chain_events(raws), strict=True):
            assert isinstance(found, codecs.Envelope) and not rules.header_errors(found, now)
            context = rules.Context(now, found.chain_id, found.number, found.hash, found.timestamp)
            bad = [value for value in found.events if value.__class__ is not dict or not rules.keeps(value, context)]
            assert len(bad) == BAD, len(bad)
            for _ in bad:
                self._produce(common.DEAD_LETTERS, b"", common.KEY)
            self._produce(common.BLOCKS, raw, common.KEY)


def main() -> None:
    collect_rarely()
    consumer = Consumer(
        {"bootstrap.servers": common.BROKERS, "group.id": common.GROUP, "enable.auto.commit": False, **common.CONSUMER}
    )
    producer = Producer({"bootstrap.servers": common.BROKERS, **common.PRODUCER})
    bare = Bare(producer)
    take, most = (bare.singles, 10_000) if common.FORM == "single" else (bare.envelopes, 64)
    consumer.subscribe([common.INPUT])
    commit_at, last = time.monotonic() + COMMIT_EVERY_S, None
    while True:
        messages = [message for message in consumer.consume(most, 0.25) if message.error() is None]
        if messages:
            take([message.value() for message in messages])
            last = messages[-1]
        producer.poll(0)
        if last is not None and time.monotonic() >= commit_at:
            producer.flush()
            consumer.commit(message=last, asynchronous=False)
            commit_at, last = time.monotonic() + COMMIT_EVERY_S, None


main()
