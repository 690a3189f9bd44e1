"""Whether the servers answer, and what the user is told when they do not."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from base.settings import Settings
from console.local.errors import LocalError

TIMEOUT_S = 5
KAFKA_PORT = 9092
"""Where a broker is that is named without a port."""


def kafka_known(settings: Settings) -> None:
    """Raises LocalError when no Kafka is known."""
    if not settings.brokers:
        raise LocalError(
            "no Kafka is known: nothing runs on this data folder.",
            "Start it with bin/soba up (or bin/soba demo), or name a cluster: SOBA_BROKERS=host:port",
        )


def redis_known(settings: Settings) -> None:
    """Raises LocalError when no Redis is known."""
    if not settings.redis_url:
        raise LocalError(
            "no Redis is known: nothing runs on this data folder.",
            "Start it with bin/soba up (or bin/soba demo), or name one: REDIS_URL=redis://host:port/0",
        )


def kafka(settings: Settings) -> dict[str, int]:
    """The topics of the Kafka that answers, with their partition counts.

    Raises LocalError when none does.
    """
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    from topics import clients

    try:
        # librdkafka says nothing by itself: it repeats a refused connection twenty times a second.
        metadata = AdminClient({**clients.common(settings), "log_level": 0}).list_topics(timeout=TIMEOUT_S)
    except KafkaException as error:
        raise no_kafka(settings, error.args[0].str()) from error
    return {name: len(topic.partitions) for name, topic in metadata.topics.items()}


def no_kafka(settings: Settings, why: str) -> LocalError:
    """What to say when Kafka does not answer."""
    return LocalError(
        f"Kafka at {settings.brokers} does not answer: {why}.",
        "See bin/soba status, or set SOBA_BROKERS to a cluster that runs (unset, bin/soba up starts a local one).",
    )


def redis(settings: Settings) -> None:
    """Raises LocalError when Redis does not answer."""
    from redis import Redis, RedisError

    try:
        with Redis.from_url(settings.redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S) as client:
            client.ping()
    except (RedisError, OSError, ValueError) as error:
        raise no_redis(settings, error) from error


def no_redis(settings: Settings, error: Exception) -> LocalError:
    """What to say when Redis does not answer."""
    return LocalError(
        f"Redis at {masked(settings.redis_url)} does not answer: {str(error).rstrip('.')}.",
        "See bin/soba status, or set REDIS_URL to one that runs (unset, bin/soba up starts a local one).",
    )


def broker_listens(settings: Settings) -> None:
    """Raises LocalError when no broker takes a connection: a millisecond where one does, and no client left behind."""
    failed = ""
    for address in settings.brokers.split(","):
        where = urlsplit(f"//{address.strip().rpartition('://')[2]}")
        try:
            socket.create_connection((where.hostname, where.port or KAFKA_PORT), timeout=TIMEOUT_S).close()
            return
        except (OSError, ValueError) as error:
            failed = str(error)
    raise no_kafka(settings, failed)


def masked(url: str) -> str:
    """An address without its password."""
    head, at, tail = url.rpartition("@")
    return f"{head.split('://')[0]}://***@{tail}" if at else url
