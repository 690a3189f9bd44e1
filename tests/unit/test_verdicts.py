"""Questions about events are answered by the rules of validate."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from agents.agent import Record, Result
from agents.validate import Validator
from agents.verdicts import AGENT, handle, judge
from tests.unit.wire import ALICE, NOW, NUMBER, POOL, USDC, WETH, encoded, envelope, records, swap, transfer
from topics.headers import Headers
from topics.schemas.requests import ValidateEvents, Verdicts

ASKED: TypeAdapter[ValidateEvents] = TypeAdapter(AGENT.topic.schema)


def question(*events: Any, headers: Headers | None = None) -> Record:
    raw = encoded({"op": "validate_events", "events": list(events)})
    asked = [("request_id", b"q1"), ("reply_to", b"replies:a")] if headers is None else headers
    return Record("requests.data", 0, 0, b"q1", asked, raw, ASKED.validate_json(raw))


def answers(result: Result) -> list[Verdicts]:
    return [answer.value for answer in result.answers if isinstance(answer.value, Verdicts)]


def test_a_question_is_answered_in_order_to_who_asked() -> None:
    result = handle([question(swap(), swap(amount_in="0")), question(5)], {})
    assert [(answer.request_id, answer.reply_to) for answer in result.answers] == [("q1", "replies:a")] * 2
    first, second = answers(result)
    assert [verdict.is_valid for verdict in first.verdicts] == [True, False]
    assert [(error.field, error.code) for error in first.verdicts[1].errors] == [("amount_in", "amount_positive")]
    assert first.verdicts[1].quality_score == 0.75
    assert [verdict.is_valid for verdict in second.verdicts] == [False]
    assert result.dead_letters == []


@pytest.mark.parametrize("value", [5, None, [], {}, {"hello": 1}, {"event_type": "wish"}, {"event_type": 3}])
def test_what_is_no_event_at_all_scores_nothing(value: Any) -> None:
    (verdict,) = judge([value], NOW)
    assert (verdict.is_valid, verdict.quality_score) == (False, 0.0)


def test_what_is_wrong_with_an_event_takes_off_its_score() -> None:
    assert judge([swap(amount_in="no number")], NOW)[0].quality_score == 0.75


def test_a_question_from_nobody_is_refused() -> None:
    result = handle([question(swap(), headers=[])], {})
    assert [(letter.reason, letter.field) for letter in result.dead_letters] == [("missing_field", "request_id")]
    assert result.answers == []


def test_who_wants_no_message_still_gets_a_row() -> None:
    (answer,) = handle([question(swap(), headers=[("request_id", b"q")])], {}).answers
    assert answer.reply_to is None


def test_a_valid_event_comes_back_in_normal_form() -> None:
    mixed = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    (verdict,) = judge([swap(from_address=mixed, timestamp="2023-08-26T16:00:00Z", mood=1, gas_used=None)], NOW)
    assert verdict.event is not None
    assert (verdict.event["from_address"], verdict.event["timestamp"]) == (mixed.lower(), 1_693_065_600)
    assert "mood" not in verdict.event
    assert None not in verdict.event.values()
    assert [(warning.field, warning.code) for warning in verdict.warnings] == [
        ("gas_used", "unknown_gas_used"),
        ("mood", "unknown_field"),
    ]
    assert verdict.quality_score == 0.9
    assert judge([verdict.event], NOW)[0].event == verdict.event


def test_a_refused_event_has_no_normal_form_but_its_unknown_fields_are_told() -> None:
    (verdict,) = judge([swap(amount_in="0", mood=1)], NOW)
    assert verdict.event is None
    assert [warning.code for warning in verdict.warnings] == ["unknown_field"]


def test_an_abbreviated_identifier_is_invalid_inside_an_answer() -> None:
    (verdict,) = judge([swap(transaction_hash="0x123...abc")], NOW)
    assert [(error.field, error.code) for error in verdict.errors] == [("transaction_hash", "hash_form")]


@pytest.mark.parametrize("value", [None, 5, "x", [], [swap()], {}, envelope(), True, 10**4000, float("nan"), [[[1]]]])
def test_what_is_no_event_is_invalid(value: Any) -> None:
    (verdict,) = judge([value], NOW)
    assert not verdict.is_valid
    assert verdict.errors
    assert verdict.event is None


@pytest.mark.parametrize(
    "change", [{"tick": 10**30}, {"mood": 10**30}, {"amount_in": float("nan")}, {"amount_in": 10**30}]
)
def test_any_number_that_json_can_say_gets_a_verdict(change: dict[str, Any]) -> None:
    """Where a serialiser cannot, the question would fail as our own error, and ten of those end the worker."""
    (answer,) = answers(handle([question(swap(**change))], {}))
    assert answer.verdicts[0].is_valid == (change.keys() == {"mood"} or change == {"amount_in": 10**30})
    answer.model_dump_json(exclude_none=True)


def test_a_price_that_does_not_fit_the_pool_is_a_warning_and_counted() -> None:
    """1 WETH cannot buy 9 USDC of a pool that holds 100 and 100 after it; a refused Sync is not listened to."""
    raw = {"amount_in": None, "amount_out": None, "amount_in_raw": "1", "amount_out_raw": "9", "pool": POOL}
    odd = swap(log_index=1, event_id="odd", **raw)
    told = {"event_type": "sync", "pool": POOL, "token0": WETH, "token1": USDC, "reserve0_raw": "100"}
    dropped = dict.fromkeys(("token_in", "token_out", "amount_in", "amount_out"))
    good = swap(log_index=0, **told, reserve1_raw="100", **dropped)
    bad = {**good, "reserve1_raw": "-100"}
    first, second, third = (verdict for verdict in judge([odd, {}, good], NOW))
    assert [fault.code for fault in first.warnings] == ["price_of_pool"] and first.is_valid and first.event is not None
    assert (first.quality_score, second.is_valid, third.warnings) == (0.95, False, [])
    assert judge([odd], NOW)[0].warnings == judge([odd, bad], NOW)[0].warnings == []
    assert handle([question(odd, good), question(odd), question(good, odd)], {}).warned == {"price_of_pool": 2}


changes: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(
        ["amount_in", "log_index", "event_id", "gas_used", "token_out", "timestamp", "from_address", "mood"]
    ),
    st.sampled_from([None, True, 0, 1, -1, "0", "1", "x", 10**20, 1.5, ALICE, [], NUMBER]),
    max_size=3,
)


@settings(max_examples=200, deadline=None)
@given(changes, st.sampled_from([swap, transfer]))
def test_a_verdict_is_what_validate_would_do(change: dict[str, Any], kind: Any) -> None:
    event = {**kind(), **change}
    (verdict,) = judge([event], NOW)
    result = Validator(0, 1).handle(records([event]), NOW)
    assert verdict.is_valid == (result.dead_letters == [])
    if verdict.event is not None:
        again = Validator(0, 1)
        again.handle(records([json.dumps(verdict.event).encode()]), NOW)
        state = Validator(0, 1)
        state.handle(records([event]), NOW)
        assert again.handle([], NOW + 9).outputs[0].value == state.handle([], NOW + 9).outputs[0].value
    else:
        assert verdict.errors[0].code == result.dead_letters[0].reason
