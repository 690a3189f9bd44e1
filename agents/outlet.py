"""All that an agent has of Kafka and Redis: its rows are read, what it makes is given out, each step confirmed before the next."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, TypeVar, cast

import redis
from confluent_kafka import KafkaError, KafkaException, Producer
from pydantic import BaseModel
from redis.backoff import NoBackoff
from redis.retry import Retry

from agents import spans
from agents.activity import Activity
from agents.agent import DeadLetter, Output, Result, RowName
from agents.trouble import NotTaken, Troubles, explained
from base import metrics
from base.exits import ENDING, EXIT_FAILING, end_now
from base.settings import Settings
from models.fraud.lists import SHIPPED, Lists
from models.releases import Models
from tables import rows as table_rows
from topics import clients
from topics.headers import dead_letter
from topics.registry import DEAD_LETTER_ROOM, DEAD_LETTER_SUFFIX, max_bytes

log = logging.getLogger("soba.runtime")

RETRY_FOR_S = 120.0
SLOW_S = 5.0
"""A batch that Kafka has not acknowledged by then is worth a word."""
PARTITION_BY_KEY = -1
BESIDE_VALUE = DEAD_LETTER_ROOM // 2
"""Bytes of key and headers that a record may have: half of what a topic takes beside its largest value."""
HANDLER_ERROR = "handler_error"
"""The reason of a dead letter that is our own fault, not the record's."""

T = TypeVar("T")


class Stopped(Exception):
    """The worker is stopping: leave the batch unacknowledged."""


class TooLarge(ValueError):
    """A handler made a record that its topic does not take."""


def leave(code: int, why: str) -> NoReturn:
    """End the process at once. Nothing is flushed or acknowledged: what was confirmed stands, the rest is read again."""
    log.error("%s" + ENDING, why, code)
    end_now(code)


@dataclass(slots=True)
class Step:
    """Records that go out together."""

    left: list[Output]
    """What is not acknowledged."""
    failed: dict[int, Any] | None = None
    """Which of them failed, while they are under way; None before."""


class Giving:
    """A result of `agent` on its way out through an outlet, each step confirmed before the next.

    While Kafka or Redis does a step its owner may do something else, but give nothing else out before this is finished.
    """

    def __init__(self, outlet: Outlet, agent: str, result: Result) -> None:
        self._outlet, self._agent, self._result = outlet, agent, result
        first = [*map(_dead_letter_record(agent), result.dead_letters), *result.sent_on]
        spans.stamp((*first, *result.outputs, *result.after))
        self._steps = [Step(list(step)) for step in (first, result.outputs, result.after) if step]
        self._sent = False
        self._written: Callable[[], list[int]] | None = None
        """Waits for what is being written."""
        if self._steps:
            with suppress(KafkaException):  # tried again, and told, by `write`
                outlet.send(self._steps[0])

    def write(self) -> None:
        """Have all records confirmed, then send rows and answers without waiting for them.

        Raises:
            Stopped: the worker stops; what was given out will be repeated.
        """
        if self._sent:
            return
        for step in self._steps:
            self._outlet.retry(self._agent, partial(self._outlet.produce, self._agent, step))
        self._outlet.count(self._agent, self._result)
        self._sent = True
        if self._result.rows or self._result.answers:
            with suppress(redis.RedisError, OSError):  # tried again, and told, by `finish`
                self._written = self._writing()

    def finish(self) -> list[int]:
        """Have all of it confirmed; return the places of rows refused as older.

        Raises:
            Stopped: the worker stops; what was given out will be repeated.
        """
        self.write()
        if self._result.rows or self._result.answers:
            return self._outlet.retry(self._agent, self._wait)
        return []

    def _wait(self) -> list[int]:
        written, self._written = self._written or self._writing(), None
        return written()

    def _writing(self) -> Callable[[], list[int]]:
        return table_rows.writing(self._outlet.redis, self._result.rows, self._result.answers)


class Outlet:
    """Gives results out and reads rows, for the agents of one worker. Used by one thread at a time per call."""

    def __init__(self, settings: Settings, activity: Activity) -> None:
        self.stopping = threading.Event()
        self.activity = activity
        self._settings = settings
        self.troubles = Troubles(settings)
        self.models: Callable[[], Models] = dict
        """The models that serve now. A worker without any has none."""
        self.lists: Callable[[], Lists] = lambda: SHIPPED
        """The lists of addresses as they stand now."""
        self._producer = Producer(clients.producer(settings))
        self._run_id: str | None = None
        self.redis: redis.Redis = redis.Redis.from_url(
            settings.redis_url,
            socket_timeout=10,
            socket_connect_timeout=5,
            retry=Retry(NoBackoff(), 0),  # retrying is `retry`'s
            redis_connect_func=self._connected,
        )

    def give(self, agent: str, result: Result) -> list[int]:
        """Give out a result and have each step confirmed before the next; return the places of rows refused as older.

        Raises:
            Stopped: the worker stops; what was given out will be repeated.
        """
        return self.giving(agent, result).finish()

    def giving(self, agent: str, result: Result) -> Giving:
        """Begin to give out a result: its first records are under way when this returns."""
        return Giving(self, agent, result)

    def count(self, agent: str, result: Result) -> None:
        """Note what was given out."""
        for topic, many in Counter(output.topic for output in (*result.outputs, *result.after)).items():
            metrics.EVENTS_OUT.labels(agent, topic).inc(many)
        for reason, many in Counter(letter.reason for letter in result.dead_letters).items():
            metrics.DEAD_LETTERS.labels(agent, reason).inc(many)
            if reason != HANDLER_ERROR:
                metrics.REJECTED.labels(agent, reason).inc(many)
        for code, many in result.warned.items():
            metrics.WARNINGS.labels(agent, code).inc(many)
        self.activity.dead_letters += len(result.dead_letters)

    def read(self, agent: str, names: Sequence[RowName]) -> dict[RowName, BaseModel | None]:
        """The named rows in one round trip, retried in place.

        Raises:
            Stopped: the worker stops.
        """
        if not names:
            return {}

        # One command, as for writing: each costs the client 15 µs.
        places = [table.row_key(key) for table, key in names]
        found = self.retry(agent, lambda: cast("list[bytes | None]", self.redis.mget(places)))
        return {name: table_rows.parse(name[0].schema, stored) for name, stored in zip(names, found, strict=True)}

    def produce(self, agent: str, step: Step) -> None:
        """Produce, if that is not under way, and wait for all acknowledgements. What failed is left for the next try.

        Raises:
            KafkaException: at least one was not acknowledged.
        """
        if step.failed is None:
            self.send(step)
        slow_at = time.monotonic() + SLOW_S
        while self._producer.flush(1.0):
            if self.stopping.is_set():
                raise Stopped
            if time.monotonic() > slow_at:  # librdkafka itself tries for 30 s before it tells of an error
                self.troubles.note(agent, NotTaken(KafkaError(KafkaError._MSG_TIMED_OUT), step.left[0].topic))
        failed, step.failed = step.failed, None
        if failed:
            step.left = [step.left[place] for place in sorted(failed)]
            raise NotTaken(next(iter(failed.values())), step.left[0].topic)

    def send(self, step: Step) -> None:
        """Hand what is left of a step to the producer.

        Raises:
            KafkaException: the producer takes none; nothing of the step counts as under way.
        """
        failed: dict[int, Any] = {}

        def note(place: int) -> Callable[[Any, Any], None]:
            def delivered(error: Any, message: Any) -> None:
                if error is not None:
                    failed[place] = error

            return delivered

        for place, output in enumerate(step.left):
            where = PARTITION_BY_KEY if output.partition is None else output.partition
            while True:
                try:
                    self._producer.produce(
                        output.topic,
                        output.value,
                        output.key,
                        where,
                        note(place),
                        headers=cast(Any, output.headers),
                    )
                    break
                except BufferError:
                    self._producer.poll(0.1)
        step.failed = failed

    def retry(self, agent: str, call: Callable[[], T]) -> T:
        """Call until it succeeds, with back-off; the trouble is told as `agents.trouble` does.

        Raises:
            Stopped: the worker stops meanwhile.
        """
        delay, give_up_at = 0.05, time.monotonic() + RETRY_FOR_S
        while True:
            try:
                got = call()
                self.troubles.over(agent)
                self.activity.retrying.discard(agent)
                return got
            except (KafkaException, redis.RedisError, OSError) as error:
                self.activity.retrying.add(agent)
                metrics.RETRIES.labels(agent).inc()
                if isinstance(error, KafkaException) and error.args[0].fatal():
                    self.end(EXIT_FAILING, f"{agent}: the producer cannot go on: {error}")
                if time.monotonic() > give_up_at:
                    why = explained(error, self._settings)
                    self.end(EXIT_FAILING, f"{agent}: still failing after {RETRY_FOR_S:.0f} s: {why}")
                self.troubles.note(agent, error)
                if self.stopping.wait(delay):
                    raise Stopped from error
                delay = min(delay * 2, 2.0)

    def _connected(self, connection: Any) -> None:
        """A Redis that was started anew may have lost what it had acknowledged: begin again from what is committed."""
        connection.on_connect()
        connection.send_command("INFO", "server")
        info = connection.read_response(disable_decoding=True)
        run_id = next(line for line in info.splitlines() if line.startswith(b"run_id:")).partition(b":")[2].decode()
        self.met(run_id)
        self._run_id = run_id

    def met(self, run_id: str) -> None:
        """A Redis of this `run_id` answers: end where it is another than what was written to."""
        if self._run_id is not None and run_id != self._run_id:
            self.end(EXIT_FAILING, "Redis was restarted")

    def end(self, code: int, why: str) -> NoReturn:
        """Nothing more can be given out: a worker is at its end with it."""
        leave(code, why)


def check_sizes(result: Result) -> None:
    """Part of handling: what a topic would refuse is the handler's fault, and found before anything is given out.

    Raises:
        TooLarge: a record is larger than its topic takes.
    """
    for output in (*result.sent_on, *result.outputs, *result.after):
        beside = len(output.key) + sum(len(name) + len(value) for name, value in output.headers)
        if len(output.value) > (most := max_bytes(output.topic)):
            raise TooLarge(f"a record of {len(output.value)} bytes for {output.topic}, which takes {most}")
        if beside > BESIDE_VALUE:
            raise TooLarge(
                f"a key and headers of {beside} bytes for {output.topic}, which takes {BESIDE_VALUE} beside a value"
            )


def _dead_letter_record(agent: str) -> Callable[[DeadLetter], Output]:
    def make(letter: DeadLetter) -> Output:
        record = letter.record
        headers = dead_letter(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            index=letter.index,
            reason=letter.reason,
            field=letter.field,
            detail=letter.detail,
            agent=agent,
            carried=record.headers,
        )
        return Output(record.topic + DEAD_LETTER_SUFFIX, record.key or b"", letter.raw, headers)

    return make
