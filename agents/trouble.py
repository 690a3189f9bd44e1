"""What a worker says of a Kafka or Redis that fails it: which server, its fault and what to do; once, not at every try."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import redis
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]

from base.settings import Settings
from topics import clients

log = logging.getLogger("soba.runtime")

REPEAT_S = 30.0
ASK_S = 3.0
"""How long Kafka is asked what is wrong with it."""
WAITS = "nothing is lost meanwhile, and work goes on by itself afterwards"

_REDIS = (
    (
        "command not allowed when used memory",
        "is full (maxmemory) and evicts nothing, as it must",
        "give it more memory (CONFIG SET maxmemory)",
    ),
    (
        "read only replica",
        "is a replica, which takes no writes",
        "name its master in REDIS_URL, or make it one (REPLICAOF NO ONE)",
    ),
    (
        "Not enough good replicas",
        "has fewer replicas than min-replicas-to-write asks for",
        "start its replicas, or lower that setting",
    ),
    ("MISCONF", "cannot write to its disk", "make room on the disk; its own log says more"),
    ("loading the dataset", "is still reading its data", "wait"),
    ("Authentication required", "wants a password", "give it in REDIS_URL"),
    ("invalid username-password", "does not know this password", "give the right one in REDIS_URL"),
)
"""What Redis says (its clients take the code off that stands before), what that means, what to do."""
_REPLICAS = (
    "has fewer replicas in sync than min.insync.replicas asks for",
    "start the missing brokers, or lower that setting",
)
_SAID = {
    KafkaError.MSG_SIZE_TOO_LARGE: ("takes no record as large as this one", "bin/soba topics check says which limit is too low"),
    KafkaError.KAFKA_STORAGE_ERROR: ("cannot write to its disk", "make room on the disk, then start the broker again"),
    KafkaError.NOT_ENOUGH_REPLICAS: _REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND: _REPLICAS,
    KafkaError.UNKNOWN_TOPIC_OR_PART: ("does not know the topic", "bin/soba topics create"),
    KafkaError._UNKNOWN_TOPIC: ("does not know the topic", "bin/soba topics create"),
    KafkaError.TOPIC_AUTHORIZATION_FAILED: ("forbids us to write", "give the user of SOBA_KAFKA that right"),
    KafkaError.SASL_AUTHENTICATION_FAILED: ("does not know our user", "mend SOBA_KAFKA"),
}  # fmt: skip


class NotTaken(KafkaException):
    """Kafka has not acknowledged a record for `topic`."""

    def __init__(self, error: Any, topic: str) -> None:
        super().__init__(error)
        self.topic = topic


class Troubles:
    """What each agent of a worker has trouble with now: told when it begins, each half minute, and when it is over."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._since: dict[str, tuple[float, float, str]] = {}
        """By agent: when it began, when it was told last, and of which fault."""

    def note(self, agent: str, error: Exception) -> None:
        """`agent` cannot go on for `error`, and will try again."""
        now, kind = self._clock(), _kind(error)
        began, told, what = self._since.get(agent, (now, -REPEAT_S, ""))
        if now - told < REPEAT_S and what == kind:
            return
        self._since[agent] = (began, now, kind)
        lasted = f" for {now - began:.0f} s" if now - began >= 1 else ""
        log.warning("%s waits%s: %s", agent, lasted, explained(error, self._settings))

    def over(self, agent: str) -> None:
        """`agent` went on."""
        if (trouble := self._since.pop(agent, None)) is not None:
            log.info("%s: went on after %.1f s", agent, self._clock() - trouble[0])


def explained(error: Exception, settings: Settings) -> str:
    """One sentence: the server and its address, its fault, what to do, and its own words."""
    if isinstance(error, KafkaException):
        fault, remedy = _kafka(error, settings)
        where = f"Kafka at {settings.brokers}"
    else:
        fault, remedy = _redis(error)
        there = urlsplit(settings.redis_url)
        where = f"Redis at {there.hostname}:{there.port or 6379}"
    return f"{where} {fault}; {remedy}; {WAITS} ({_words(error)})"


def _words(error: Exception) -> str:
    said = error.args[0].str() if isinstance(error, KafkaException) else str(error)
    return " ".join(str(said).split())[:300]


def _kind(error: Exception) -> str:
    """What makes two errors the same fault."""
    if isinstance(error, KafkaException):
        return f"Kafka {error.args[0].code()} {getattr(error, 'topic', '')}"
    return f"Redis {_redis(error)[0]}"


def _redis(error: Exception) -> tuple[str, str]:
    for words, fault, remedy in _REDIS:
        if words in str(error):
            return fault, remedy
    if isinstance(error, redis.TimeoutError):
        return "does not answer in time", "see whether it is overloaded, or the network before it"
    if isinstance(error, redis.ConnectionError | OSError):
        return "does not answer", "start it, or mend the way to it; bin/soba doctor says more"
    return "refuses what it is sent", "its words say why"


def _kafka(error: KafkaException, settings: Settings) -> tuple[str, str]:
    code, topic = error.args[0].code(), getattr(error, "topic", None)
    fault, remedy = _SAID.get(code, ("", ""))
    if not fault:
        fault, remedy = _asked(topic, settings)
    return (f"{fault} ({topic})" if topic and topic not in fault else fault), remedy


def _asked(topic: str | None, settings: Settings) -> tuple[str, str]:
    """What is wrong with a Kafka that only lets time run out: asked of itself."""
    admin = AdminClient(clients.common(settings))
    try:
        there = admin.list_topics(timeout=ASK_S).topics
    except KafkaException:
        return "does not answer", "start it, or mend the way to it; bin/soba doctor says more"
    if topic is not None and topic in there:
        partitions = there[topic].partitions.values()
        if any(one.leader < 0 for one in partitions):
            return "has no leader for a partition", "start the missing brokers; a full disk stops one too"
        with suppress(KafkaException):
            least = _least(admin, topic)
            if any(len(one.isrs) < min(least, len(one.replicas)) for one in partitions):  # as Kafka 4 counts
                return _REPLICAS
    return "answers, but does not take what it is sent in time", "see whether it is overloaded; its own log says more"


def _least(admin: AdminClient, topic: str) -> int:
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    (found,) = admin.describe_configs([resource], request_timeout=ASK_S).values()
    return int(found.result(ASK_S)["min.insync.replicas"].value)
