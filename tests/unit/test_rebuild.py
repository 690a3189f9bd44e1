"""What `soba tables rebuild` says of rows: written, kept for being newer, or there already."""

from __future__ import annotations

import json
import time

import pytest

from agents import risk_alerts
from agents.agent import Record, Result
from agents.rebuild import Rebuild, RowsOnly, Tally
from base.settings import Settings
from console.tables import Done, _report
from tables.registry import ALERTS
from tests.unit.test_fraud_assess import SANCTIONED, assessed
from topics.schemas.risk import Assessment


def record(value: Assessment) -> Record:
    return Record("risk.scores", 0, 0, b"", [], b"", value)


def test_an_alert_of_a_request_that_is_held_is_counted_as_there() -> None:
    bad, fine = record(assessed(fromAddress=SANCTIONED)), record(assessed())
    first = risk_alerts.handle([bad, fine, bad], {})
    assert (len(first.rows), first.held) == (1, 1)
    there = {(ALERTS, row.key): row.value for row in first.rows}
    again = risk_alerts.handle([bad, fine], there)
    assert (again.rows, again.outputs, again.older, again.held) == ([], [], 0, 1)


def test_what_became_of_rows_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(_env_file=None, brokers="127.0.0.1:9", redis_url="redis://127.0.0.1:9/0")
    rebuild = Rebuild(risk_alerts.AGENT, settings)
    rebuild.tally.written = 4
    RowsOnly(settings, rebuild.tally).give("risk_alerts", Result(older=1, held=2))
    assert rebuild.tally == Tally(written=4, newer_kept=1, there_already=2)
    done = Done(time.monotonic(), rebuilds=[rebuild], records={"risk.scores": 9})
    _report(done, json=False)
    head, row, *_ = capsys.readouterr().out.splitlines()
    assert head.endswith("rows written  newer kept  there already")
    assert row.split() == ["alerts", "risk.scores", "4", "1", "2"]
    _report(done, json=True)
    (told,) = json.loads(capsys.readouterr().out)["rebuilt"]
    assert (told["written"], told["newer_kept"], told["there_already"]) == (4, 1, 2)
