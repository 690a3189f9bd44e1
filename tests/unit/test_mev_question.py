"""What is said of a transaction from whatever little is told of it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from agents.agent import Record
from agents.detections import AGENT, handle, keys
from facade.routes.mev import EXAMPLE
from models.mev.question import answer
from tables.registry import MEV, MevRow
from tests.contract.facade import finding, hash_of
from topics.schemas.mev_question import AskedTransaction, DetectMev, MevAnswer

ASKED: TypeAdapter[DetectMev] = TypeAdapter(AGENT.topic.schema)
POOL = "0x" + "ab" * 20
SOLD = {"tokenPair": "ETH/USDC", "pool": POOL}
BOUGHT = {"tokenPair": "USDC/ETH", "pool": POOL}
BOT = "0x" + "b0" * 20


def asked(target: dict[str, Any], *around: dict[str, Any], **more: Any) -> DetectMev:
    """As it comes over the wire."""
    told = {"op": "detect_mev", "target_tx": target, "surrounding_txs": list(around), **more}
    return ASKED.validate_json(DetectMev.model_validate(told).model_dump_json(exclude_none=True))


def said(target: dict[str, Any], *around: dict[str, Any]) -> MevAnswer:
    return answer(asked(target, *around), {})


def bundle(**changes: Any) -> list[dict[str, Any]]:
    """A victim, a front and a back of which all is told."""
    victim = {"amount": 1, "amountOut": 2000, "fromAddress": "0x123...abc", "index": 5, **SOLD, **changes}
    front = {"amount": 10, "amountOut": 20_500, "from": BOT, "index": 4, **SOLD, **changes}
    back = {"amount": 20_500, "amountOut": "10.3", "from_address": BOT, "index": 6, **BOUGHT, **changes}
    return [victim, front, back]


def test_amounts_and_times_allow_a_pattern_and_little_confidence() -> None:
    around: list[dict[str, Any]] = [{"amount": 50, "timestamp": 100}, {"amount": 50.4, "timestamp": 102}]
    told = said({"amount": 10, "gas_price": 40, "timestamp": 101}, *around)
    assert (told.is_mev, told.mev_type, told.basis, told.role) == (True, "sandwich", "pattern", "victim")
    assert told.confidence == 0.35
    assert told.roles == {"front": ["surroundingTxs[0]"], "victim": ["targetTx"], "back": ["surroundingTxs[1]"]}
    assert told.profit == [] and {"fromAddress", "pool", "tokenIn", "hash"} <= told.unknown.keys()
    assert "may be chance" in told.evidence[-1]
    documented = answer(DetectMev.model_validate({"op": "detect_mev", **_snake(EXAMPLE)}), {})
    assert (documented.is_mev, documented.confidence) == (True, 0.4)


def _snake(told: dict[str, Any]) -> dict[str, Any]:
    return {"target_tx": told["targetTx"], "surrounding_txs": told["surroundingTxs"]}


def test_the_target_may_be_any_of_the_three() -> None:
    three = [{"amount": 50, "timestamp": 100}, {"amount": 10, "timestamp": 101}, {"amount": 50, "timestamp": 102}]
    for place, role in enumerate(("front", "victim", "back")):
        told = said(three[place], *(one for one in three if one is not three[place]))
        assert (told.mev_type, told.role) == ("sandwich", role)


@pytest.mark.parametrize(
    ("target", "around"),
    [
        ({"amount": 10, "timestamp": 101}, [{"amount": 50, "timestamp": 100}, {"amount": 60, "timestamp": 102}]),
        # Both on one side, too far away, in another block, one reverted.
        ({"amount": 10, "timestamp": 99}, [{"amount": 50, "timestamp": 100}, {"amount": 50, "timestamp": 102}]),
        ({"amount": 10, "timestamp": 101}, [{"amount": 50, "timestamp": 80}, {"amount": 50, "timestamp": 102}]),
        (
            {"amount": 10, "timestamp": 101, "blockNumber": 7},
            [{"amount": 50, "timestamp": 100, "blockNumber": 6}, {"amount": 50, "timestamp": 102}],
        ),
        ({"amount": 10, "timestamp": 101}, [{"amount": 50, "timestamp": 100, "status": 0}, {"amount": 50, "timestamp": 102}]),
        # Sent by two people; by the victim itself; an amount that many have; nothing tells the order.
        (
            {"amount": 10, "timestamp": 101},
            [{"amount": 50, "timestamp": 100, "from": "0xa"}, {"amount": 50, "timestamp": 102, "from": "0xb"}],
        ),
        (
            {"amount": 10, "timestamp": 101, "from": "0xa"},
            [{"amount": 50, "timestamp": 100, "from": "0xa"}, {"amount": 50, "timestamp": 102, "from": "0xa"}],
        ),
        ({"amount": 10, "timestamp": 101}, [{"amount": 1, "timestamp": 97 + at} for at in range(8)]),
        ({"amount": 10, "timestamp": 101}, [{"amount": 50, "timestamp": 101}, {"amount": 50, "timestamp": 101}]),
        # Round amounts that two people chose; nobody paid more.
        ({"amount": 10, "timestamp": 101, "gasPrice": 20}, [{"amount": 10, "timestamp": 100, "gasPrice": 30}]),
        ({"amount": 12.34, "timestamp": 101, "gasPrice": 20}, [{"amount": 12.34, "timestamp": 100, "gasPrice": 20}]),
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(target: dict[str, Any], around: list[dict[str, Any]]) -> None:
    told = said(target, *around)
    assert (told.is_mev, told.mev_type, told.role, told.profit) == (False, None, None, [])
    assert told.confidence <= 0.2


def test_nothing_around_it_is_nothing_to_go_by() -> None:
    told = said({"amount": 10, "gas_price": 40, "timestamp": 101})
    assert (told.is_mev, told.basis, told.confidence) == (False, "nothing", 0.05)


def test_who_sent_them_counts_for_more() -> None:
    around = [{"amount": 50, "timestamp": 100, "from": BOT}, {"amount": 50, "timestamp": 102, "from": BOT.upper()}]
    told = said({"amount": 10, "timestamp": 101, "from": "0x12...ab"}, *around)
    assert (told.mev_type, told.confidence) == ("sandwich", 0.65)
    assert any("one address" in one for one in told.evidence)


def test_a_copied_trade_that_paid_more_is_a_front_run() -> None:
    target = {"amount": "1234.5", "timestamp": 101, "gasPrice": 20}
    told = said(target, {"amount": "1234.5", "timestamp": 100, "gasPrice": 90})
    assert (told.is_mev, told.mev_type, told.role, told.confidence) == (True, "frontrun", "victim", 0.3)


def test_the_detectors_judge_a_block_made_of_what_is_told() -> None:
    victim, front, back = bundle()
    told = said(victim, front, back)
    assert (told.mev_type, told.basis, told.role) == ("sandwich", "detector", "victim")
    assert told.confidence == 0.85
    assert [gain.model_dump(exclude_none=True) for gain in told.profit] == [{"token": "ETH", "amount": "0.3"}]
    assert said(front, victim, back).role == "front"
    # Where the pools are not told, a pair is taken for one pool, and that is said.
    guessed = said(*({name: value for name, value in one.items() if name != "pool"} for one in (victim, front, back)))
    assert (guessed.mev_type, guessed.confidence) == ("sandwich", 0.5)
    assert any("taken to be of one pool" in one for one in guessed.evidence)
    # Another sender of the back: the detectors say no, and no weaker source may say yes.
    other = said(victim, front, {**back, "from_address": "0x" + "b1" * 20})
    assert (other.is_mev, other.basis, other.confidence) == (False, "detector", 0.5)


def test_without_senders_the_tokens_still_speak() -> None:
    victim, front, back = ({k: v for k, v in one.items() if "from" not in k} for one in bundle())
    told = said(victim, front, back)
    assert (told.mev_type, told.basis) == ("sandwich", "pattern") and told.confidence <= 0.45
    assert [gain.model_dump(exclude_none=True) for gain in told.profit] == [{"token": "ETH", "amount": "0.3"}]
    # The same pools and amounts, and all sell the same token: no round trip.
    assert not said(victim, front, {**back, "tokenPair": "ETH/USDC"}).is_mev


def test_what_the_mev_agent_found_goes_before_all_else() -> None:
    found = finding(1, 7)
    question = asked({"hash": hash_of(7001).upper().replace("X", "x")}, *bundle()[1:])
    told = answer(question, {7: ("complete", [found])})
    assert (told.is_mev, told.mev_type, told.basis, told.role) == (True, "sandwich", "table", "victim")
    assert (told.confidence, told.findings, told.model) == (found.confidence, [found], found.model)
    assert told.profit[0].model_dump(exclude_none=True) == {"token": "ETH", "amount_raw": "1000"}
    assert told.roles["victim"] == [hash_of(7001)]
    # Looked through and not named: that says more than any pattern, of a complete block more than of a partial one.
    elsewhere = asked({"hash": hash_of(1), "blockNumber": 7})
    for status, confidence in (("complete", 0.9), ("partial", 0.5)):
        told = answer(elsewhere, {7: (status, [found])})
        assert (told.is_mev, told.basis, told.confidence) == (False, "table", confidence)
    assert answer(elsewhere, {7: ("removed", [])}).basis == "nothing"


def test_entries_of_one_hash_are_one_transaction() -> None:
    """A cycle of two swaps, told as two entries."""
    cycle = [
        {"hash": hash_of(9), "amount": 10, "amountOut": 20_500, "tokenPair": "ETH/USDC", "pool": "0x" + "a1" * 20},
        {"hash": hash_of(9), "amount": 20_500, "amountOut": "10.3", "tokenPair": "USDC/ETH", "pool": "0x" + "a2" * 20},
    ]
    other = {"hash": hash_of(8), "amount": 3, "amountOut": 4, "tokenPair": "DAI/USDC", "index": 3, "from": BOT}
    told = said(*({**one, "index": 4, "from": BOT, "logIndex": at} for at, one in enumerate(cycle)), other)
    assert (told.mev_type, told.role, told.basis) == ("arbitrage", "part", "detector")
    assert told.roles == {"part": ["targetTx"]}


def test_an_abbreviated_identifier_is_a_name_and_that_is_told() -> None:
    bot = {"amount": 50, "from": "0xb0...7"}
    told = said(
        {"hash": "0x123...abc", "timestamp": 101, "from": "0x1...2"},
        {**bot, "timestamp": 100},
        {**bot, "timestamp": 102},
    )
    assert (told.mev_type, told.confidence) == ("sandwich", 0.65) and "hash" in told.unknown
    assert [(one.field, one.code) for one in told.warnings] == [
        ("targetTx.hash", "abbreviated"),
        ("targetTx.fromAddress", "abbreviated"),
        ("surroundingTxs.0.fromAddress", "abbreviated"),
        ("surroundingTxs.1.fromAddress", "abbreviated"),
    ]


def test_what_is_told_of_unknown_fields() -> None:
    told = said({"amount": 1, "mood": {"deep": [1]}}, {"amount": 2, "mood": 1})
    assert [(one.field, one.code) for one in told.warnings] == [
        ("targetTx.mood", "unknown_field"),
        ("surroundingTxs.0.mood", "unknown_field"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"amount": -1}, {"amount": "much"}, {"amount": 1e40}, {"amount": 1, "gas_price": -1},
        {"amount": 1, "timestamp": "tomorrow"}, {"amount": 1, "timestamp": True}, {"amount": 1, "timestamp": -5},
        {"amount": 1, "direction": "up"}, {"amount": 1, "blockNumber": -1}, {"amount": 1, "from": "two words"},
        {"amount": 1, "status": 2}, {"amount": 1, "hash": 5},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        asked(wrong)


def test_times_are_taken_in_every_usual_form() -> None:
    forms = ("2024-01-15T10:30:00.5Z", "2024-01-15 10:30:00.500", 1705314600.5, 1705314600500)
    assert {AskedTransaction.model_validate({"amount": 1, "timestamp": form}).timestamp for form in forms} == {
        1705314600.5
    }


_TEXT = st.sampled_from(["a", "0x" + "ab" * 20, "0x" + "cd" * 32, "0x1...2", BOT, "ETH", "USDC", "x" * 66])
_NUMBER: st.SearchStrategy[Any] = st.sampled_from([0, 1, 50, "50.4", 1e33, "0.000001", 1705314600, 10])
_GWEI = _NUMBER.filter(lambda number: float(number) < 1e9)
_PLACES = {"block_number": st.integers(0, 2), "index": st.integers(0, 5), "log_index": st.integers(0, 5)}
_TRADE = {"token_in": _TEXT, "token_out": _TEXT, "token_pair": st.sampled_from(["ETH/USDC", "USDC/ETH", "?"])}
_TRANSACTION = st.fixed_dictionaries(
    {"amount": _NUMBER},
    optional={
        **_PLACES, **_TRADE, "hash": _TEXT, "amount_out": _NUMBER, "gas_price": _GWEI, "timestamp": st.floats(0, 1e12),
        "from": _TEXT, "to": _TEXT, "direction": st.sampled_from(["buy", "sell"]), "pool": _TEXT, "status": st.integers(0, 1),
    },
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(_TRANSACTION, st.lists(_TRANSACTION, max_size=6))
def test_every_question_has_an_answer(target: dict[str, Any], around: list[dict[str, Any]]) -> None:
    told = said(target, *around)
    assert told.is_mev == (told.mev_type is not None) == (told.role is not None)
    assert told.evidence and told == said(target, *around)
    # Two with a sender are enough: a front and a back.
    signed = sum("from" in one for one in (target, *around)) > 1
    assert not told.is_mev or told.confidence < 0.5 or signed or told.basis == "detector"


def test_a_thousand_around_it_take_no_longer_than_they_are() -> None:
    alike = [{"amount": 50, "timestamp": 100 + at % 3, "from": BOT, "gasPrice": at} for at in range(1_000)]
    unlike = [{"amount": at + 1, "timestamp": 100 + at % 3, "from": f"0x{at}", **SOLD} for at in range(1_000)]
    for around in (alike, unlike):
        question = asked({"amount": 10, "timestamp": 101, "gasPrice": 5, **SOLD}, *around)
        began = time.process_time()
        answer(question, {})
        assert time.process_time() - began < 2


def test_the_agent_reads_the_rows_and_answers_to_who_asked() -> None:
    question = asked({"hash": hash_of(7000), "blockNumber": 3}, known_blocks=[7, 7])
    header = [("request_id", b"q1"), ("reply_to", b"replies:a")]
    record = Record("requests.chain", 0, 0, b"k", header, b"{}", question)
    assert keys([record, record]) == [(MEV, f"1:{key}") for key in ("3", "2-3", "3-4", "7", "6-7", "7-8")]
    row = MevRow(chain_id=1, number=7, revision=1, status="complete", findings=[finding(1, 7)])
    (one,) = handle([record], {(MEV, "1:7"): row, (MEV, "1:3"): None}).answers
    assert (one.request_id, one.reply_to) == ("q1", "replies:a")
    assert isinstance(one.value, MevAnswer) and one.value.role == "front"
    nobody = handle([record._replace(headers=[])], {})
    assert [(letter.reason, letter.field) for letter in nobody.dead_letters] == [("missing_field", "request_id")]
