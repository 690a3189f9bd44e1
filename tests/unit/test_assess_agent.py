"""The agents of swap requests: ids, answers, dead letters, rows, and alerts of what is suspicious."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import TypeAdapter

from agents import assess, risk_alerts
from agents.agent import Record, Result, RowName
from agents.outlet import check_sizes
from models.alerts import CATALOGUE
from models.fraud.assess import RULES
from models.fraud.scorer import FRAUD
from tables.registry import ALERTS, PROFILES, RISK
from tests.fraud import PAID_BY_MANY, model, profile_row, release, wallet
from tests.unit.test_fraud_assess import SANCTIONED
from tests.unit.test_fraud_requests import ALICE, BOB, EXAMPLE
from tests.unit.wire import TRACE
from topics.headers import Headers, get
from topics.schemas.alerts import KINDS, Alert
from topics.schemas.risk import Assessment, RiskAnswer

TAKEN: TypeAdapter[Any] = TypeAdapter(assess.AGENT.topic.schema)
MODELS = {FRAUD.name: model(release([PAID_BY_MANY]))}
HASH = "0x" + "ab" * 32
FIT = {"fromAddress": ALICE, "toAddress": BOB, "amount": "1.5", "txHash": HASH}
ASKED: Headers = [("request_id", b"r-1"), ("reply_to", b"replies:a"), ("traceparent", TRACE)]


def record(value: Any, offset: int = 0, headers: Headers | None = None) -> Record:
    raw = json.dumps(value).encode()
    return Record("swap.requests", 1, offset, ALICE.encode(), headers or [], raw, TAKEN.validate_json(raw))


def run(*batch: Record, rows: dict[RowName, Any] | None = None, models: Any = MODELS) -> Result:
    names = assess.keys(batch)
    assert {*(rows or {})} <= {*names}
    return assess.AGENT.call(batch, {**dict.fromkeys(names), **(rows or {})}, models)


def scores(result: Result) -> list[Assessment]:
    return [Assessment.model_validate_json(output.value) for output in result.outputs]


def test_a_request_becomes_a_score_and_a_row_under_its_place() -> None:
    result = run(record(FIT, 7, [("traceparent", TRACE)]))
    (one,), (row,), (output,) = scores(result), result.rows, result.outputs
    assert (one.id, one.revision, one.model, one.sender.known) == ("1:7", 7, "fraud/tiny", "first_contact")
    assert (row.table, row.key, row.version, row.value) == (RISK, "1:7", 7, one)
    assert [(pointer.index.name, pointer.key) for pointer in row.pointers] == [
        ("risk_by_transaction", f"1:{HASH}"),
        ("risk_by_wallet", f"1:{ALICE}"),
        ("risk_by_wallet", f"1:{BOB}"),
    ]
    assert (output.key, get(output.headers, "ce_id")) == (f"1:{ALICE}".encode(), b"1:7:7")
    assert get(output.headers, "traceparent") == TRACE
    assert not result.answers and not result.dead_letters


def test_each_of_an_array_is_assessed_and_what_is_none_refused_alone() -> None:
    bad = {**FIT, "amount": "-3"}
    raw = [FIT, bad, 5, {"amount": 1}, {**FIT, "slippage": 2, "routeLength": 0}]
    result = run(record(raw, 3))
    assert [one.id for one in scores(result)] == ["1:3:0"]
    assert [(one.index, one.reason, one.field, json.loads(one.raw)) for one in result.dead_letters] == [
        ("1", "amount_negative", "amount", bad),
        ("2", "wrong_type", "", 5),
        ("3", "missing_field", "fromAddress", {"amount": 1}),
        ("4", "slippage_range", "slippage", raw[4]),
    ]


def test_a_request_id_names_it_and_who_waits_is_answered() -> None:
    result = run(record(EXAMPLE, 4, ASKED))
    (answer,) = result.answers
    assert isinstance(answer.value, RiskAnswer) and answer.value.assessment is not None
    assert (answer.request_id, answer.reply_to, answer.value.repeated) == ("r-1", "replies:a", False)
    assert (answer.value.assessment.risk_level, answer.value.assessment.alerts) == ("low", [])
    assert [row.key for row in result.rows] == ["r-1"]
    assert result.rows[0].pointers == (), "abbreviations name nothing to look up"


def test_who_waits_for_a_refused_request_is_told_all_faults_and_nothing_is_set_aside() -> None:
    result = run(record({**FIT, "amount": -1, "slippage": 3}, 0, ASKED))
    (answer,) = result.answers
    assert isinstance(answer.value, RiskAnswer) and answer.value.assessment is None
    assert [(fault.field, fault.code) for fault in answer.value.errors] == [
        ("amount", "amount_negative"),
        ("slippage", "slippage_range"),
    ]
    assert not result.rows and not result.outputs and not result.dead_letters


def test_a_known_id_is_answered_from_its_row_whatever_is_asked_now() -> None:
    before = run(record(FIT, 4, ASKED)).rows[0].value
    result = run(record({**FIT, "amount": -1}, 9, ASKED), rows={(RISK, "r-1"): before})
    (answer,) = result.answers
    assert isinstance(answer.value, RiskAnswer)
    assert (answer.value.assessment, answer.value.repeated) == (before, True)
    assert not result.rows and not result.outputs


def test_the_same_id_twice_in_a_batch_is_assessed_once() -> None:
    result = run(record(FIT, 4, ASKED), record(FIT, 5, ASKED))
    assert len(result.rows) == len(result.outputs) == 1
    assert [answer.value.repeated for answer in result.answers if isinstance(answer.value, RiskAnswer)] == [False, True]


def test_whatever_anybody_writes_beside_a_request_fits_the_record_about_it() -> None:
    many = {f"field_{number}": 0 for number in range(50_000)}
    result = run(record({**FIT, **many}, 3, [("request_id", b"x" * 70_000)]))
    check_sizes(result)
    (one,) = scores(result)
    assert (one.id, len(one.warnings)) == ("1:3", 5 + 20)


def test_one_hash_may_be_named_by_many_requests() -> None:
    result = run(record(FIT, 1), record({**FIT, "amount": "2"}, 2))
    assert [row.key for row in result.rows] == ["1:1", "1:2"]


def test_what_is_known_of_wallets_is_read_and_not_written() -> None:
    known = {(PROFILES, f"1:{BOB}"): profile_row(BOB, wallet(20))}
    result = run(record({**FIT, "toAddress": "0x" + "B0" * 20}, 1), rows=known)
    (one,) = scores(result)
    assert one.receiver is not None
    assert (one.receiver.known, one.receiver.evidence, one.risk_level) == ("profile", 20, "high")
    assert {row.table for row in result.rows} == {RISK}


def test_without_a_model_the_rules_answer() -> None:
    (one,) = scores(run(record(FIT), models={}))
    assert (one.model, one.probability) == (RULES, None)


@pytest.mark.parametrize(("many", "reason"), [(1_001, "too_many_faults"), (5_001, "too_many")])
def test_an_array_of_junk_is_one_dead_letter(many: int, reason: str) -> None:
    result = run(record([{}] * many))
    assert [letter.reason for letter in result.dead_letters] == [reason]
    assert result.outputs == []


# Alerts


def alerted(*values: Assessment, rows: dict[RowName, Any] | None = None) -> Result:
    batch = [Record("risk.scores", 0, i, b"", [("traceparent", TRACE)], b"", one) for i, one in enumerate(values)]
    return risk_alerts.AGENT.call(batch, rows or dict.fromkeys(risk_alerts.keys(batch)), {})


def of(*requests: dict[str, Any]) -> Sequence[Assessment]:
    return scores(run(*(record({**FIT, **more}, place) for place, more in enumerate(requests))))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"tokenPair": "ETH/USDC"}, "A swap of 1.5 (ETH/USDC) from"),
        ({}, "A payment of 1.5 ETH from"),
        ({"chainId": 137}, "A payment of 1.5 coins of chain 137 from"),
    ],
)
def test_an_alert_says_what_is_paid_or_swapped(more: dict[str, Any], said: str) -> None:
    (output,) = alerted(*of({"slippage": 0.6, **more})).outputs
    assert Alert.model_validate_json(output.value).text.startswith(said)


def test_what_is_high_or_critical_is_alerted_once() -> None:
    low, medium, high, critical = of({}, {"slippage": 0.2}, {"slippage": 0.6}, {"toAddress": SANCTIONED})
    result = alerted(low, medium, high, critical, critical)
    alerts = [Alert.model_validate_json(output.value) for output in result.outputs]
    assert [(one.severity, one.entity, one.source) for one in alerts] == [
        ("high", f"1:{ALICE}", "1:2"),
        ("critical", f"1:{SANCTIONED}", "1:3"),
    ]
    assert alerts[1].text == (
        f"A payment of 1.5 ETH from {ALICE} to {SANCTIONED} is of critical risk, 0.95 of 1: receiver_listed."
    )
    assert [(pointer.index.name, pointer.score) for row in result.rows for pointer in row.pointers] == [
        ("alerts_by_chain", int(one.processed_at)) for one in (high, critical)
    ]
    held = {(ALERTS, one.id): one for one in alerts}
    assert alerted(high, critical, rows=held).outputs == []


def test_every_kind_has_a_text() -> None:
    assert {*KINDS} == {*CATALOGUE}
