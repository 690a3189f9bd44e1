"""What judging costs in process: a count that judges nothing, or refuses what is good, is no figure."""

from __future__ import annotations

import pytest

from console.bench import parts
from models.chain import rules


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "BLOCKS", 20)  # so that every planted fault has its turn
    monkeypatch.setattr(parts, "TIMES", 1)


@pytest.mark.parametrize("form", ["single", "envelope"])
def test_each_part_is_counted(form: str) -> None:
    found = parts.measure(form)
    assert list(found) == ["JSON without a schema", "decoded", "judged"] and min(found.values()) > 0


@pytest.mark.parametrize("form", ["single", "envelope"])
@pytest.mark.parametrize("kept", [True, False])
def test_rules_that_keep_all_or_nothing_show(form: str, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "keeps", lambda event, context: kept)
    with pytest.raises(AssertionError, match=f"{form}: .* events are good, not 3920"):
        parts.measure(form)
