"""What the routes share: settings, Redis, the producer, questions and keys, opened and closed with the app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from redis.asyncio import Redis

from base.settings import Settings
from facade.kafka import Producer
from facade.keys import Keys
from facade.questions import Questions


@dataclass(frozen=True, slots=True)
class Context:
    """One facade process."""

    settings: Settings
    redis: Redis
    producer: Producer
    questions: Questions
    keys: Keys


def connect(settings: Settings) -> Redis:
    """Redis with bounded waits: a caller is told soon that it is away."""
    return Redis.from_url(settings.redis_url, socket_timeout=5, socket_connect_timeout=2, socket_keepalive=True)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Context]:
    """A context, its connections open while inside."""
    redis, producer = connect(settings), Producer(settings)
    questions = Questions(settings, redis, producer)
    try:
        await producer.start()
        await questions.start()
        yield Context(settings, redis, producer, questions, Keys(settings, redis))
    finally:
        await questions.stop()
        await producer.stop()
        await redis.aclose()


def _of(request: Request) -> Context:
    return cast(Context, request.app.state.context)


Here = Annotated[Context, Depends(_of)]
"""A route's parameter that gets the context."""
