"""One facade in open mode, and Redis itself."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import redis

from base.settings import Settings
from facade import kafka
from tests.contract.facade import ready
from topics.admin import create


@pytest.fixture(scope="session")
def busy(settings: Settings) -> Settings:
    """Settings with topics made and a rate limit that tests do not reach."""
    create(settings)
    return settings.model_copy(update={"rate_limit_per_minute": 100_000})


@pytest.fixture(scope="session")
def http(busy: Settings) -> Iterator[httpx.Client]:
    """A client of a facade without keys."""
    with pytest.MonkeyPatch.context() as patch, ready(busy) as client:
        patch.setattr(kafka, "PROBE_TIMEOUT_S", 60.0)  # a broker that has to wait for a core is not away
        yield client


@pytest.fixture
def store(settings: Settings) -> Iterator[redis.Redis]:
    """The session's Redis."""
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client
