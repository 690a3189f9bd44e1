"""What a worker tells operators: lines about requests, a summary, ages, and dead letters by reason."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from agents import telling
from agents.activity import Activity
from agents.agent import Agent, DeadLetter, Output, Record, Result, Rows
from agents.outlet import HANDLER_ERROR, Outlet
from agents.runtime import Runner
from agents.telling import SUMMARY_S, Summary
from agents.validate import Validator
from base.logs import JsonFormatter
from base.settings import Settings
from tables.rows import Answer
from tests.unit.handled import OnItsWay
from tests.unit.wire import TIME, envelope, records, swap, transaction
from topics.headers import Headers
from topics.registry import REQUESTS_DATA
from topics.schemas.chain import Block
from topics.schemas.requests import Verdicts

NAMED = [("request_id", b"r1"), ("traceparent", b"t")]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[logging.LogRecord]]:
    caplog.set_level(logging.INFO)
    return lambda: caplog.records


def output(topic: str, headers: Headers) -> Output:
    return Output(topic, b"k", b"{}", headers)


def test_a_line_for_each_request_that_something_was_done_for(lines: Callable[[], list[logging.LogRecord]]) -> None:
    (refused,) = records([swap()], headers=[("request_id", b"r2")])
    result = Result(
        outputs=[output("chain.blocks", NAMED), output("chain.blocks", [])],
        after=[output("pair.trades", NAMED), output("pair.trades", NAMED)],
        dead_letters=[DeadLetter(refused, "wrong_schema", "", "", b"")],
        answers=[Answer("r3:abc", None, Verdicts(verdicts=[]))],
    )
    telling.requests("validate", result, 0.0123456)
    (record,) = lines()
    said = [json.loads(line) for line in JsonFormatter("DATA_PROCESSING").format(record).split("\n")]
    assert {line["request_id"]: (line["message"], line["duration_ms"]) for line in said} == {
        "r1": ("validate: 1 to chain.blocks, 2 to pair.trades", 12.35),
        "r2": ("validate: 1 to chain.events.dlq", 12.35),
        "r3:abc": ("validate: answered", 12.35),
    }
    assert all(line["level"] == "INFO" and line["metadata"]["agent"] == "validate" for line in said)


def test_what_nobody_asked_for_has_no_lines(lines: Callable[[], list[logging.LogRecord]]) -> None:
    telling.requests("validate", Result(outputs=[output("chain.blocks", [])] * 100), 1.0)
    assert not lines()


def test_a_summary_a_minute_where_there_is_something_to_say(lines: Callable[[], list[logging.LogRecord]]) -> None:
    activity = Activity(handled=7)
    summary = Summary(activity, 0.0)
    summary.tell(SUMMARY_S - 1)
    assert not lines()
    summary.tell(SUMMARY_S)
    activity.handled, activity.failed, activity.dead_letters = 10, 1, 2
    activity.lags = {"validate": 4}
    summary.tell(2 * SUMMARY_S + 3)
    activity.lags = {}
    summary.tell(4 * SUMMARY_S)
    assert [line.getMessage() for line in lines()] == [
        "in 60 s: 7 records handled, 0 failed, 0 dead letters; 0 waiting",
        "in 63 s: 3 records handled, 1 failed, 2 dead letters; 4 waiting",
    ]
    told = {"handled": 3, "failed": 1, "dead_letters": 2, "lag": 4, "lags": {"validate": 4}}
    assert lines()[1].__dict__["metadata"] == told


# Metrics


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_the_age_of_a_record_grows_until_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    telling.record_age("aged", None)
    telling.record_age("aged", -0.001)  # how Kafka says that it knows no time
    assert value("soba_record_age_seconds", agent="aged") is None
    telling.record_age("aged", 1_000.0)
    for now, age in ((1_002.5, 2.5), (1_060.0, 60.0), (999.0, 0.0)):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        assert value("soba_record_age_seconds", agent="aged") == age


def test_the_age_of_a_block_is_that_of_what_is_about_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: TIME + 9.0)
    whole = envelope(swap(timestamp=None), transactions=[transaction(n) for n in range(50)], hash="0x" + "ab" * 32)
    (block,) = Validator(0, 1).handle(records([whole]), TIME + 9.0).outputs
    finding, unknown = SimpleNamespace(block_timestamp=TIME), SimpleNamespace(block_timestamp=None)
    for place, one in enumerate((block.value, Block.model_validate_json(block.value), finding)):
        telling.block_age(f"about{place}", one)
        telling.block_age(f"about{place}", unknown)  # says nothing, and so changes nothing
        assert value("soba_block_age_seconds", agent=f"about{place}") == 9.0


class Silent(Outlet):
    """An outlet that gives out nothing and counts all the same."""

    def giving(self, agent: str, result: Result) -> Any:
        self.count(agent, result)
        return OnItsWay(list)


def test_batches_are_timed_with_and_without_servers_and_dead_letters_have_reasons() -> None:
    def handle(batch: Sequence[Record], rows: Rows) -> Result:
        if batch[0].offset == 1:
            raise RuntimeError("cannot")
        return Result()

    settings = Settings(_env_file=None, brokers="127.0.0.1:1", redis_url="redis://127.0.0.1:1/0")
    runner = Runner(Agent("counted", REQUESTS_DATA, handle), Silent(settings, Activity()))
    good = b'{"op": "validate_events", "events": []}'
    raws: list[Any] = [good, good, b"{", b"[]"]
    for offset, raw in enumerate(raws):
        runner.process([Record(REQUESTS_DATA.name, 0, offset, b"k", [], raw, None)])
    by_reason = {
        reason: value("soba_dead_letters_total", agent="counted", reason=reason)
        for reason in (HANDLER_ERROR, "malformed_json", "wrong_schema")
    }
    assert by_reason == {HANDLER_ERROR: 1, "malformed_json": 1, "wrong_schema": 1}
    assert value("soba_rejected_total", agent="counted", reason="malformed_json") == 1
    assert value("soba_rejected_total", agent="counted", reason=HANDLER_ERROR) is None
    assert value("soba_handler_seconds_count", agent="counted") == 1
    assert value("soba_batch_seconds_count", agent="counted") == 1
