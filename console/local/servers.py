"""Local Kafka and Redis on one data folder."""

from pathlib import Path
from types import TracebackType
from typing import Self

from base.settings import Settings
from console.local import ports
from console.local.errors import LocalError
from console.local.kafka_server import kafka_child
from console.local.process import Child
from console.local.redis_server import redis_child
from console.local.runfile import RunFile

PORTS = ("kafka", "controller", "redis")
TRIES = 3
"""A port that was free when it was picked may be somebody else's before a server, which takes seconds to start, binds it."""


class LocalServers:
    """A context manager: Kafka and Redis run inside it, unless the settings name servers of one's own.

    Raises AlreadyRunning, or LocalError with what to do, when they cannot start.
    """

    def __init__(self, data_dir: Path, settings: Settings) -> None:
        self.data_dir = data_dir.absolute()
        self.brokers, self.redis_url = settings.brokers, settings.redis_url
        self.run = RunFile(self.data_dir)
        self._kafka: Child | None = None
        self._redis: Child | None = None

    @property
    def kafka(self) -> Child:
        """The broker's process. Raises LocalError when the settings name another Kafka."""
        return _ours(self._kafka, "Kafka")

    @property
    def redis(self) -> Child:
        """Redis' process. Raises LocalError when the settings name another Redis."""
        return _ours(self._redis, "Redis")

    @property
    def children(self) -> list[Child]:
        return [child for child in (self._kafka, self._redis) if child is not None]

    def __enter__(self) -> Self:
        self.run.acquire()
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        before = self.run.state["ports"]
        given = self.brokers, self.redis_url
        for left in reversed(range(TRIES)):
            chosen = ports.pick(3, [before.get(name) for name in PORTS])
            try:
                self._start_at(*chosen)
                break
            except LocalError:
                self._stop()
                if not left or all(map(ports.is_free, chosen)):
                    raise
                self._kafka = self._redis = None
                self.brokers, self.redis_url = given
        self.run.update(
            brokers=self.brokers,
            redis_url=self.redis_url,
            ports={**before, **dict(zip(PORTS, chosen, strict=True))},
        )

    def _start_at(self, port: int, controller: int, redis_port: int) -> None:
        logs = self.data_dir / "logs"
        # Redis first: it is ready at once, and Kafka may have jars to fetch.
        if not self.redis_url:
            self._redis = redis_child(self.data_dir / "redis", logs / "redis.log", redis_port)
            self.redis_url = f"redis://{ports.LOOPBACK}:{redis_port}/0"
        if not self.brokers:
            self._kafka = kafka_child(self.data_dir / "kafka", logs / "kafka.log", port, controller)
            self.brokers = f"{ports.LOOPBACK}:{port}"
        for child in self.children:
            child.start()
            self.run.note(child)
        for child in self.children:
            child.wait_ready()

    def _stop(self) -> None:
        for child in (self._redis, self._kafka):
            if child is not None:
                child.stop()

    def close(self) -> None:
        """Stop Redis, then Kafka, and give the data folder back."""
        self._stop()
        self.run.release()


def _ours(child: Child | None, name: str) -> Child:
    if child is None:
        raise LocalError(f"{name} is not one that this process started")
    return child
