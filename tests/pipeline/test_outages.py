"""A Redis or Kafka that refuses, is full or slow: the worker waits, says so once and clearly, and goes on by itself.

The faults that take minutes are marked `long`: `bin/soba test -m long tests/pipeline/test_outages.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson
import psutil
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from agents.trouble import REPEAT_S
from base.settings import ROOT, Settings
from console.local.servers import LocalServers
from ingest.files import read_blocks
from tables.registry import BLOCKS, MEV
from tests.conftest import logged, wait_for
from tests.contract.facade import new_chain, working
from tests.pipeline.proxy import Proxy, proxied
from topics import clients, codecs
from topics.admin import create
from topics.registry import CHAIN_BLOCKS, DEAD_LETTER_ROOM, MEV_FINDINGS

pytestmark = pytest.mark.pipeline
MANY = 12
LINES = 8
"""What a worker says at most of a fault: each of its agents, its heartbeat and its commits once, each again when it is over."""


@dataclass
class Scene:
    """A worker of chain.blocks behind a proxy, what it logs, and its servers."""

    settings: Settings
    servers: LocalServers
    proxy: Proxy
    log: Path
    process: psutil.Process
    redis: redis.Redis

    def send(self, chain_id: int, numbers: range) -> None:
        """Validated blocks with sandwiches in them.

        Raises:
            AssertionError: Kafka has not acknowledged them.
        """
        client, errors = Producer(clients.producer(self.settings)), []

        def told(error: Any, message: Any) -> None:
            if error is not None:
                errors.append(error)

        for number in numbers:
            value = {**_block(), "chain_id": chain_id, "number": number, "revision": number}
            client.produce(CHAIN_BLOCKS.name, orjson.dumps(value), str(chain_id).encode(), 0, told)
        assert client.flush(40) == 0 and not errors, errors

    def done(self, chain_id: int, numbers: range) -> bool:
        """Whether every block has its rows."""
        keys = [table.row_key(f"{chain_id}:{number}") for number in numbers for table in (BLOCKS, MEV)]
        return None not in cast(list[Any], self.redis.mget(keys))

    def lines(self) -> list[dict[str, Any]]:
        """What the worker has logged."""
        return [json.loads(line) for line in logged(self.log)]


def _block() -> dict[str, Any]:
    (found,) = read_blocks(ROOT / "samples" / "blocks" / "ethereum-13666326")
    block: dict[str, Any] = orjson.loads(codecs.encode(found.block))
    return block


@pytest.fixture(scope="module")
def scene(settings: Settings, servers: LocalServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    create(settings)
    log = tmp_path_factory.mktemp("outages") / "chain.log"
    with proxied(settings) as proxy, working("chain", proxy.settings, log) as worker:
        store = redis.Redis.from_url(settings.redis_url)
        scene = Scene(settings, servers, proxy, log, psutil.Process(worker.pid), store)
        chain_id = new_chain()
        scene.send(chain_id, range(1))
        wait_for(lambda: scene.done(chain_id, range(1)))
        yield scene
        assert worker.poll() is None
        store.close()


@contextlib.contextmanager
def full(scene: Scene) -> Iterator[None]:
    before = cast(dict[str, str], scene.redis.config_get("maxmemory"))["maxmemory"]
    scene.redis.config_set("maxmemory", "1")
    try:
        yield
    finally:
        scene.redis.config_set("maxmemory", before)


@contextlib.contextmanager
def a_replica(scene: Scene) -> Iterator[None]:
    scene.redis.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        scene.redis.replicaof("NO", "ONE")


@contextlib.contextmanager
def without_replicas(scene: Scene) -> Iterator[None]:
    scene.redis.config_set("min-replicas-to-write", "1")
    try:
        yield
    finally:
        scene.redis.config_set("min-replicas-to-write", "0")


def _topic(scene: Scene, name: str, setting: str, value: str) -> None:
    entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[entry])
    admin = AdminClient(clients.common(scene.settings))
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(60)


@contextlib.contextmanager
def small(scene: Scene) -> Iterator[None]:
    _topic(scene, MEV_FINDINGS.name, "max.message.bytes", "200")
    try:
        yield
    finally:
        _topic(scene, MEV_FINDINGS.name, "max.message.bytes", str(MEV_FINDINGS.max_bytes + DEAD_LETTER_ROOM))


@contextlib.contextmanager
def away(scene: Scene) -> Iterator[None]:
    """Redis, for a minute: it does not answer, and its connections stay open."""
    scene.servers.redis.pause()
    try:
        yield
        end = time.monotonic() + 60
        wait_for(lambda: time.monotonic() > end, 70)
    finally:
        scene.servers.redis.resume()


Fault = Callable[[Scene], contextlib.AbstractContextManager[None]]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (full, ("Redis at 127.0.0.1:", "is full", "maxmemory")),
        (a_replica, ("Redis at 127.0.0.1:", "is a replica", "REPLICAOF NO ONE")),
        (without_replicas, ("Redis at 127.0.0.1:", "fewer replicas than min-replicas-to-write", "lower that setting")),
        (small, ("Kafka at 127.0.0.1:", "takes no record as large", "(mev.findings)", "soba topics check")),
        pytest.param(away, ("Redis at 127.0.0.1:", "does not answer"), marks=pytest.mark.long),
    ],
)
def test_a_server_that_refuses_is_waited_for(scene: Scene, fault: Fault, told: tuple[str, ...]) -> None:
    chain_id, before = new_chain(), len(scene.lines())
    memory = scene.process.memory_info().rss
    began = time.monotonic()
    with fault(scene):
        scene.send(chain_id, range(MANY))
        line = wait_for(lambda: next((one for one in scene.lines()[before:] if " waits" in one["message"]), None))
        assert all(part in line["message"] for part in (*told, "nothing is lost")), line["message"]
        assert line["level"] == "WARN"
        _produced_while_it_waits(scene, chain_id)
        grown = scene.process.memory_info().rss - memory
    wait_for(lambda: scene.done(chain_id, range(2 * MANY)))
    lasted = time.monotonic() - began
    assert _findings(scene.settings, chain_id) == set(range(2 * MANY))
    wait_for(lambda: any("went on after" in one["message"] for one in scene.lines()[before:]))
    said = [one["message"] for one in scene.lines()[before:] if one["level"] != "INFO" or "went on" in one["message"]]
    # It is told again by each for every half minute that it lasts.
    assert len(said) <= LINES * (1 + int(lasted / REPEAT_S)), said
    assert grown < 64 * 2**20, f"{grown / 2**20:.0f} MB more"


def _produced_while_it_waits(scene: Scene, chain_id: int) -> None:
    """Input goes on: it stays in Kafka, and what is not done is not acknowledged."""
    asker = Consumer(clients.consumer(scene.settings, "BLOCKCHAIN_INTELLIGENCE"))
    try:
        where = [TopicPartition(CHAIN_BLOCKS.name, 0)]
        before = asker.committed(where, timeout=60)[0].offset
        scene.send(chain_id, range(MANY, 2 * MANY))
        end = asker.get_watermark_offsets(where[0], timeout=60)[1]
        assert before <= asker.committed(where, timeout=60)[0].offset <= end - 2 * MANY
    finally:
        asker.close()


def _findings(settings: Settings, chain_id: int) -> set[int]:
    """The blocks of a chain of which there are findings."""
    reader = Consumer(clients.consumer(settings, "outages"))
    where = [TopicPartition(MEV_FINDINGS.name, part, 0) for part in range(settings.partitions)]
    left = {one.partition: reader.get_watermark_offsets(one, timeout=60)[1] for one in where}
    reader.assign(where)
    found: set[int] = set()

    def read() -> bool:
        for message in reader.consume(1_000, timeout=0.2):
            value = orjson.loads(message.value() or b"{}")
            if value["chain_id"] == chain_id:
                found.add(value["block_number"])
        return all(at.offset >= left[at.partition] or not left[at.partition] for at in reader.position(where))

    wait_for(read)
    reader.close()
    return found


@pytest.mark.parametrize("many", [3, pytest.param(100, marks=pytest.mark.long)])
def test_a_slow_redis_slows_and_stops_nothing(scene: Scene, many: int) -> None:
    """Two seconds more for each answer: no time-out, no retry, no restart."""
    chain_id, before = new_chain(), len(scene.lines())
    with slow(scene):
        scene.send(chain_id, range(many))
        wait_for(lambda: scene.done(chain_id, range(many)), 120)
    told = [line for line in scene.lines()[before:] if line["metadata"]["logger"].startswith("soba")]
    # A Kafka that has to wait for a core may be slow too, which is no matter of Redis.
    wrong = [line for line in told if line["level"] in ("WARN", "ERROR") and "Kafka at" not in line["message"]]
    assert wrong == []


@contextlib.contextmanager
def slow(scene: Scene) -> Iterator[None]:
    scene.proxy.delay_s = 2.0
    try:
        yield
    finally:
        scene.proxy.delay_s = 0.0
        scene.proxy.delayed.clear()


@pytest.mark.long
def test_a_kafka_that_stands_still_in_mid_batch_is_waited_for(scene: Scene) -> None:
    """For a minute: longer than librdkafka waits for an acknowledgement, shorter than we do."""
    chain_id, before = new_chain(), len(scene.lines())
    about = f"{chain_id}:".encode()
    with slow(scene):
        scene.send(chain_id, range(MANY))
        wait_for(lambda: any(about in data for data in scene.proxy.delayed), every=0.002)
        scene.servers.kafka.pause()
    try:
        end = time.monotonic() + 60
        line = wait_for(lambda: next((one for one in scene.lines()[before:] if "waits" in one["message"]), None), 40)
        assert "Kafka at 127.0.0.1:" in line["message"] and "does not answer" in line["message"], line
        wait_for(lambda: time.monotonic() > end, 70)
    finally:
        scene.servers.kafka.resume()
    wait_for(lambda: scene.done(chain_id, range(MANY)))
    assert _findings(scene.settings, chain_id) == set(range(MANY))
    said = [one["message"] for one in scene.lines()[before:] if one["level"] != "INFO"]
    assert len(said) <= 40, said


@contextlib.contextmanager
def little_room(folder: Path) -> Iterator[Path]:
    """A file system of 48 MB: a tmpfs, where one may be mounted."""
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "soba-test", str(folder)], capture_output=True
    ).returncode:
        pytest.skip("no tmpfs may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.long
@pytest.mark.parametrize("victim", ["kafka", "redis"])
def test_a_disk_that_is_full_loses_nothing(tmp_path: Path, victim: str) -> None:
    """The server ends or refuses, everybody waits or is started again; with room again all that was acknowledged is there."""
    with contextlib.ExitStack() as stack:
        room = stack.enter_context(little_room(tmp_path / victim))
        servers = stack.enter_context(LocalServers(tmp_path, Settings(_env_file=None)))
        own = Settings(
            _env_file=None, brokers=servers.brokers, redis_url=servers.redis_url, data_dir=tmp_path, worker_port=0
        )
        create(own)
        log = tmp_path / "chain.log"
        store = redis.Redis.from_url(own.redis_url)
        chain_id, sent = new_chain(), 0
        with working("chain", own, log) as worker, proxied(own) as proxy:
            scene = Scene(own, servers, proxy, log, psutil.Process(worker.pid), store)
            scene.send(chain_id, range(1))
            wait_for(lambda: scene.done(chain_id, range(1)))
            sent = 1
            filler = room / "filler"
            filled = os.statvfs(room).f_bavail * os.statvfs(room).f_frsize - 256 * 1024
            filler.write_bytes(b"x" * filled)
            child = getattr(servers, victim)
            end = time.monotonic() + 60
            while child.alive and time.monotonic() < end:
                try:
                    scene.send(chain_id, range(sent, sent + 1))
                except AssertionError:  # not acknowledged: not ours to keep
                    break
                sent += 1
            print(victim, "alive" if child.alive else f"ended with {child.rc}", "after", sent, "blocks")
            filler.unlink()
            if not child.alive or victim == "kafka":
                child.restart()  # as the launcher does
            wait_for(lambda: worker.poll() is not None or scene.done(chain_id, range(sent)), 150)
        with working("chain", own, tmp_path / "again.log"):  # as the launcher does
            wait_for(lambda: scene.done(chain_id, range(sent)), 120)
        assert _findings(own, chain_id) >= set(range(sent))
        lines = log.read_text().splitlines()
        print("\n".join(line for line in lines if '"WARN"' in line or '"ERROR"' in line)[:6_000])
        assert len(lines) < 300
        store.close()
