"""Logs: one JSON object a line, in the fields of the contract."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from confluent_kafka import Producer

from base.logs import REPEAT_S, JsonFormatter, Repeats, setup_logging
from base.settings import Settings
from tests.conftest import wait_for
from topics import clients


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    setup_logging("FRAUD_DETECTION", "DEBUG")
    out = io.StringIO()
    handler = root.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(out)
    yield out
    root.handlers[:] = before
    root.setLevel(level)
    sys.excepthook = sys.__excepthook__
    logging.captureWarnings(False)


def entries(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_fields_are_those_of_the_contract(stream: io.StringIO) -> None:
    extra = {"duration_ms": 1.5, "request_id": "r", "user_id": "u", "metadata": {"rows": 3}}
    logging.getLogger("soba.x").warning("scored %d", 3, extra=extra)
    (entry,) = entries(stream)
    assert datetime.fromisoformat(entry.pop("timestamp")).tzinfo is not None
    assert entry == {
        "service": "fraud-detection",
        "level": "WARN",
        "message": "scored 3",
        "duration_ms": 1.5,
        "request_id": "r",
        "user_id": "u",
        "metadata": {"logger": "soba.x", "rows": 3},
    }


@pytest.mark.parametrize(("level", "word"), [(10, "DEBUG"), (20, "INFO"), (30, "WARN"), (40, "ERROR"), (50, "ERROR")])
def test_there_are_four_levels(stream: io.StringIO, level: int, word: str) -> None:
    logging.log(level, "x")
    assert entries(stream)[0]["level"] == word


def test_an_exception_stays_in_one_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
        logging.exception("failed")
    (entry,) = entries(stream)
    assert "ValueError: a\nb" in entry["metadata"]["exception"]


def test_what_json_does_not_know_is_written_as_text() -> None:
    record = logging.makeLogRecord({"name": "root", "msg": "x", "metadata": {"at": {1}, 5: b"raw"}})
    assert json.loads(JsonFormatter("S").format(record))["metadata"] == {"logger": "root", "at": "{1}", "5": "b'raw'"}


def test_libraries_are_quiet_unless_all_is_asked_for(stream: io.StringIO) -> None:
    setup_logging("S", "WARN")
    assert logging.getLogger().level == logging.WARNING
    assert logging.getLogger("aiokafka").level == logging.WARNING


def test_the_exception_that_ends_a_process_is_a_line_too(stream: io.StringIO) -> None:
    try:
        raise ValueError("a\nb")
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    (entry,) = entries(stream)
    assert entry["level"] == "ERROR" and "ValueError: a\nb" in entry["metadata"]["exception"]


def said(name: str, text: str) -> logging.LogRecord:
    return logging.makeLogRecord({"name": name, "msg": text, "levelno": logging.ERROR})


def test_what_a_library_repeats_is_held_back_and_counted() -> None:
    now = 100.0
    repeats = Repeats(lambda: now)
    lines = [said("soba.kafka", f"broker 1: connect failed after {n} ms") for n in range(5)]
    assert [repeats.filter(line) for line in lines] == [True, False, False, False, False]
    assert repeats.filter(said("soba.kafka", "another matter")) and repeats.filter(said("aiokafka", "connect failed"))
    now += REPEAT_S
    again = said("soba.kafka", "broker 2: connect failed after 9 ms")
    assert repeats.filter(again) and again.__dict__["metadata"] == {"held_back": 4}


def test_what_we_say_ourselves_is_never_held_back() -> None:
    repeats = Repeats(lambda: 0.0)
    assert all(repeats.filter(said("soba.facade", "GET /api/mev 200")) for _ in range(3))
    failed = said("asyncio", "Task exception was never retrieved")
    failed.exc_info = (ValueError, ValueError(), None)
    assert all(repeats.filter(failed) for _ in range(3))


def test_librdkafka_writes_lines_of_ours(stream: io.StringIO, capfd: pytest.CaptureFixture[str]) -> None:
    """Left alone it writes `%3|1795266702|FAIL|...` to stderr."""
    client = Producer(clients.producer(Settings(_env_file=None, brokers="127.0.0.1:1")))
    wait_for(lambda: client.poll(0.05) or "soba.kafka" in stream.getvalue())
    assert "soba.kafka" in {entry["metadata"]["logger"] for entry in entries(stream)}
    assert "|FAIL|" not in capfd.readouterr().err
