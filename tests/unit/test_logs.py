"""Logs: one JSON object a line, in the fields of the contract."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from base.logs import JsonFormatter, setup_logging


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
    logging.captureWarnings(False)


def entries(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_fields_are_those_of_the_contract(stream: io.StringIO) -> None:
    extra = {"duration_ms": 1.5, "request_id": "r", "user_id": "u", "metadata": {"rows": 3}}
    logging.getLogger("soba.x").warning("scored %d", 3, extra=extra)
    (entry,) = entries(stream)
    assert datetime.fromisoformat(entry.pop("timestamp")).tzinfo is not None
    assert entry == {
        "service": "FRAUD_DETECTION",
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
