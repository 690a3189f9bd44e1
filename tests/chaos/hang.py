"""What to look at when nothing comes out any more: groups, stacks, the broker's log."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException
from confluent_kafka.admin import AdminClient

from tests.chaos.scene import Scene
from tests.conftest import wait_for
from topics.clients import common, consumer

SHOWN = 40
"""Lines of the broker's log."""


def groups(scene: Scene) -> Iterator[str]:
    """A line for each consumer group, its members and each partition where records wait for it."""
    admin = AdminClient(common(scene.settings))
    reader = Consumer(consumer(scene.settings, "chaos.ends"))
    try:
        names = sorted(group.group_id for group in admin.list_consumer_groups(request_timeout=15).result(30).valid)
        for name, asked in admin.describe_consumer_groups(names, request_timeout=15).items():
            group = asked.result(30)
            yield f"{name}: {group.state.name}, {len(group.members)} members"
            for member in group.members:
                held = member.assignment.topic_partitions if member.assignment else []
                parts = ", ".join(f"{where.topic}/{where.partition}" for where in held) or "nothing"
                yield f"    {member.member_id}: {parts}"
            (offsets,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)]).values()
            for where in offsets.result(30).topic_partitions:
                _, end = reader.get_watermark_offsets(where, timeout=10)
                if end > where.offset:
                    yield f"    stands still: {where.topic}/{where.partition} at {where.offset} of {end}"
    except KafkaException as error:
        yield f"Kafka does not tell: {error}"
    finally:
        reader.close()


def stacks(scene: Scene) -> Iterator[str]:
    """The end of each worker's log, with the stacks of all its threads; that ends them."""
    for child in scene.running:
        before, pid = child.log.stat().st_size, child.pid
        child.resume()
        if child.name != "facade":  # mode prints the stacks of a worker's tasks
            child.signal(signal.SIGUSR1)
            with suppress(AssertionError):
                wait_for(lambda child=child, before=before: child.log.stat().st_size > before + 2_000, 5)  # type: ignore[misc]
        child.signal(signal.SIGABRT)
        with suppress(AssertionError):
            wait_for(lambda child=child, pid=pid: not child.alive or child.pid != pid, 10, every=0.01)  # type: ignore[misc]
        text = child.log.read_bytes()
        yield f"--- {child.name}: its last lines, and its stacks"
        yield "\n".join(text[:before].decode(errors="replace").splitlines()[-15:])
        yield text[before:].decode(errors="replace")[-40_000:]


def explanation(scene: Scene) -> str:
    """All of it."""
    lines = ["--- consumer groups", *groups(scene), *stacks(scene)]
    lines += [f"--- the last {SHOWN} lines of Kafka's log", scene.servers.kafka.tail(SHOWN)]
    return "\n".join(lines)
