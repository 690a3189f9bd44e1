"""What is said of a failing Kafka or Redis: the server, the fault, what to do; once, and never its password."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import redis
from confluent_kafka import KafkaError

from agents.trouble import REPEAT_S, NotTaken, Troubles, explained
from base.settings import Settings

HERE = Settings(_env_file=None, brokers="broker:9092", redis_url="redis://me:secret@store:7000/1")
FULL = redis.ResponseError(
    "Command # 1 (EVAL ...) of pipeline caused error: command not allowed when used memory > 'maxmemory'."
)


@pytest.mark.parametrize(
    ("error", "fault", "remedy"),
    [
        (FULL, "is full", "CONFIG SET maxmemory"),
        (redis.ReadOnlyError("You can't write against a read only replica."), "is a replica", "REPLICAOF NO ONE"),
        (redis.ResponseError("NOREPLICAS Not enough good replicas to write."), "fewer replicas", "lower that setting"),
        (
            redis.ResponseError("MISCONF Errors writing to the AOF file: No space left"),
            "cannot write to its disk",
            "make room",
        ),
        (redis.TimeoutError("Timeout reading from socket"), "does not answer in time", "overloaded"),
        (redis.ConnectionError("Error 111"), "does not answer", "bin/soba doctor"),
        (ConnectionResetError("reset"), "does not answer", "bin/soba doctor"),
        (redis.ResponseError("ERR unknown command"), "refuses what it is sent", "its words say why"),
    ],
)
def test_what_is_said_of_redis(error: Exception, fault: str, remedy: str) -> None:
    said = explained(error, HERE)
    assert said.startswith("Redis at store:7000 ") and fault in said and remedy in said
    assert "nothing is lost" in said and "secret" not in said and "\n" not in said


@pytest.mark.parametrize(
    ("code", "fault", "remedy"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, "takes no record as large", "soba topics check"),
        (KafkaError.KAFKA_STORAGE_ERROR, "cannot write to its disk", "make room"),
        (KafkaError.NOT_ENOUGH_REPLICAS, "min.insync.replicas", "start the missing brokers"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, "does not know the topic", "soba topics create"),
    ],
)
def test_what_is_said_of_kafka(code: int, fault: str, remedy: str) -> None:
    said = explained(NotTaken(KafkaError(code), "mev.findings"), HERE)
    assert said.startswith("Kafka at broker:9092 ") and fault in said and remedy in said and "(mev.findings)" in said


def test_a_trouble_is_told_once_again_each_half_minute_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    troubles = Troubles(HERE, lambda: now)
    caplog.set_level(logging.INFO, "soba.runtime")

    def told() -> list[str]:
        out = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return out

    for _ in range(1_000):
        troubles.note("mev", FULL)
    assert len(told()) == 1
    troubles.note("blocks", FULL)
    (said,) = told()
    assert said.startswith("blocks waits: Redis")
    now = REPEAT_S
    troubles.note("mev", FULL)
    (said,) = told()
    assert said.startswith("mev waits for 30 s: Redis at store:7000 is full")
    other: Any = redis.ReadOnlyError("You can't write against a read only replica.")
    troubles.note("mev", other)  # another fault is another line
    assert len(told()) == 1
    now = 42.0
    troubles.over("mev")
    troubles.over("mev")
    assert told() == ["mev: went on after 42.0 s"]
    troubles.note("mev", FULL)
    (said,) = told()
    assert said.startswith("mev waits: ")
