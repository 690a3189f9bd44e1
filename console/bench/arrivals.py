"""Records offered by a schedule, and when what came of each was in a reader's hand first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self, cast

from confluent_kafka import Consumer, Message, Producer

from console.bench.stage import Stage
from topics import clients

LAST_S = 15.0
"""How long the last ones are waited for."""
NAP_S = 0.002
NEVER_FULL = {"enable.idempotence": False, "max.in.flight": 10_000}
"""With as many requests in flight as it may have, five where it is idempotent, librdkafka asks without a pause whether it may send
the next, and takes the core that the broker needs to answer the first."""
Offered = tuple[str, bytes, list[tuple[str, bytes]]]
"""Key, value and headers of a record."""


class Arrivals(threading.Thread):
    """Notes when each id is there first (`time.perf_counter`); a record without one is passed over."""

    def __init__(self, stage: Stage, topic: str, id: Callable[[Message], str | None]) -> None:
        super().__init__(daemon=True)
        self.at: dict[str, float] = {}
        self._stop_asked = threading.Event()
        self._topic, self._id = topic, id
        self._config = clients.consumer(stage.settings, f"bench.{topic}")

    @classmethod
    @contextmanager
    def reading(cls, stage: Stage, topic: str, id: Callable[[Message], str | None]) -> Iterator[Self]:
        """One that reads until the block is left."""
        one = cls(stage, topic, id)
        one.start()
        try:
            yield one
        finally:
            one._stop_asked.set()
            one.join()

    def run(self) -> None:
        """Read until told to stop."""
        consumer = Consumer(self._config)
        consumer.subscribe([self._topic])
        while not self._stop_asked.is_set():
            # One by one: `consume` waits for its whole time unless as many are there, and every record would be that much later.
            message = consumer.poll(0.2)
            if message is not None and message.error() is None and (id := self._id(message)) is not None:
                self.at.setdefault(id, time.perf_counter())
        consumer.close()

    def wait_for(self, many: int) -> None:
        """Until so many are there, or for a while."""
        give_up_at = time.monotonic() + LAST_S
        while len(self.at) < many and time.monotonic() < give_up_at:
            time.sleep(0.05)


def offer(
    stage: Stage,
    topic: str,
    records: Sequence[Offered],
    rate: float,
    late: Callable[[int, float], Any] = lambda *_: None,
) -> list[float]:
    """Produce `rate` records a second, whatever comes of them; when each was due (`time.perf_counter`).

    `late` is told of each by how many milliseconds it was late.
    """
    producer = Producer({**clients.producer(stage.settings), **NEVER_FULL})
    began = time.perf_counter() + 0.1
    due = [began + place / rate for place in range(len(records))]
    for place, ((key, value, headers), at) in enumerate(zip(records, due, strict=True)):
        while (early := at - time.perf_counter()) > 0:
            # Never for less: a schedule of 2,000 a second kept by as many naps takes a core from who is measured.
            time.sleep(max(early, NAP_S))
        late(place, (time.perf_counter() - at) * 1000)
        producer.produce(topic, value, key, headers=cast(Any, headers))
        producer.poll(0)
    producer.flush()
    return due
