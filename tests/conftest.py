"""Fixtures of the session: one Kafka and one Redis for all tests that need them.

With SOBA_TESTCONTAINERS=1 and a container engine they are containers; the same tests run on both.
"""

import contextlib
import faulthandler
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import hypothesis
import pytest

from base.settings import Settings, variables
from console.local.servers import LocalServers
from topics.clients import LARGEST

T = TypeVar("T")
# By the clock Hypothesis would judge the machine; all else is as its own profile has it (in CI: always the same examples).
hypothesis.settings.register_profile(
    "soba", hypothesis.settings(), deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("soba")
_KEPT = {"SOBA_CACHE", "SOBA_MAVEN_URL", "SOBA_TESTCONTAINERS", "SOBA_VENV", "SOBA_PYTHON"}


def pytest_configure() -> None:
    """Tests mean the same on every machine: settings of the developer's shell are not theirs."""
    for name in {*variables(), *(name for name in os.environ if name.startswith("SOBA_"))} - _KEPT:
        os.environ.pop(name, None)
    # bin/check runs parts of the tests in the background, where a shell has Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    """A thread that a test left running does not keep the run from its end; where it stands is told."""
    faulthandler.dump_traceback_later(60, exit=True)


def wait_for(condition: Callable[[], T | None], timeout: float = 60.0, every: float = 0.02) -> T:
    """The first true value of the condition; raises AssertionError when none comes in time.

    The time is only there that a broken promise ends the test: it is long, since three parts of the tests share two cores.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not true within {timeout} s: {condition}"
        time.sleep(every)
    return value


@contextlib.contextmanager
def spawned(argv: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A process, killed where it has not ended by the end of the `with`: that of `Popen` would wait for ever."""
    with subprocess.Popen(argv, **options) as process:
        try:
            yield process
        finally:
            process.kill()  # does nothing where it has ended


def without_coverage(environment: Mapping[str, str]) -> dict[str, str]:
    """For a process that gets Ctrl-C: an interrupt inside coverage's own code would leave a lock of that taken for ever."""
    return {name: value for name, value in environment.items() if not name.startswith("COV")}


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServers]:
    """Kafka and Redis with `.brokers` and `.redis_url`; `.kafka` and `.redis` can be killed and paused."""
    data_dir = tmp_path_factory.mktemp("soba")
    with contextlib.ExitStack() as stack:
        addresses: dict[str, Any] = _containers(stack) if os.environ.get("SOBA_TESTCONTAINERS") == "1" else {}
        yield stack.enter_context(LocalServers(data_dir, Settings(_env_file=None, **addresses)))


def _containers(stack: contextlib.ExitStack) -> dict[str, str]:
    """Addresses of containers that live as long as the stack."""
    from testcontainers.community.kafka import KafkaContainer
    from testcontainers.community.redis import RedisContainer

    kafka = KafkaContainer().with_kraft().with_env("KAFKA_MESSAGE_MAX_BYTES", str(LARGEST))
    stack.enter_context(kafka)
    redis = stack.enter_context(RedisContainer())
    host, port = redis.get_container_host_ip(), redis.get_exposed_port(6379)
    return {"brokers": kafka.get_bootstrap_server(), "redis_url": f"redis://{host}:{port}/0"}


@pytest.fixture(scope="session")
def settings(servers: LocalServers) -> Settings:
    """Settings that point at the session's servers; ports are free ones."""
    return Settings(
        _env_file=None,
        brokers=servers.brokers,
        redis_url=servers.redis_url,
        data_dir=servers.data_dir,
        port=0,
        worker_port=0,
    )


@pytest.fixture(scope="session")
def child_env(settings: Settings) -> dict[str, str]:
    """The environment for workers and the facade as processes of their own."""
    return settings.environment(
        brokers=settings.brokers,
        redis_url=settings.redis_url,
        data_dir=settings.data_dir,
        port=0,
        worker_port=0,
    )
