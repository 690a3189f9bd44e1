"""Write rows so that a newer version always wins, and read them back.

`stage` queues commands on a pipeline, of redis-py's blocking or asyncio client alike, so that a batch costs one round trip;
`writing` is for batches of any size, and does not wait.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
import redis
from pydantic import BaseModel, ValidationError

from tables.registry import VERSION_DIGITS, Index, Table, answer_key, redis_key
from topics.codecs import encode

log = logging.getLogger("soba.tables")

T = TypeVar("T", bound=BaseModel)
_told: set[type[BaseModel]] = set()
"""Schemas that a row did not fit."""
ANSWER_TTL_S = 60
PART = 512
"""Rows that are written together, at most."""
MESSAGE_BYTES = 1024 * 1024
"""Answers that are published together: Redis cuts a listener off for which more than 32 MB wait."""

NEWER_WINS = f"""
local refused = {{}}
for i, key in ipairs(KEYS) do
  local row = ARGV[2 * i - 1]
  if redis.call('GETRANGE', key, 0, {VERSION_DIGITS - 1}) > string.sub(row, 1, {VERSION_DIGITS}) then
    refused[#refused + 1] = i - 1
  else
    redis.call('SET', key, row, 'PX', ARGV[2 * i])
  end
end
return refused
"""
"""Sets KEYS[i] to ARGV[2i-1], a version and the value, for ARGV[2i] ms unless a newer version is there; returns the zero-based
positions refused. Versions are zero-padded, so that text order is number order; an absent row is ''."""
POINT = """
local at = 1
for _, key in ipairs(KEYS) do
  local keep, ttl, many = tonumber(ARGV[at]), ARGV[at + 1], tonumber(ARGV[at + 2])
  at = at + 3
  for _ = 1, many do
    redis.call('ZADD', key, ARGV[at], ARGV[at + 1])
    at = at + 2
  end
  redis.call('ZREMRANGEBYRANK', key, 0, -keep - 1)
  redis.call('PEXPIRE', key, ttl)
end
"""
"""Adds to each of KEYS what ARGV says of it in turn: how many members it keeps, for how many ms, how many come, and each as score
and member. One command, because each costs the client 15 µs, which is more than Redis takes for it."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """One entry of an index: `index` under `key` gets the row, scored by block number or unix seconds."""

    index: Index
    key: str
    score: int


@dataclass(slots=True)
class Row:
    """One row to write. `version` is the revision of the block or request it is made from."""

    table: Table
    key: str
    version: int
    value: BaseModel
    pointers: tuple[Pointer, ...] = ()
    _stored: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def stored(self) -> bytes:
        """The row's JSON, without its version."""
        if self._stored is None:
            self._stored = encode(self.value)
        return self._stored


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question, for the facade instance that listens on `reply_to`, if it still does."""

    request_id: str
    reply_to: str | None
    value: BaseModel


def stage(pipe: Any, rows: Sequence[Row], answers: Iterable[Answer] = ()) -> None:
    """Queue `rows`, their index entries and `answers` on `pipe`; the first result is the script's list of refused rows."""
    for command in (*_scripts(rows), *_answering(answers)):
        pipe.execute_command(*command)


def writing(client: redis.Redis, rows: Sequence[Row], answers: Iterable[Answer] = ()) -> Callable[[], list[int]]:
    """Begin to write the same at once; what this returns waits until it is done, and tells the places of refused rows.

    Many rows go in parts, each whole or not at all and then its index entries, in order: Redis does one while the next is made, and
    the last while its caller does something else.

    Raises:
        redis.RedisError: here or while waiting. Anything of it may be written; writing all of it again does no harm.
    """
    pool = client.connection_pool
    connection: Any = pool.get_connection()
    replies: list[int | None] = []
    """What comes back in turn: for rows where their part begins, for all else None."""
    with _or_closed(pool, connection):
        for start in range(0, len(rows), PART):
            scripts = _scripts(rows[start : start + PART])
            connection.send_packed_command(connection.pack_commands(scripts))
            replies += [start, *[None] * (len(scripts) - 1)]
        if told := list(_answering(answers)):
            connection.send_packed_command(connection.pack_commands(told))
            replies += [None] * len(told)

    def written() -> list[int]:
        refused: list[int] = []
        with _or_closed(pool, connection):
            for start in replies:
                reply = connection.read_response()
                refused += [] if start is None else [start + int(place) for place in reply]
        pool.release(connection)
        return refused

    return written


@contextmanager
def _or_closed(pool: redis.ConnectionPool, connection: Any) -> Iterator[None]:
    """Where anything fails, what the connection would still answer is not for whoever has it next."""
    try:
        yield
    except BaseException:
        connection.disconnect()
        pool.release(connection)
        raise


def _scripts(rows: Sequence[Row]) -> list[list[Any]]:
    """Commands: of the rows, and of their index entries where there are some."""
    return [["EVAL", *made] for made in (_newer_wins(rows), _pointing(rows)) if made]


def _newer_wins(rows: Sequence[Row]) -> list[Any]:
    if not rows:
        return []
    lives = {table: int(table.ttl.total_seconds() * 1000) for table in {row.table for row in rows}}
    arguments: list[Any] = [NEWER_WINS, len(rows), *(row.table.row_key(row.key) for row in rows)]
    for row in rows:
        arguments += (b"%0*d" % (VERSION_DIGITS, row.version) + row.stored, lives[row.table])
    return arguments


def _pointing(rows: Sequence[Row]) -> list[Any]:
    entries: dict[tuple[str, int, int], list[Any]] = {}
    for row in rows:
        for pointer in row.pointers:
            lives_ms = int(row.table.ttl.total_seconds() * 1000)
            name = redis_key(pointer.index.name, pointer.key)
            entries.setdefault((name, pointer.index.keep, lives_ms), []).extend((pointer.score, row.key))
    if not entries:
        return []
    said: list[Any] = []
    for (_, keep, lives_ms), members in entries.items():
        said += (keep, lives_ms, len(members) // 2, *members)
    return [POINT, len(entries), *(name for name, _, _ in entries), *said]


def _answering(answers: Iterable[Answer]) -> Iterator[list[Any]]:
    """Commands: answers are set before they are published, and those of a channel in one message.

    A busy facade hears a batch for the price of one answer.
    """
    spoken: dict[str, list[bytes]] = {}
    for answer in answers:
        value = encode(answer.value)
        yield ["SET", answer_key(answer.request_id), value, "EX", ANSWER_TTL_S]
        if answer.reply_to:
            lines = spoken.setdefault(answer.reply_to, [])
            if lines and sum(map(len, lines)) + len(value) > MESSAGE_BYTES:
                yield ["PUBLISH", answer.reply_to, b"\n".join(lines)]
                lines.clear()
            lines += (orjson.dumps(answer.request_id), value)
    for channel, lines in spoken.items():
        yield ["PUBLISH", channel, b"\n".join(lines)]


def heard(message: bytes) -> Iterator[tuple[str, bytes]]:
    """(request id, answer) of each pair of lines of a message that `stage` published."""
    lines = message.split(b"\n")
    for request_id, value in zip(lines[::2], lines[1::2], strict=True):
        yield orjson.loads(request_id), value


def parse(schema: type[T], stored: bytes | None) -> T | None:
    """The row behind `stored`, or None where there is none that today's schema can read: it will be written anew.

    That is logged once for each schema, since a change of one leaves many such rows.
    """
    if stored is None:
        return None
    try:
        return schema.model_validate_json(stored[VERSION_DIGITS:])
    except ValidationError as error:
        if schema not in _told:
            _told.add(schema)
            log.error(
                "a row that does not fit %s counts as absent, and so will others like it: %s", schema.__name__, error
            )
        return None
