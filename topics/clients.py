"""How this project's Kafka clients are set up, once for librdkafka and once for aiokafka."""

from __future__ import annotations

import logging
import ssl
from typing import Any, cast

from confluent_kafka import Message

from base.settings import Settings
from topics.headers import Headers
from topics.registry import DEAD_LETTER_ROOM, TOPICS

log = logging.getLogger("soba.kafka")

SESSION_TIMEOUT_S = 10
"""A consumer that is not heard of for so long has lost its partitions: how long those of a killed worker wait for another."""
METADATA_AGE_S = 5
"""How often consumers ask anew which partitions there are. A broker that has just come back may say that a topic has none; a group
that shares out its work in that moment gives nothing to anybody, until it asks again."""
LARGEST = max(topic.max_bytes for topic in TOPICS.values()) + 2 * DEAD_LETTER_ROOM


def common(settings: Settings) -> dict[str, Any]:
    """Broker address and the security settings an operator passed through, in librdkafka's names."""
    return {
        "bootstrap.servers": settings.brokers,
        "client.id": "soba",
        "log_level": 3,
        "logger": log,  # else it writes lines of its own form to stderr
        "topic.metadata.refresh.interval.ms": 60_000,
        # librdkafka's 10 s would be the longest part of a broker's restart; aiokafka tries again every 100 ms anyhow.
        "reconnect.backoff.max.ms": 1_000,
        **settings.kafka,
    }


def producer(settings: Settings) -> dict[str, Any]:
    """librdkafka producer: all replicas, no duplicates from retries, Java's partitioner."""
    return {
        **common(settings),
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        # A batch's records are handed over in less; whoever waits for their confirmation waits this long, too.
        "linger.ms": 0.5,
        "message.max.bytes": LARGEST,
        "queue.buffering.max.messages": 500_000,
        "queue.buffering.max.kbytes": 262_144,
        "delivery.timeout.ms": 30_000,
    }


def consumer(settings: Settings, group: str, **more: Any) -> dict[str, Any]:
    """librdkafka consumer of `group`, from the earliest offset, committing only when told to."""
    return {
        **common(settings),
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "fetch.message.max.bytes": 4 * 1024 * 1024,
        "receive.message.max.bytes": 256 * 1024 * 1024,
        "fetch.max.bytes": 64 * 1024 * 1024,
        "queued.max.messages.kbytes": 65_536,
        "fetch.wait.max.ms": 20,
        "session.timeout.ms": SESSION_TIMEOUT_S * 1000,
        "heartbeat.interval.ms": SESSION_TIMEOUT_S * 100,
        # A batch is retried in place for up to two minutes (agents.outlet.RETRY_FOR_S), in which its thread does not poll.
        "max.poll.interval.ms": 180_000,
        "topic.metadata.refresh.interval.ms": METADATA_AGE_S * 1000,
        **more,
    }


def aiokafka(settings: Settings) -> dict[str, Any]:
    """Broker address and security for aiokafka, translated from librdkafka's names.

    Raises:
        ValueError: a security setting that aiokafka cannot express.
    """
    out: dict[str, Any] = {"bootstrap_servers": settings.brokers}
    names = {
        "security.protocol": "security_protocol",
        "sasl.mechanism": "sasl_mechanism",
        "sasl.mechanisms": "sasl_mechanism",
        "sasl.username": "sasl_plain_username",
        "sasl.password": "sasl_plain_password",
    }
    tls: dict[str, str] = {}
    for name, value in settings.kafka.items():
        if name in names:
            out[names[name]] = value
        elif name in ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.key.password"):
            tls[name] = value
        elif name.startswith(("ssl.", "sasl.", "security.")):
            raise ValueError(
                f"SOBA_KAFKA: {name} has no equal in aiokafka; use ssl.ca/certificate/key.location and sasl.*"
            )
    if out.get("security_protocol", "PLAINTEXT").upper() in ("SSL", "SASL_SSL"):
        context = ssl.create_default_context(cafile=tls.get("ssl.ca.location"))
        if "ssl.certificate.location" in tls:
            context.load_cert_chain(
                tls["ssl.certificate.location"], tls.get("ssl.key.location"), tls.get("ssl.key.password")
            )
        out["ssl_context"] = context
    return out


def headers_of(message: Message) -> Headers:
    """The headers of a record; its values are bytes, whatever librdkafka's stubs say."""
    return cast(Headers, message.headers() or [])
