"""Send records to Kafka in order, and know when it has them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaException, Producer

from base.settings import Settings
from topics import clients
from topics.headers import Headers

log = logging.getLogger("soba.ingest")

GIVE_UP_S = 120.0
"""How long a failing Kafka is tried; whoever started us does so again."""


class KafkaGone(Exception):
    """Kafka took nothing for so long that it is left to whoever started us to try again."""


class Record(NamedTuple):
    """One record for a topic."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


class Outlet:
    """A producer whose records are confirmed a group at a time."""

    def __init__(self, settings: Settings) -> None:
        self._producer = Producer(clients.producer(settings))
        self._group: list[Record] = []
        self._failed: dict[int, str] = {}
        self._unanswered = 0

    def begin(self, records: Sequence[Record]) -> None:
        """Hand over a group of records; `confirmed` comes before the next one."""
        assert not self._unanswered and not self._failed, "confirmed() comes first"
        self._group = list(records)
        self._hand_over(0)

    async def confirmed(self) -> None:
        """Until Kafka has the whole group. From the first record that failed on, all are sent again, so that their order holds.

        Raises:
            KafkaGone: it failed for two minutes.
        """
        give_up_at = asyncio.get_running_loop().time() + GIVE_UP_S
        while True:
            while self._unanswered:
                await asyncio.to_thread(self._producer.flush, 0.2)
            if not self._failed:
                self._group = []
                return
            first = min(self._failed)
            log.warning("Kafka did not take a record (%s); it is sent again", self._failed[first])
            if asyncio.get_running_loop().time() > give_up_at:
                raise KafkaGone(f"Kafka took nothing for {GIVE_UP_S:g} s: {self._failed[first]}")
            self._failed.clear()
            await asyncio.sleep(1.0)
            self._hand_over(first)

    def _hand_over(self, first: int) -> None:
        for index, record in enumerate(self._group[first:], start=first):
            self._unanswered += 1
            self._produce(index, record)

    def _produce(self, index: int, record: Record) -> None:
        def delivered(error: Any, _: Any) -> None:
            self._unanswered -= 1
            if error is not None:
                self._failed[index] = error.str()

        while True:
            try:
                self._producer.produce(
                    record.topic, record.value, record.key, headers=list(record.headers), on_delivery=delivered
                )
                return
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                delivered(error.args[0], None)
                return
