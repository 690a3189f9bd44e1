"""The one runtime under every agent: read rows, handle, give out, in an order that a kill at any moment cannot break.

A batch is done in one thread, whoever feeds it. Its effects are given out in the order of `Result`, each step confirmed before
the next, and only then may the feeder acknowledge the input. So a crash repeats effects and never loses one, and every effect
is harmless when repeated: rows are newer-wins, records carry deterministic ids and revisions. A feeder that has more may begin with
the next batch before: Kafka and Redis take in what one makes while the next is done, which goes out after all of it is confirmed.

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
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from agents import spans, telling
from agents.agent import Agent, DeadLetter, Record, Result, RowName, Rows
from agents.outlet import HANDLER_ERROR, Giving, Outlet, check_sizes
from agents.parsing import Parse, alone
from base import metrics, tracing
from base.exits import EXIT_DEAD_LETTERS
from base.wording import wording
from models.fraud.lists import SHIPPED
from models.releases import Models
from tables.rows import Answer
from topics.headers import REPLY_TO, REQUEST_ID
from topics.schemas.requests import NotAnswered

log = logging.getLogger("soba.runtime")

CONSECUTIVE_ERRORS = 10
ERRORS_IN_WINDOW, WINDOW = 100, 10_000


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


class _Open(NamedTuple):
    """A batch that is handled and not yet confirmed."""

    batch: Sequence[Record]
    result: Result
    began: float
    handled_s: float
    giving: Giving


class Runner:
    """Does the batches of one stateless agent, one at a time, or each while what came of the one before is under way."""

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
        self._open: _Open | None = None

    def assigned(self) -> None:
        """Partitions have changed hands: rows may have been written by others since. The next batch forgets what it knew."""
        self._stale.set()

    def process(self, raw: Sequence[Record]) -> None:
        """Do a batch whose values are still bytes. When this returns, everything that should come of it is confirmed.

        Raises:
            Stopped: the worker stops; do not acknowledge.
        """
        self.begin(raw)
        self.finish()

    def begin(self, raw: Sequence[Record]) -> None:
        """Do a batch, and begin to give out what comes of it: that is confirmed by the end of the next `begin` or `finish`.

        So Kafka and Redis take one batch in while the next is done.

        Raises:
            Stopped: the worker stops; do not acknowledge.
        """
        with spans.batch(self.agent.name, self.agent.topic.name, raw):
            if self._stale.is_set():
                self.finish()
                self._stale.clear()
                self._cache.clear()
            if self.agent.models:
                self._models = self._outlet.models()
            if self.agent.lists:
                self._lists = self._outlet.lists()
            began = time.perf_counter()
            batch, letters = self._parse(raw)
            if letters:
                self.finish()
                self._outlet.give(self.agent.name, refused := Result(dead_letters=letters))
                telling.requests(self.agent.name, refused, time.perf_counter() - began)
            if batch:
                self._handle(batch)
            else:
                self.finish()

    def finish(self) -> list[RowName]:
        """Wait until all that should come of the batches begun is confirmed; return rows that were refused as older.

        Raises:
            Stopped: the worker stops; do not acknowledge.
        """
        if self._open is None:
            return []
        batch, result, began, handled_s, giving = self._open
        refused = [(result.rows[place].table, result.rows[place].key) for place in giving.finish()]
        self._open = None  # only now: what a stop broke off stays unconfirmed
        for name in refused:
            self._cache.pop(name, None)
        seconds = time.perf_counter() - began
        telling.requests(self.agent.name, result, seconds)
        telling.block_age(self.agent.name, batch[-1].value)
        self._limit.fine(len(batch))
        self._outlet.activity.handled += len(batch)
        metrics.BATCH_SIZE.labels(self.agent.name).observe(len(batch))
        metrics.EVENTS_IN.labels(self.agent.name).inc(len(batch))
        metrics.HANDLER_SECONDS.labels(self.agent.name).observe(handled_s)
        metrics.BATCH_SECONDS.labels(self.agent.name).observe(seconds)
        return refused

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
        if self._open is not None:  # by now Kafka has it, and while this batch is handled Redis takes it in
            self._open.giving.write()
        try:
            handling = time.perf_counter()
            result = self.agent.call(batch, rows, self._models, self._lists)
            handled_s = time.perf_counter() - handling
            check_sizes(result)
        except Exception as error:
            self._halve(batch, error)
            return
        if any(name in rows for name in self.finish()):  # made from a row that was never there: Redis has a newer one
            self._handle(batch)
            return
        self._open = _Open(batch, result, began, handled_s, self._outlet.giving(self.agent.name, result))
        if not self._remember(result):
            self.finish()

    def _halve(self, batch: Sequence[Record], error: Exception) -> None:
        self.finish()
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

    def _remember(self, result: Result) -> bool:
        """Keep what was made; whether who reads before it is written finds all of it."""
        all_kept = True
        for row in result.rows:
            name = (row.table, row.key)
            if row.table.name in self._own and name in self._cache:
                self._cache[name] = row.value
            else:  # one that was never asked for is not asked for again
                all_kept = False
        return all_kept


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
