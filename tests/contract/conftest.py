"""One facade in open mode, and Redis itself."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import redis

from base.settings import Settings
from tests.contract.facade import serving
from topics.admin import create


@pytest.fixture(scope="session")
def busy(settings: Settings) -> Settings:
    """Settings with topics made and a rate limit that tests do not reach."""
    create(settings)
    return settings.model_copy(update={"rate_limit_per_minute": 100_000})


@pytest.fixture(scope="session")
def http(busy: Settings) -> Iterator[httpx.Client]:
    """A client of a facade without keys."""
    with serving(busy) as client:
        yield client


@pytest.fixture
def store(settings: Settings) -> Iterator[redis.Redis]:
    """The session's Redis."""
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client
