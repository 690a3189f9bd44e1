"""The one runtime under every agent: read rows, handle, give out, in an order that a kill at any moment cannot break.

A batch is done in one thread, whoever feeds it. Its effects are given out in the order of `Result`, each step confirmed before
the next, and only then may the feeder acknowledge the input. So a crash repeats effects and never loses one, and every effect
is harmless when repeated: rows are newer-wins, records carry deterministic ids and revisions.

What can fail, and what happens:
- a value that fits no schema: dead letter, the stream goes on;
- a handler that raises: the batch is halved down to the guilty record, dead letter `handler_error`; too many end the process (71);
- Kafka or Redis failing: tried again in place with back-off; after `RETRY_FOR_S`, or when Redis came back as another run that may
  have lost writes, the process ends (70) and its launcher starts it anew;
- a stop: whatever is not acknowledged is read again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar, cast

import redis
from confluent_kafka import KafkaError, KafkaException, Producer
from pydantic import BaseModel, ValidationError
from redis.backoff import NoBackoff
from redis.retry import Retry

from agents import spans, telling
from agents.activity import Activity
from agents.agent import Agent, DeadLetter, Output, Record, Result, RowName, Rows
from agents.parsing import Parse, alone
from agents.trouble import NotTaken, Troubles, explained
from base import metrics, tracing
from base.exits import EXIT_DEAD_LETTERS, EXIT_FAILING, end_now
from base.settings import Settings
from base.wording import wording
from models.fraud.lists import SHIPPED, Lists
from models.releases import Models
from tables import rows as table_rows
from tables.rows import Answer
from topics import clients
from topics.headers import REPLY_TO, REQUEST_ID, dead_letter
from topics.registry import DEAD_LETTER_ROOM, DEAD_LETTER_SUFFIX, max_bytes
from topics.schemas.requests import NotAnswered

log = logging.getLogger("soba.runtime")

RETRY_FOR_S = 120.0
SLOW_S = 5.0
"""A batch that Kafka has not acknowledged by then is worth a word."""
CONSECUTIVE_ERRORS = 10
ERRORS_IN_WINDOW, WINDOW = 100, 10_000
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
    log.error("%s; ending with exit code %d", why, code)
    end_now(code)


@dataclass(slots=True)
class DeadLetterLimit:
    """Ends a process whose own code fails: 10 `handler_error` in a row, or 1 % of the last 10,000 records.

    Records that a schema or rule refuses do not count: a producer's fault must never stop a stream.
    """

    seen: int = 0
    row: int = 0
    errors: deque[int] = field(default_factory=deque)

    def fine(self, records: int) -> None:
        """`records` were handled."""
        self.seen += records
        self.row = 0

    def error(self) -> bool:
        """One record was refused with `handler_error`; whether that is one too many."""
        self.seen += 1
        self.row += 1
        self.errors.append(self.seen)
        while self.errors[0] <= self.seen - WINDOW:
            self.errors.popleft()
        return self.row >= CONSECUTIVE_ERRORS or len(self.errors) >= ERRORS_IN_WINDOW


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
        self._redis: redis.Redis = redis.Redis.from_url(
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
        first = [*map(_dead_letter_record(agent), result.dead_letters), *result.sent_on]
        spans.stamp((*first, *result.outputs, *result.after))
        for step in filter(None, (first, result.outputs, result.after)):
            left = list(step)
            self.retry(agent, lambda outputs=left: self._produce(agent, outputs))  # type: ignore[misc]
        for topic, many in Counter(output.topic for output in (*result.outputs, *result.after)).items():
            metrics.EVENTS_OUT.labels(agent, topic).inc(many)
        for reason, many in Counter(letter.reason for letter in result.dead_letters).items():
            metrics.DEAD_LETTERS.labels(agent, reason).inc(many)
            if reason != HANDLER_ERROR:
                metrics.REJECTED.labels(agent, reason).inc(many)
        for code, many in result.warned.items():
            metrics.WARNINGS.labels(agent, code).inc(many)
        self.activity.dead_letters += len(result.dead_letters)
        if result.rows or result.answers:
            return self.retry(agent, lambda: table_rows.write(self._redis, result.rows, result.answers))
        return []

    def read(self, agent: str, names: Sequence[RowName]) -> dict[RowName, BaseModel | None]:
        """The named rows in one round trip, retried in place.

        Raises:
            Stopped: the worker stops.
        """
        if not names:
            return {}

        # One command, as for writing: each costs the client 15 µs.
        places = [table.row_key(key) for table, key in names]
        found = self.retry(agent, lambda: cast("list[bytes | None]", self._redis.mget(places)))
        return {name: table_rows.parse(name[0].schema, stored) for name, stored in zip(names, found, strict=True)}

    def _produce(self, agent: str, outputs: list[Output]) -> None:
        """Produce and wait for all acknowledgements. What failed stays in `outputs` for the next try.

        Raises:
            KafkaException: at least one was not acknowledged.
        """
        failed: dict[int, Any] = {}

        def note(place: int) -> Callable[[Any, Any], None]:
            def delivered(error: Any, message: Any) -> None:
                if error is not None:
                    failed[place] = error

            return delivered

        for place, output in enumerate(outputs):
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
        slow_at = time.monotonic() + SLOW_S
        while self._producer.flush(1.0):
            if self.stopping.is_set():
                raise Stopped
            if time.monotonic() > slow_at:  # librdkafka itself tries for 30 s before it tells of an error
                self.troubles.note(agent, NotTaken(KafkaError(KafkaError._MSG_TIMED_OUT), outputs[0].topic))
        if failed:
            outputs[:] = [outputs[place] for place in sorted(failed)]
            raise NotTaken(next(iter(failed.values())), outputs[0].topic)

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


class Runner:
    """Does the batches of one stateless agent, one at a time."""

    def __init__(self, agent: Agent, outlet: Outlet, parse: Parse | None = None) -> None:
        self.agent = agent
        self._outlet = outlet
        self._value = parse or alone(agent.topic.schema)
        self._own = frozenset(table.name for table in agent.own)
        self._cache: OrderedDict[RowName, BaseModel | None] = OrderedDict()
        self._limit = DeadLetterLimit()
        self._stale = threading.Event()
        self._models: Models = {}
        """Those of the batch in hand: one that is released meanwhile waits for the next, also where the batch is halved."""
        self._lists = SHIPPED

    def assigned(self) -> None:
        """Partitions have changed hands: rows may have been written by others since. The next batch forgets what it knew."""
        self._stale.set()

    def process(self, raw: Sequence[Record]) -> None:
        """Do a batch whose values are still bytes. When this returns, everything that should come of it is confirmed.

        Raises:
            Stopped: the worker stops; do not acknowledge.
        """
        with spans.batch(self.agent.name, self.agent.topic.name, raw):
            if self._stale.is_set():
                self._stale.clear()
                self._cache.clear()
            if self.agent.models:
                self._models = self._outlet.models()
            if self.agent.lists:
                self._lists = self._outlet.lists()
            began = time.perf_counter()
            batch, letters = self._parse(raw)
            if letters:
                self._outlet.give(self.agent.name, refused := Result(dead_letters=letters))
                telling.requests(self.agent.name, refused, time.perf_counter() - began)
            if batch:
                self._handle(batch)

    def _parse(self, raw: Sequence[Record]) -> tuple[list[Record], list[DeadLetter]]:
        batch, letters = [], []
        for record in raw:
            try:
                value = self._value(record)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                told = wording(first)
                reason = "malformed_json" if first["type"] == "json_invalid" else "wrong_schema"
                letters.append(DeadLetter(record, reason, told.field, str(told), record.raw))
            else:
                batch.append(Record(*record[:-1], value))  # `_replace` takes twice as long
        return batch, letters

    def _handle(self, batch: Sequence[Record]) -> None:
        began = time.perf_counter()
        try:
            names = list(dict.fromkeys(self.agent.keys(batch)))
        except Exception as error:
            self._halve(batch, error)
            return
        rows = self._rows(names)
        try:
            handling = time.perf_counter()
            result = self.agent.call(batch, rows, self._models, self._lists)
            handled = time.perf_counter() - handling
            check_sizes(result)
        except Exception as error:
            self._halve(batch, error)
            return
        self._remember(result, self._outlet.give(self.agent.name, result))
        seconds = time.perf_counter() - began
        telling.requests(self.agent.name, result, seconds)
        telling.block_age(self.agent.name, batch[-1].value)
        self._limit.fine(len(batch))
        self._outlet.activity.handled += len(batch)
        metrics.BATCH_SIZE.labels(self.agent.name).observe(len(batch))
        metrics.EVENTS_IN.labels(self.agent.name).inc(len(batch))
        metrics.HANDLER_SECONDS.labels(self.agent.name).observe(handled)
        metrics.BATCH_SECONDS.labels(self.agent.name).observe(seconds)

    def _halve(self, batch: Sequence[Record], error: Exception) -> None:
        if len(batch) > 1:
            middle = len(batch) // 2
            self._handle(batch[:middle])
            self._handle(batch[middle:])
            return
        refuse_for_error(self.agent.name, batch[0], error, self._outlet, self._limit)

    def _rows(self, names: Sequence[RowName]) -> Rows:
        cache = self._cache
        rows = {name: cache[name] for name in names if name in cache}
        for name in rows:
            cache.move_to_end(name)
        found = self._outlet.read(self.agent.name, [name for name in names if name not in rows])
        cache.update((name, row) for name, row in found.items() if name[0].name in self._own)
        while len(cache) > self.agent.cached:  # only now: a row of this batch may be among the oldest
            cache.popitem(last=False)
        rows.update(found)
        return rows

    def _remember(self, result: Result, refused: Sequence[int]) -> None:
        for place, row in enumerate(result.rows):
            if row.table.name in self._own:
                name = (row.table, row.key)
                if place in refused:
                    self._cache.pop(name, None)
                elif name in self._cache:  # one that was never asked for is not asked for again
                    self._cache[name] = row.value


def refuse_for_error(agent: str, record: Record, error: Exception, outlet: Outlet, limit: DeadLetterLimit) -> None:
    """Dead-letter a record that our code fails on, unless that happens too often; who waits for its answer is told so.

    Raises:
        Stopped: the worker stops.
    """
    told = {"request_id": record.header(REQUEST_ID)}
    log.error("%s: %s/%d/%d refused", agent, record.topic, record.partition, record.offset, exc_info=error, extra=told)
    tracing.failed(error)
    detail = f"{type(error).__name__}: {error}"
    outlet.activity.failed += 1
    if limit.error():
        outlet.end(EXIT_DEAD_LETTERS, f"{agent}: too many records fail in our own code, the last with {detail}")
    result = Result(dead_letters=[DeadLetter(record, HANDLER_ERROR, "", detail, record.raw)])
    if (asked := record.header(REQUEST_ID)) and (reply_to := record.header(REPLY_TO)):
        result.answers.append(Answer(asked, reply_to, NotAnswered()))
    outlet.give(agent, result)


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
