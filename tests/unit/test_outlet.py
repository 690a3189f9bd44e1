"""How a result goes out: step by step, each confirmed before the next, and nothing left behind by what failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from confluent_kafka import KafkaError, KafkaException

from agents.activity import Activity
from agents.agent import Output, Result
from agents.outlet import Outlet, Stopped
from base import metrics
from base.settings import Settings
from tables.registry import BLOCKS, BlockRow
from tables.rows import Row
from topics.registry import ALERTS, MEV_FINDINGS

REFUSED = KafkaError(KafkaError.NOT_ENOUGH_REPLICAS)


class Kafka:
    """A producer that fails at what `fails` holds in turn, and tells of the rest when it is flushed, unless it is `stuck`."""

    def __init__(self, *fails: Any) -> None:
        self.fails = list(fails)
        self.taken: list[bytes] = []
        self.told: list[tuple[Callable[[Any, Any], None], Any]] = []
        self.stuck: Callable[[], None] | None = None

    def produce(self, topic: str, value: bytes, key: bytes, where: int, told: Any, headers: Any) -> None:
        fault = self.fails.pop(0) if self.fails else None
        if isinstance(fault, Exception):
            raise fault
        self.taken.append(key)
        self.told.append((told, fault))

    def flush(self, timeout: float) -> int:
        if self.stuck is not None:
            self.stuck()
            return len(self.told)
        for told, fault in self.told:
            told(fault, None)
        self.told.clear()
        return 0


class Connections:
    """A pool whose connections say what `replies` holds in turn."""

    def __init__(self, *replies: Any) -> None:
        self.connection_pool = self
        self.replies = list(replies)
        self.in_use = self.sent = self.closed = 0

    def get_connection(self) -> Connections:
        self.in_use += 1
        return self

    def pack_commands(self, commands: list[Any]) -> int:
        return len(commands)

    def send_packed_command(self, commands: int) -> None:
        self.sent += commands

    def read_response(self) -> Any:
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def disconnect(self) -> None:
        self.closed += 1

    def release(self, connection: Connections) -> None:
        self.in_use -= 1


def outlet(kafka: Kafka, connections: Connections) -> Outlet:
    made: Any = Outlet(Settings(_env_file=None, brokers="127.0.0.1:1", redis_url="redis://127.0.0.1:1"), Activity())
    made._producer, made.redis = kafka, connections
    return made  # type: ignore[no-any-return]


def result(*outputs: bytes, after: bytes = b"after") -> Result:
    value = BlockRow(chain_id=1, number=1, revision=1, status="complete", transactions=0, events={}, rejected=0)
    return Result(
        outputs=[Output(MEV_FINDINGS.name, key, b"{}") for key in outputs],
        after=[Output(ALERTS.name, after, b"{}")],
        rows=[Row(BLOCKS, "a", 1, value)],
    )


def test_a_step_goes_out_once_the_one_before_is_confirmed_and_rows_last() -> None:
    kafka, connections = Kafka(), Connections([0])
    giving = outlet(kafka, connections).giving("test", result(b"1", b"2"))
    assert kafka.taken == [b"1", b"2"]
    giving.write()
    giving.write()
    assert (kafka.taken, connections.sent, connections.in_use) == ([b"1", b"2", b"after"], 1, 1)
    assert giving.finish() == [0] and connections.in_use == 0


@pytest.mark.parametrize(
    ("fails", "taken"),
    [
        ([KafkaException(REFUSED)], [b"1", b"2", b"after"]),
        ([None, KafkaException(REFUSED)], [b"1", b"1", b"2", b"after"]),
        ([None, REFUSED], [b"1", b"2", b"2", b"after"]),
    ],
    ids=["none taken", "taken in part", "one not acknowledged"],
)
def test_what_kafka_fails_at_goes_out_again_and_counts_once(fails: list[Any], taken: list[bytes]) -> None:
    kafka, connections = Kafka(*fails), Connections([])
    counted = metrics.EVENTS_OUT.labels("test", MEV_FINDINGS.name)
    before = counted._value.get()
    assert outlet(kafka, connections).give("test", result(b"1", b"2")) == []
    assert kafka.taken == taken and counted._value.get() - before == 2


def test_rows_whose_reply_does_not_come_are_written_again_and_no_connection_is_left_with_it() -> None:
    connections = Connections(redis.TimeoutError(), redis.ResponseError("OOM"), [])
    giving = outlet(Kafka(), connections).giving("test", result(b"1"))
    giving.write()
    assert giving.finish() == []
    assert (connections.sent, connections.closed, connections.in_use) == (3, 2, 0)


def test_a_stop_before_kafka_has_it_writes_no_row() -> None:
    kafka, connections = Kafka(), Connections()
    out = outlet(kafka, connections)
    giving = out.giving("test", result(b"1"))
    kafka.stuck = out.stopping.set
    for do in (giving.write, giving.finish):
        with pytest.raises(Stopped):
            do()
    assert (kafka.taken, connections.sent) == ([b"1"], 0)
