"""A short `soba fuzz`, and that it sees what it is there to see."""

from __future__ import annotations

from typing import Any

import pytest

from agents.agent import Result
from agents.validate import Validator
from console.fuzz.judge import Defect, Ledger, check, good_event
from console.fuzz.run import in_process
from topics import codecs

EVENT = good_event(7, 1).replace(b'"block_number":50000007', b'"block_number":7')


def test_hostile_input_is_accounted_for() -> None:
    found = in_process(3_000, seed=4)
    assert not found.defect
    assert found.ledger.inputs >= 3_000 and found.ledger.unaccounted == 0
    assert found.ledger.taken > found.ledger.good and len(found.ledger.reasons) >= 8
    assert min(found.kinds.values()) > 0


def _drop_a_letter(result: Result) -> None:
    result.dead_letters.pop()


def _other_bytes(result: Result) -> None:
    object.__setattr__(result.dead_letters[0], "raw", b"{}")


def _no_output(result: Result) -> None:
    result.outputs.clear()


def _twice(result: Result) -> None:
    result.dead_letters.append(result.dead_letters[0])


@pytest.mark.parametrize("harm", [_drop_a_letter, _other_bytes, _no_output, _twice])
def test_a_defect_is_seen(monkeypatch: pytest.MonkeyPatch, harm: Any) -> None:
    real = Validator.handle

    def harmed(self: Validator, batch: Any, now: float) -> Result:
        result = real(self, batch, now)
        if len(batch) > 1 or harm is _no_output:
            harm(result)
        return result

    values = [EVENT, b"{nonsense", EVENT.replace(b'"log_index":1', b'"log_index":2')]
    check(values, Ledger())
    monkeypatch.setattr(Validator, "handle", harmed)
    with pytest.raises(Defect):
        check(values, Ledger())


def test_a_neighbour_that_changes_a_verdict_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = codecs._decode_joined

    def shifted(values: Any) -> list[Any]:
        found = real(values)
        return found if len(values) == 1 else [codecs.Malformed("shifted"), *found[1:]]

    monkeypatch.setattr(codecs, "_decode_joined", shifted)
    with pytest.raises(Defect, match="among others"):
        check([EVENT, EVENT], Ledger())
