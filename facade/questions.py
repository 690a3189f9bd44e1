"""A synchronous question over a topic: produce it, and hear of its answer on this instance's Redis channel.

The answer's row is written before it is published, so whenever a message may have been missed (a reconnect, a repeat,
the limit) the row is looked at; a question is repeated under the same id and answered once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
import uuid
from collections.abc import Iterable

from aiokafka.errors import MessageSizeTooLargeError
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError

from base.metrics import QUESTION_TIMEOUTS, QUESTION_TRIES
from base.settings import Settings
from base.tasks import end
from facade.errors import ApiError, too_large, unavailable
from facade.kafka import SEND_TIMEOUT_S, Producer
from tables.registry import REPLIES_CHANNEL, answer_key
from tables.rows import heard
from topics.headers import REPLY_TO, REQUEST_ID, Headers
from topics.schemas.requests import NotAnswered

log = logging.getLogger("soba.facade.questions")

TRIES = 3
FACTOR = 1.5
JITTER = 0.1
QUIET_S = 1.0
"""How long the listener waits for a message before it looks whether its connection lives."""
PONG_S = 1.0
"""How long anything may take to come after a ping: a connection that is half open takes what is sent and never answers."""
RESUBSCRIBE_S = 0.2
NOT_ANSWERED = NotAnswered().model_dump_json().encode()


def pauses(budget_s: float) -> list[float]:
    """How long to wait after each try; together never more than the budget."""
    first = budget_s / ((1 + JITTER) * sum(FACTOR**n for n in range(TRIES)))
    return [first * FACTOR**n * (1 + random.uniform(0, JITTER)) for n in range(TRIES)]


class Questions:
    """Asks questions and pairs them with their answers."""

    def __init__(self, settings: Settings, redis: Redis, producer: Producer) -> None:
        self._budget_s = settings.reply_timeout_s
        self._redis, self._producer = redis, producer
        self.channel = REPLIES_CHANNEL.format(instance=uuid.uuid4().hex)
        self._waiting: dict[str, list[asyncio.Future[bytes]]] = {}
        self._listener: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen; returns at once."""
        self._listener = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Stop listening; questions under way end as unavailable."""
        if self._listener:
            await end(self._listener)
        for future in [future for futures in self._waiting.values() for future in futures]:
            if not future.done():
                future.set_exception(unavailable("the facade is stopping"))

    async def ask(
        self, topic: str, question: bytes, request_id: str, context: Headers, key: bytes | None = None
    ) -> bytes:
        """The answer to `question`; both are JSON. The same id must mean the same question; `context` is the asker's trace context.

        Without a `key` all questions of this instance have one, so that they share batches.

        Raises:
            ApiError: `timeout` after the budget, `internal` when our own code failed on the question, `unavailable` when Kafka
                has not taken it after `SEND_TIMEOUT_S`, `too_large` when it takes no record of this size.
            RedisError: Redis cannot be reached.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        untaken = loop.call_later(SEND_TIMEOUT_S, _give_up, future)
        self._waiting.setdefault(request_id, []).append(future)
        try:
            return await self._asked(topic, question, request_id, context, key, future, untaken)
        finally:
            untaken.cancel()
            futures = self._waiting[request_id]
            futures.remove(future)
            if not futures:
                del self._waiting[request_id]
            future.cancel()

    async def _asked(
        self,
        topic: str,
        question: bytes,
        request_id: str,
        context: Headers,
        key: bytes | None,
        future: asyncio.Future[bytes],
        untaken: asyncio.TimerHandle,
    ) -> bytes:
        deadline = time.monotonic() + self._budget_s
        taken_by = min(deadline, time.monotonic() + SEND_TIMEOUT_S)
        headers: Headers = [
            (REQUEST_ID, request_id.encode()),
            (REPLY_TO, self.channel.encode()),
            ("content-type", b"application/json"),
            *context,
        ]
        for number, pause in enumerate(pauses(self._budget_s)):
            if number:
                await self._look([request_id])
                if future.done():
                    break
            until = deadline if untaken.cancelled() else taken_by
            sent = await self._producer.send(topic, key or self.channel.encode(), question, headers, until)
            sent.add_done_callback(lambda sent: _told(future, sent, untaken))
            QUESTION_TRIES.labels(topic).inc()
            last = number == TRIES - 1
            wait_s = deadline - time.monotonic() if last else min(pause, deadline - time.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, wait_s)):
                    return await asyncio.shield(future)
        await self._look([request_id])
        if future.done():
            return future.result()
        QUESTION_TIMEOUTS.labels(topic).inc()
        raise ApiError(
            "timeout",
            f"no answer within {self._budget_s:g} s; the service that answers may be down or behind",
            headers={"Retry-After": "5"},
        )

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub() as channel:
                    await channel.subscribe(self.channel)
                    while True:
                        await self._hear(channel)
            except (RedisError, OSError) as error:
                log.warning("the replies channel is lost: %r", error)
                await asyncio.sleep(RESUBSCRIBE_S)

    async def _hear(self, channel: PubSub) -> None:
        message = await channel.get_message(timeout=QUIET_S)
        if message is None:
            await channel.ping()
            message = await channel.get_message(timeout=PONG_S)
            if message is None:
                # What cut this connection has cut the idle ones too, and each would cost somebody its time limit.
                await self._redis.connection_pool.disconnect(inuse_connections=False)
                raise Disconnected("no pong")
        if message["type"] == "message":
            for request_id, value in heard(message["data"]):
                self._resolve(request_id, value)
        elif message["type"] == "subscribe":
            # The client subscribes again by itself after a reconnect: what was published in between has gone by.
            await self._look(list(self._waiting))

    async def _look(self, request_ids: Iterable[str]) -> None:
        """Resolve those whose answer row is there."""
        ids = list(request_ids)
        if not ids:
            return
        async with self._redis.pipeline(transaction=False) as pipe:
            for request_id in ids:
                pipe.get(answer_key(request_id))
            found: list[bytes | None] = await pipe.execute()
        for request_id, value in zip(ids, found, strict=True):
            if value is not None:
                self._resolve(request_id, value)

    def _resolve(self, request_id: str, value: bytes) -> None:
        for future in self._waiting.get(request_id, ()):
            if future.done():
                continue
            if value == NOT_ANSWERED:
                future.set_exception(ApiError("internal", "the service that answers failed on this question"))
            else:
                future.set_result(value)


def _give_up(future: asyncio.Future[bytes]) -> None:
    """Kafka has not taken the question in time."""
    if not future.done():
        future.set_exception(unavailable("Kafka cannot be reached"))


def _told(future: asyncio.Future[bytes], sent: asyncio.Future[object], untaken: asyncio.TimerHandle) -> None:
    """Kafka has taken the question, or it needs no more waiting."""
    if sent.cancelled():
        return
    if (error := sent.exception()) is None:
        untaken.cancel()
    elif not future.done():
        log.warning("a question was not taken: %r", error)
        large = isinstance(error, MessageSizeTooLargeError)
        future.set_exception(too_large() if large else unavailable("Kafka cannot be reached"))
