"""The local servers for real: ready by protocol, safe against kill -9, one to a data folder."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from base.settings import ROOT, Settings
from console.local import kafka_server, ports, redis_server, runfile
from console.local.errors import AlreadyRunning, LocalError
from console.local.servers import LocalServers
from tests.conftest import spawned, wait_for
from topics.clients import LARGEST

pytestmark = pytest.mark.pipeline

HOLDER = """
import sys, threading
from pathlib import Path
from base.settings import Settings
from console.local.servers import LocalServers
with LocalServers(Path(sys.argv[1]), Settings(_env_file=None)):
    print("ready", flush=True)
    threading.Event().wait()
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServers]:
    """Servers of this module alone: it kills them."""
    with LocalServers(tmp_path_factory.mktemp("own"), Settings(_env_file=None)) as servers:
        yield servers


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or waits for somebody to take note of its end."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def port_of(servers: LocalServers) -> int:
    return int(servers.brokers.rpartition(":")[2])


def test_both_answer_their_protocol_on_the_loopback_address_alone(own: LocalServers) -> None:
    assert own.kafka.ready and own.redis.ready
    assert kafka_server.answers(port_of(own))
    for child in own.children:
        listening = [c for c in psutil.Process(child.pid).net_connections("inet") if c.status == "LISTEN"]
        assert listening and {c.laddr.ip.removeprefix("::ffff:") for c in listening} == {"127.0.0.1"}


def test_a_port_without_a_server_does_not_answer() -> None:
    assert not kafka_server.answers(9)
    assert not redis_server.answers(9)


def test_redis_keeps_every_acknowledged_write(own: LocalServers) -> None:
    client = redis.Redis.from_url(own.redis_url)
    settings = client.config_get("*")
    assert (settings["appendfsync"], settings["appendonly"]) == ("always", "yes")
    assert (settings["maxmemory-policy"], settings["save"]) == ("noeviction", "")
    client.set("kept", "1")
    own.redis.kill()
    own.redis.restart()
    assert client.get("kept") == b"1"
    client.close()


def test_kafka_keeps_acknowledged_records_and_takes_the_largest(own: LocalServers) -> None:
    topic, largest = "kept", 16 << 20
    config = {"max.message.bytes": str(LARGEST)}
    admin = AdminClient({"bootstrap.servers": own.brokers})
    admin.create_topics([NewTopic(topic, 1, 1, config=config)])[topic].result()
    producer = Producer({"bootstrap.servers": own.brokers, "message.max.bytes": largest + 4096})
    producer.produce(topic, bytes(largest))
    assert producer.flush(60) == 0
    own.kafka.kill()
    own.kafka.restart()
    consumer = Consumer({"bootstrap.servers": own.brokers, "group.id": "g", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    record = wait_for(lambda: consumer.poll(0.5))
    assert record.error() is None and len(record.value() or b"") == largest
    consumer.close()


def test_unknown_topics_are_not_made_by_asking_for_them(own: LocalServers) -> None:
    admin = AdminClient({"bootstrap.servers": own.brokers})
    admin.list_topics("nobody.made.this", timeout=60)
    assert "nobody.made.this" not in admin.list_topics(timeout=60).topics


def test_a_second_start_says_that_it_runs(own: LocalServers) -> None:
    with (
        pytest.raises(AlreadyRunning, match=rf"already running \(pid {os.getpid()}\)"),
        LocalServers(own.data_dir, Settings(_env_file=None)),
    ):
        pass
    assert own.kafka.ready and own.redis.ready


def test_servers_of_ones_own_are_not_started(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, brokers="there:9092", redis_url="redis://there:6379/0")
    with LocalServers(tmp_path, settings) as servers:
        assert servers.children == [] and servers.brokers == "there:9092"


def test_a_port_that_is_taken_before_it_is_bound_is_picked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka is somebody else's here, so only Redis, the last of the three, has a port to lose."""
    settings, real = Settings(_env_file=None, brokers="there:9092"), ports.pick
    with socket.create_server((ports.LOOPBACK, 0)) as other:
        taken = int(other.getsockname()[1])
        monkeypatch.setattr(ports, "pick", lambda *asked: [*real(*asked)[:2], taken])
        with pytest.raises(LocalError, match="redis ended"), LocalServers(tmp_path, settings):
            pass
        picked = iter([taken, *real(1)])
        monkeypatch.setattr(ports, "pick", lambda *asked: [*real(*asked)[:2], next(picked)])
        with LocalServers(tmp_path, settings) as servers:
            assert servers.redis.ready and servers.brokers == "there:9092"
            assert servers.redis_url == f"redis://127.0.0.1:{servers.run.state['ports']['redis']}/0"
            assert servers.run.state["ports"]["redis"] != taken


def test_after_kill_9_of_all_the_next_start_ends_survivors_and_has_the_data(tmp_path: Path) -> None:
    """The holder and Redis die by -9; Kafka is paused, so that it survives what the kernel sends it."""
    argv = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with spawned(argv, stdout=subprocess.PIPE, cwd=ROOT, text=True) as holder:
        said = holder.stdout
        assert said is not None
        wait_for(lambda: "ready" in said.readline(), 120)
        run = json.loads((tmp_path / "run.json").read_text())
        client = redis.Redis.from_url(run["redis_url"])
        client.set("kept", "1")
        client.close()
        kafka = run["processes"]["kafka"]["pid"]
        os.kill(kafka, signal.SIGSTOP)
        wait_for(lambda: psutil.Process(kafka).status() == psutil.STATUS_STOPPED)
        holder.kill()
    with LocalServers(tmp_path, Settings(_env_file=None)) as servers:
        assert has_ended(kafka)
        assert servers.brokers == run["brokers"] and servers.redis_url == run["redis_url"]
        client = redis.Redis.from_url(servers.redis_url)
        assert client.get("kept") == b"1"
        client.close()
        assert servers.kafka.ready


def soba(*args: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "console", *args]
    return subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, timeout=150)


def snapshot(env: dict[str, str]) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(soba("status", "--json", env=env).stdout)
    return state


def http_status(address: str) -> int:
    try:
        return httpx.get(f"{address}/health", timeout=30).status_code
    except httpx.HTTPError:
        return 0


def test_up_starts_everything_keeps_it_up_and_stops_in_order(tmp_path: Path) -> None:
    """`soba up` as a user has it: kill -9 of each kind of child, a second start, Ctrl-C, nothing left."""
    env = {**os.environ, "SOBA_DATA_DIR": str(tmp_path / "data"), "SOBA_PORT": "0", "SOBA_WORKER_PORT": "0"}
    said = tmp_path / "said"
    with said.open("w") as out:
        up = subprocess.Popen([sys.executable, "-m", "console", "up"], env=env, cwd=ROOT, stdout=out, stderr=out)
    try:
        wait_for(lambda: "Soba is up" in said.read_text() or up.poll() is not None, 240)
        assert up.poll() is None, said.read_text()
        state = snapshot(env)
        pids = {row["name"]: row["pid"] for row in state["processes"]}
        assert state["running"] and {"kafka", "redis", "facade"} < set(pids)
        wait_for(lambda: http_status(state["http"]) == 200)  # "up" waits a minute for it, and then goes on without

        second = soba("up", env=env)
        assert second.returncode == 1
        assert f"already running (pid {up.pid}), see bin/soba status" in second.stderr

        for name in pids:
            with contextlib.suppress(ProcessLookupError):  # a worker may have ended of what became of Redis
                os.kill(pids[name], signal.SIGKILL)
        wait_for(
            lambda: all(row["restarts"] >= 1 for row in runfile.read(tmp_path / "data")["processes"].values()), 150
        )
        after = wait_for(lambda: (now := snapshot(env))["processes"] and now)
        assert (after["brokers"], after["redis_url"], after["http"]) == (
            state["brokers"],
            state["redis_url"],
            state["http"],
        )
        wait_for(lambda: kafka_server.answers(int(state["brokers"].rpartition(":")[2])))
        wait_for(lambda: http_status(state["http"]) == 200)
        # It gives servers a few seconds to answer, and workers are still starting.
        wait_for(lambda: json.loads(soba("doctor", "--json", env=env).stdout)["ok"])

        up.send_signal(signal.SIGINT)
        assert up.wait(150) == 0, said.read_text()
    finally:
        if up.poll() is None:
            up.kill()
            up.wait()
    # Workers may be killed (one that still joins its group does not listen); the others stop by themselves.
    stopped = said.read_text().split("stopping")[1]
    assert not [name for name in ("facade", "redis", "kafka") if f"{name} (pid" in stopped]
    assert not any(psutil.pid_exists(row["pid"]) for row in after["processes"])
    assert not snapshot(env)["running"]
