"""Records crowded with what is no event cost validate little, and are refused in few words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.validating import take, validator
from tests.unit.wire import (
    NOW,
    NUMBER,
    encoded,
    envelope,
    inside,
    records,
    swap,
)

JUNK = [b"1", b"{}", b"[]", b'""', b"null", b'{"a":1}']


@pytest.mark.parametrize("junk", JUNK)
def test_a_record_crowded_with_junk_is_one_dead_letter_and_not_a_hundred_thousand(junk: bytes) -> None:
    crowd = b",".join([junk] * 60_000)
    whole = b'{"chain_id":1,"number":%d,"status":"complete","events":[%s]}' % (NUMBER, crowd)
    values = [encoded(swap(NUMBER, log_index=1)), b"[" + crowd + b"]", whole, encoded(swap(NUMBER, log_index=2))]
    result = validator().handle(
        [one._replace(raw=raw) for one, raw in zip(records([{}] * 4), values, strict=True)], NOW
    )
    assert [(one.record.offset, one.reason, one.index) for one in result.dead_letters] == [
        (1, "too_many_faults", None),
        (2, "too_many_faults", None),
    ]
    assert [one.raw for one in result.dead_letters] == values[1:3]
    assert result.taken == {"new": 2}


def test_junk_among_events_is_refused_alone() -> None:
    values: list[Any] = [*(swap(NUMBER, log_index=number) for number in range(40)), *[1, {}, None] * 20]
    result = validator().handle(records([values]), NOW)
    assert result.taken == {"new": 40}
    assert [one.index for one in result.dead_letters] == [str(40 + number) for number in range(60)]


@pytest.mark.parametrize("kind", ["array", "envelope", "transactions"])
def test_a_record_of_very_many_bad_elements_is_one_dead_letter_and_none_of_it_is_taken(kind: str) -> None:
    """A letter each, 4 MiB of `[1,1,...]` took a minute and 900 MB."""

    def value(bad: int) -> Any:
        if kind == "array":
            return [swap(), *[1] * bad]
        if kind == "envelope":
            return envelope(inside(swap()), *[1] * bad)
        return envelope(inside(swap()), *[1] * (bad // 2), transactions=[1] * (bad - bad // 2))

    state = validator()
    (letter,) = take(value(1_001), state=state).dead_letters
    assert (letter.reason, letter.field, letter.index, letter.raw) == ("too_many_faults", "", None, letter.record.raw)
    assert f"more than 1,000 of its {1_002:,} elements" in letter.detail and "wrong_type" in letter.detail
    assert state.assembly.blocks == {} and state.floor() is None
    assert len(take(value(1_000), state=state, first=1).dead_letters) == 1_000
    assert (1, NUMBER) in state.assembly.blocks


@pytest.mark.parametrize("whole", [False, True])
def test_a_record_of_more_elements_than_can_be_good_is_refused_unread(whole: bool) -> None:
    elements: Any = [1] * 100_001
    (letter,) = take(envelope(*elements) if whole else elements).dead_letters
    assert (letter.reason, letter.index) == ("too_many_faults", None) and "at most 100000 element(s)" in letter.detail
