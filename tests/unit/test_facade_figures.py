"""The form of figures: one JSON object, and an exit code that tells whether all pass."""

from __future__ import annotations

import json

import pytest

from console.figures import Figure, show


@pytest.mark.parametrize(
    ("condition", "value", "ok"),
    [
        ("< 6", 5.9, True),
        ("< 6", 6.0, False),
        (">= 0.9", 0.9, True),
        ("<=1e3", 1000.0, True),
        ("= 0", 1, False),
        (None, 9, True),
    ],
)
def test_a_value_is_compared_with_its_condition(condition: str | None, value: float, ok: bool) -> None:
    assert Figure("p50", value, "ms", pass_=condition).ok is ok


def test_a_condition_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="p50: 'about 6'"):
        _ = Figure("p50", 1, "ms", pass_="about 6").ok


def test_the_last_line_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    missed, met = Figure("p95", 20, "ms", "peer 7.9", "< 15", "< 10"), Figure("p50", 5, "ms", pass_="< 6")
    assert show([met, missed], as_json=True) == 1
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(told) == {"rows", "machine", "commit"}
    row = {
        "name": "p95",
        "value": 20,
        "unit": "ms",
        "reference": "peer 7.9",
        "pass": "< 15",
        "aim": "< 10",
        "ok": False,
    }
    assert told["rows"][1] == row
    assert show([met], as_json=True) == 0


def test_the_table_says_what_was_missed(capsys: pytest.CaptureFixture[str]) -> None:
    assert show([Figure("p95", 20, "ms", pass_="< 15")], as_json=False) == 1
    assert "MISSED" in capsys.readouterr().out
