"""The workers that live, for commands that tell what each of them knows."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence

from base.health import CHECK_S
from base.settings import get_settings
from tables.registry import WorkerRow


def as_of(rows: Sequence[WorkerRow]) -> str:
    """How long ago the first of these workers said so, as they do every few seconds; empty without any."""
    if not rows:
        return ""
    return f", as of {max(0.0, time.time() - min(row.beat_at for row in rows)):.0f} s ago"


def workers() -> list[WorkerRow] | None:
    """What living workers say of themselves; None where nobody knows, and standard error says why."""
    import redis.asyncio
    from redis.exceptions import RedisError

    from tables import readers

    async def ask() -> list[WorkerRow]:
        async with redis.asyncio.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
            return [seen.row for seen in await readers.workers(client, time.time() - CHECK_S) if seen.row is not None]

    if not (url := get_settings().redis_url):
        return None
    try:
        return asyncio.run(ask())
    except (RedisError, OSError) as error:
        print(f"Redis does not answer, so what workers know is not known: {error}", file=sys.stderr)
        return None
