"""The facade's one producer: it connects in the background, so that HTTP is up before and while Kafka is not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from base.settings import Settings
from base.tasks import end
from facade.errors import too_large, unavailable
from topics.broken_pipes import mend
from topics.clients import aiokafka
from topics.headers import Headers
from topics.registry import REQUESTS_DATA, max_bytes

log = logging.getLogger("soba.facade.kafka")

SEND_TIMEOUT_S = 10.0
"""How long a question or the events of a request may wait for Kafka to take them: longer than a broker's restart."""
PROBE_TIMEOUT_S = 2.0
PROBE_LIFE_S = 1.0
RETRY_S = 0.5
TELL_S = 1.0


class Producer:
    """Produces with acks=all and a linger of 2 ms: at 1,000 questions a second each request then
    carries some, which costs all sides less than it makes one wait."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._probed = (0.0, False)
        self._faults = 0
        self._told_at = -TELL_S

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        mend()
        self._connecting = asyncio.create_task(self._connect())

    async def stop(self) -> None:
        """Send what is queued and close."""
        if self._connecting:
            await end(self._connecting)
        if self._producer:
            await self._producer.stop()
            self._producer = None

    async def _connect(self) -> None:
        while True:
            producer = AIOKafkaProducer(
                **aiokafka(self._settings),
                client_id="soba-facade",
                acks="all",
                linger_ms=2,
                compression_type=None,
                max_request_size=2 * REQUESTS_DATA.max_bytes,
                request_timeout_ms=int(SEND_TIMEOUT_S * 1000),
            )
            try:
                await producer.start()
            except (KafkaError, OSError) as error:
                log.warning("Kafka cannot be reached: %s", error)
                await producer.stop()
                await asyncio.sleep(RETRY_S)
            else:
                self._producer = producer
                return

    async def send(self, topic: str, key: bytes, value: bytes, headers: Headers, until: float) -> Any:
        """Queue a record, by `until` of the monotonic clock; the future returned is done when all replicas have it.

        Raises:
            ApiError: `unavailable` when Kafka cannot be reached, `too_large` when the topic takes no such record.
        """
        if self._producer is None:
            raise unavailable("Kafka cannot be reached")
        if len(value) > max_bytes(topic):
            raise too_large()
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await self._producer.send(topic, value, key, headers=headers)
        except MessageSizeTooLargeError as error:
            raise too_large() from error
        except (KafkaError, OSError, TimeoutError) as error:
            self._tell(topic, error)
            raise unavailable("Kafka cannot be reached") from error

    def _tell(self, topic: str, error: Exception) -> None:
        """Log a fault, with how many came since the last line; under load there are hundreds a second."""
        self._faults += 1
        if time.monotonic() - self._told_at >= TELL_S:
            log.warning("cannot produce to %s: %r (faults since last told: %d)", topic, error, self._faults)
            self._told_at, self._faults = time.monotonic(), 0

    async def reachable(self) -> bool:
        """Whether a broker answers now (asked at most once a second)."""
        at, answer = self._probed
        if time.monotonic() - at < PROBE_LIFE_S:
            return answer
        answer = False
        if self._producer is not None:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    await self._producer.client.fetch_all_metadata()
                    answer = True
        self._probed = (time.monotonic(), answer)
        return answer
