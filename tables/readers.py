"""Read rows for those who do not write them: one by key, or a page of them by way of an index."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import orjson
from pydantic import BaseModel
from redis.asyncio import Redis

from tables.registry import DRIFT_BY_MODEL, WORKERS, DriftRow, Index, Table, WorkerRow, redis_key
from tables.rows import parse

T = TypeVar("T", bound=BaseModel)
R = TypeVar("R")
Scored = list[tuple[bytes, float]]
"""Members of a sorted set with their scores."""
WORKERS_SEEN = "workers_seen"
"""Sorted set of the keys of worker rows, scored by `beat_at`: so that nobody has to scan for them."""
CHUNK = 128
"""Rows read in one round trip."""
SCAN = 2048
"""Rows looked at for one page: a filter that matches little costs a bounded time, and its page says where to go on."""


class CursorError(ValueError):
    """A cursor that no page of ours ended with."""


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Part of a list, newest first; `cursor` leads to the rest, None at the end."""

    items: list[R]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: within the `skip`-th item of the row `member`, which the index scores with `score`."""

    score: float
    member: str
    skip: int

    def encode(self) -> str:
        """As opaque text."""
        return base64.urlsafe_b64encode(orjson.dumps([self.score, self.member, self.skip])).decode().rstrip("=")

    @classmethod
    def decode(cls, cursor: str) -> Place:
        """The place behind a cursor.

        Raises:
            CursorError: not one of ours.
        """
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            score, member, skip = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        except (ValueError, TypeError, binascii.Error) as error:
            raise CursorError("not a cursor of a page") from error
        if not (isinstance(score, int | float) and isinstance(member, str) and isinstance(skip, int) and skip >= 0):
            raise CursorError("not a cursor of a page")
        return cls(score, member, skip)


async def row(redis: Redis, table: Table, schema: type[T], key: str) -> T | None:
    """The row of `key`, or None."""
    return parse(schema, cast("bytes | None", await redis.get(table.row_key(key))))


async def rows(redis: Redis, table: Table, schema: type[T], keys: list[str]) -> list[T | None]:
    """The rows of `keys` in one round trip, None for each that there is none of."""
    return [parse(schema, stored) for stored in await _rows(redis, table, keys)]


async def page(
    redis: Redis,
    index: Index,
    key: str,
    schema: type[T],
    items: Callable[[T], list[R]],
    limit: int,
    cursor: str | None,
) -> Page[R]:
    """At most `limit` items of the rows that `index` names under `key`, newest first, from `cursor` on.

    An index only points: `items` takes from each row what it really says. A page may be short, even empty, and still
    have a cursor; only a page without one is the last.

    Raises:
        CursorError: the cursor is not one of ours.
    """
    name = redis_key(index.name, key)
    place = Place.decode(cursor) if cursor else None
    start = await _after(redis, name, place) if place else 0
    found: list[R] = []
    for _ in range(SCAN // CHUNK):
        members = cast(Scored, await redis.zrange(name, start, start + CHUNK - 1, desc=True, withscores=True))
        if not members:
            return Page(found, None)
        rows = await _rows(redis, index.table, [member.decode() for member, _ in members])
        for (raw, score), stored in zip(members, rows, strict=True):
            member = raw.decode()
            parsed = parse(schema, stored)
            skip = place.skip if place and place.member == member else 0
            new = items(parsed)[skip:] if parsed is not None else []
            room = limit - len(found)
            if len(new) > room:
                return Page(found + new[:room], Place(score, member, skip + room).encode())
            found += new
            last = Place(score, member, skip + len(new))
        start += len(members)
    return Page(found, last.encode())


async def _after(redis: Redis, name: str, place: Place) -> int:
    """The rank to go on from: that of the row the page ended in, else the first below its score."""
    rank = cast("int | None", await redis.zrevrank(name, place.member))
    return rank if rank is not None else int(await redis.zcount(name, place.score, "+inf"))


async def _rows(redis: Redis, table: Table, keys: list[str]) -> list[Any]:
    # A pipeline and not MGET: rows of several buckets lie in several slots of a cluster.
    async with redis.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.get(table.row_key(key))
        found: list[Any] = await pipe.execute()
    return found


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker that beat its heart lately; `row` is None once that is so long ago that it has expired."""

    app_id: str
    beat_at: float
    row: WorkerRow | None


async def workers(redis: Redis, since: float) -> list[Seen]:
    """Every worker that beat after `since` (unix seconds), by app id."""
    found = cast(Scored, await redis.zrange(WORKERS_SEEN, since, "+inf", byscore=True, withscores=True))
    names = [name.decode() for name, _ in found]
    rows = await _rows(redis, WORKERS, names)
    seen = [
        Seen(name.rpartition(":")[0], score, parse(WorkerRow, stored))
        for name, (_, score), stored in zip(names, found, rows, strict=True)
    ]
    return sorted(seen, key=lambda worker: worker.app_id)


async def drift(redis: Redis, name: str, version: str, days: int) -> list[DriftRow]:
    """What was counted of the wallets that a version of the model scored, on so many days up to the last one that has any."""

    def of_version(row: DriftRow) -> list[DriftRow]:
        return [row] if row.model == version else []

    found = (await page(redis, DRIFT_BY_MODEL, name, DriftRow, of_version, DRIFT_BY_MODEL.keep, None)).items
    last = max((row.day for row in found), default=0)
    return [row for row in found if row.day > last - days]
