"""What the routes share: settings, Redis, the producer, questions and keys, opened and closed with the app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError

from base.settings import Settings
from facade.kafka import Producer
from facade.keys import Keys, is_loopback
from facade.limits import WrongKeys
from facade.questions import Questions

TRIES_AGAIN = 4
"""With pauses of 0.1, 0.2, 0.4 and 0.5 s: longer than the launcher takes to have a killed Redis back."""


@dataclass(frozen=True, slots=True)
class Context:
    """One facade process."""

    settings: Settings
    redis: Redis
    producer: Producer
    questions: Questions
    keys: Keys
    wrong_keys: WrongKeys


def connect(settings: Settings) -> Redis:
    """Redis with bounded waits: a restart is waited for, and of a longer absence a caller is told soon.

    Everything that the facade does there may be done twice. Not repeated is what ran into a time limit: that took long
    enough already.
    """
    return Redis.from_url(
        settings.redis_url,
        socket_timeout=5,
        socket_connect_timeout=2,
        socket_keepalive=True,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), TRIES_AGAIN, supported_errors=(Disconnected,)),
    )


async def exposed(settings: Settings) -> bool:
    """Whether other machines could reach the facade and no key is known: then it must not serve."""
    if is_loopback(settings.host) or settings.api_keys:
        return False
    if not settings.redis_url:  # a local one, not yet started
        return True
    redis = connect(settings)
    try:
        return not await Keys(settings, redis).exist()
    except (RedisError, OSError):
        return True
    finally:
        await redis.aclose()


async def closed(settings: Settings) -> bool:
    """Whether the facade asks for a key: one is known, in the settings or in Redis (also when that does not say)."""
    redis = connect(settings)
    try:
        return not await Keys(settings, redis).is_open()
    except (RedisError, OSError):
        return True
    finally:
        await redis.aclose()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Context]:
    """A context, its connections open while inside."""
    redis, producer = connect(settings), Producer(settings)
    questions = Questions(settings, redis, producer)
    try:
        await producer.start()
        await questions.start()
        wrong_keys = WrongKeys(redis, settings.rate_limit_per_minute)
        yield Context(settings, redis, producer, questions, Keys(settings, redis), wrong_keys)
    finally:
        await questions.stop()
        await producer.stop()
        await redis.aclose()


def _of(request: Request) -> Context:
    return cast(Context, request.app.state.context)


Here = Annotated[Context, Depends(_of)]
"""A route's parameter that gets the context."""
