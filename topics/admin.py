"""Make the topics of the registry, and check that a cluster's topics fit it."""

from __future__ import annotations

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]

from base.settings import Settings
from topics.clients import common
from topics.registry import wanted

TIMEOUT_S = 15


def create(settings: Settings) -> list[str]:
    """Create what is missing; return the names created.

    Raises:
        KafkaException: the broker refuses, or does not answer in 15 s.
    """
    admin = AdminClient(common(settings))
    there = set(admin.list_topics(timeout=TIMEOUT_S).topics)
    missing = [w for w in wanted(settings.partitions, settings.replication) if w.name not in there]
    if not missing:
        return []
    new = [NewTopic(w.name, w.partitions, w.replication, config=w.config) for w in missing]
    made = []
    for name, done in admin.create_topics(new, operation_timeout=TIMEOUT_S).items():
        try:
            done.result(TIMEOUT_S)
            made.append(name)
        except KafkaException as error:
            if error.args[0].name() != "TOPIC_ALREADY_EXISTS":  # somebody else was faster
                raise
    return made


def check(settings: Settings) -> list[str]:
    """What is wrong with the cluster's topics, a sentence each with its fix; empty when all is well.

    Raises:
        KafkaException: the broker does not answer in 15 s.
    """
    admin = AdminClient(common(settings))
    metadata = admin.list_topics(timeout=TIMEOUT_S).topics
    wants = wanted(settings.partitions, settings.replication)
    faults = [f"{w.name}: missing; run `bin/soba topics create`" for w in wants if w.name not in metadata]
    present = [w for w in wants if w.name in metadata]
    resources = {w.name: ConfigResource(ResourceType.TOPIC, w.name) for w in present}
    configs = admin.describe_configs(list(resources.values())) if resources else {}
    counts = {w.name: len(metadata[w.name].partitions) for w in present}
    for w in present:
        config = configs[resources[w.name]].result(TIMEOUT_S)
        size = int(config["max.message.bytes"].value)
        if size < int(w.config["max.message.bytes"]):
            faults.append(
                f"{w.name}: max.message.bytes is {size}, needs {w.config['max.message.bytes']}; raise it with kafka-configs"
            )
        if config["cleanup.policy"].value != w.config["cleanup.policy"]:
            faults.append(
                f"{w.name}: cleanup.policy is {config['cleanup.policy'].value}, must be {w.config['cleanup.policy']}"
            )
        if counts[w.name] < w.partitions:
            faults.append(f"{w.name}: {counts[w.name]} partitions, settings ask for {w.partitions}")
    if {"chain.events", "chain.blocks"} <= counts.keys() and counts["chain.events"] != counts["chain.blocks"]:
        faults.append(
            f"chain.blocks has {counts['chain.blocks']} partitions and chain.events {counts['chain.events']}; they must be equal"
        )
    return faults


def cluster_id(settings: Settings) -> str:
    """The cluster's own name, which no other has.

    Raises:
        KafkaException: the broker does not answer in 15 s.
    """
    return str(AdminClient(common(settings)).list_topics(timeout=TIMEOUT_S).cluster_id)
