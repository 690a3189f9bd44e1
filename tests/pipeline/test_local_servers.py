"""The local servers for real: ready by protocol, safe against kill -9, one to a data folder."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from base.settings import ROOT, Settings
from console.local import kafka_server, redis_server
from console.local.errors import AlreadyRunning
from console.local.servers import LocalServers
from tests.conftest import wait_for

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
    config = {"max.message.bytes": str(kafka_server.LARGEST)}
    admin = AdminClient({"bootstrap.servers": own.brokers})
    admin.create_topics([NewTopic(topic, 1, 1, config=config)])[topic].result()
    producer = Producer({"bootstrap.servers": own.brokers, "message.max.bytes": largest + 4096})
    producer.produce(topic, bytes(largest))
    assert producer.flush(30) == 0
    own.kafka.kill()
    own.kafka.restart()
    consumer = Consumer({"bootstrap.servers": own.brokers, "group.id": "g", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    record = wait_for(lambda: consumer.poll(0.5), 30)
    assert record.error() is None and len(record.value() or b"") == largest
    consumer.close()


def test_unknown_topics_are_not_made_by_asking_for_them(own: LocalServers) -> None:
    admin = AdminClient({"bootstrap.servers": own.brokers})
    admin.list_topics("nobody.made.this", timeout=10)
    assert "nobody.made.this" not in admin.list_topics(timeout=10).topics


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


def test_after_kill_9_of_all_the_next_start_ends_survivors_and_has_the_data(tmp_path: Path) -> None:
    """The holder and Redis die by -9; Kafka is paused, so that it survives what the kernel sends it."""
    argv = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT, text=True) as holder:
        assert holder.stdout is not None
        wait_for(lambda: "ready" in holder.stdout.readline(), 60)
        run = json.loads((tmp_path / "run.json").read_text())
        client = redis.Redis.from_url(run["redis_url"])
        client.set("kept", "1")
        client.close()
        kafka = run["processes"]["kafka"]["pid"]
        os.kill(kafka, signal.SIGSTOP)
        wait_for(lambda: psutil.Process(kafka).status() == psutil.STATUS_STOPPED)
        holder.kill()
    with LocalServers(tmp_path, Settings(_env_file=None)) as servers:
        assert not psutil.pid_exists(kafka) or psutil.Process(kafka).status() == psutil.STATUS_ZOMBIE
        assert servers.brokers == run["brokers"] and servers.redis_url == run["redis_url"]
        client = redis.Redis.from_url(servers.redis_url)
        assert client.get("kept") == b"1"
        client.close()
        assert servers.kafka.ready
