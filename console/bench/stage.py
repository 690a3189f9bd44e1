"""What a bench stands on: local servers on cores of their own, topics that begin empty, and records in them."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import redis
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from rich.console import Console

from base.settings import Settings, load
from console.local.errors import LocalError
from console.local.servers import LocalServers
from topics import clients
from topics.admin import create

OUT = "bench.out"
"""Where peers produce what they keep."""
PATIENCE_S = 60.0
_err = Console(stderr=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process of ours: SIGTERM, and SIGKILL after 15 s."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def say(text: str) -> None:
    """A line of progress, beside the figures."""
    _err.print(text, style="dim", highlight=False)


@dataclass(frozen=True)
class Stage:
    """Running servers, and the cores of what is measured (`own`, one each) and of the rest."""

    settings: Settings
    own: tuple[int, ...]
    rest: tuple[int, ...]

    def pin(self, worker: int = 0) -> Callable[[], None] | None:
        """For `preexec_fn`: the process that is measured stays on one core, the `worker`th of those that are free for it."""
        if not self.own:
            return None
        core = self.own[min(worker, len(self.own) - 1)]
        return lambda: os.sched_setaffinity(0, {core})

    def environment(self, **more: str) -> dict[str, str]:
        """For a child of Soba's own."""
        settings = self.settings
        environment = settings.environment(
            brokers=settings.brokers, redis_url=settings.redis_url, data_dir=settings.data_dir, worker_port=0
        )
        return {**environment, **more}

    def fresh(self, *names: str) -> None:
        """Have topics begin anew, whatever was in them, and the tables: their rows' versions are offsets of what is no more."""
        with redis.Redis.from_url(self.settings.redis_url) as tables:
            tables.flushall()
            tables.bgrewriteaof()  # now, and not in the midst of the next row for what the last one wrote
            _until(lambda: not _rewrites(tables), "Redis to have written its file anew")
        admin = AdminClient(clients.common(self.settings))
        there = [name for name in names if name in admin.list_topics(timeout=15).topics]
        for done in admin.delete_topics(there, operation_timeout=30).values() if there else ():
            done.result(30)
        _until(lambda: not set(there) & set(admin.list_topics(timeout=15).topics), "topics to go")
        create(self.settings)
        if OUT in names:
            config = {"max.message.bytes": str(32 * 1024 * 1024)}
            new = [NewTopic(OUT, self.settings.partitions, 1, config=config)]
            for done in admin.create_topics(new, operation_timeout=30).values():
                done.result(30)
        _until(lambda: set(names) <= set(admin.list_topics(timeout=15).topics), "topics to come")

    def forget(self, group: str) -> None:
        """Drop a consumer group's offsets, as soon as its last member has left."""
        admin = AdminClient(clients.common(self.settings))

        def dropped() -> bool:
            (done,) = admin.delete_consumer_groups([group], request_timeout=15).values()
            try:
                done.result(15)
            except KafkaException as error:
                return bool(error.args[0].name() == "GROUP_ID_NOT_FOUND")
            return True

        _until(dropped, f"{group} to be empty")

    def fill(self, records: Iterable[tuple[str, bytes]], topic: str, told: str) -> None:
        """Produce (key, value) pairs to a topic."""
        producer = Producer(clients.producer(self.settings))
        began, count = time.monotonic(), 0
        for key, value in records:
            while True:
                try:
                    producer.produce(topic, value, key)
                    break
                except BufferError:
                    producer.poll(0.05)
            count += 1
            if count % 1_000 == 0:
                producer.poll(0)
        producer.flush()
        say(f"{told}: {count:,} records in {time.monotonic() - began:.0f} s")

    @contextmanager
    def probe(self, *names: str) -> Iterator[Probe]:
        """Counts of records in topics."""
        probe = Probe(self.settings, names)
        try:
            yield probe
        finally:
            probe.close()

    def read(self, topic: str) -> list[Message]:
        """All records of a topic as it stands now."""
        consumer = Consumer(clients.consumer(self.settings, "bench.read"))
        found: list[Message] = []
        for partition in range(self.settings.partitions):
            where = TopicPartition(topic, partition, 0)
            _, end = consumer.get_watermark_offsets(where, timeout=15)
            consumer.assign([where])
            give_up_at = time.monotonic() + PATIENCE_S
            while end and time.monotonic() < give_up_at:
                found += (got := [one for one in consumer.consume(10_000, 0.5) if one.error() is None])
                if got and (got[-1].offset() or 0) >= end - 1:
                    break
        consumer.close()
        return found


class Probe:
    """Counts records by asking the broker for the ends of partitions: what is there was acknowledged."""

    def __init__(self, settings: Settings, names: tuple[str, ...]) -> None:
        self._consumer = Consumer(clients.consumer(settings, "bench.probe"))
        self._where = [TopicPartition(name, number) for name in names for number in range(settings.partitions)]

    def count(self) -> int:
        """Records now."""
        return sum(self._consumer.get_watermark_offsets(where, timeout=15)[1] for where in self._where)

    def close(self) -> None:
        """Leave the broker alone."""
        self._consumer.close()


@contextmanager
def stage() -> Iterator[Stage]:
    """Local servers in a folder that is thrown away: topics are emptied here, so never those that somebody uses."""
    settings = load().model_copy(update={"brokers": "", "redis_url": "", "kafka": {}})
    parent = settings.data_dir / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    say("starting Kafka and Redis")
    with (
        tempfile.TemporaryDirectory(prefix="run-", dir=parent) as folder,
        LocalServers(Path(folder), settings) as servers,
    ):
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
        own, rest = tuple(cores[: len(cores) // 2]), tuple(cores[len(cores) // 2 :])
        for child in servers.children:
            confine(child.pid, rest)
        confine(os.getpid(), rest)
        changes = {"brokers": servers.brokers, "redis_url": servers.redis_url, "data_dir": Path(folder)}
        made = settings.model_copy(update=changes)
        create(made)
        yield Stage(made, own[::-1], rest)


def confine(pid: int, cores: tuple[int, ...]) -> None:
    """Keep every thread of a process on `cores`; those it starts later follow."""
    if not cores:
        return
    for thread in psutil.Process(pid).threads():
        with suppress(ProcessLookupError):  # it ended meanwhile
            os.sched_setaffinity(thread.id, set(cores))


def _rewrites(tables: redis.Redis) -> bool:
    told: Any = tables.info("persistence")
    return bool(told["aof_rewrite_in_progress"] or told["aof_rewrite_scheduled"])


def _until(call: Callable[[], bool], what: str) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not call():
        if time.monotonic() > give_up_at:
            raise LocalError(f"waited {PATIENCE_S:.0f} s in vain for {what}")
        time.sleep(0.1)
