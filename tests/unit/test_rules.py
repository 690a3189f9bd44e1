"""Each rule with a planted fault and its near-miss good twin, and all real events of the samples."""

from __future__ import annotations

from typing import Any

import pytest

from base.settings import ROOT
from ingest.files import read_blocks
from models.chain import rules
from models.chain.limits import ETHEREUM, expected_time, limits
from models.chain.normal_form import normalise
from tests.unit.wire import (
    ALICE,
    DAI,
    NOW,
    NUMBER,
    TIME,
    WETH,
    encoded,
    envelope,
    inside,
    swap,
    transaction,
    transfer,
)
from topics.codecs import Envelope, Unfit, decode_chain_events, decode_models, event_model, transaction_model
from topics.schemas.requests import Fault

ALONE = rules.Context(NOW)
INSIDE = rules.Context(NOW, 1, NUMBER, "0x" + "f1" * 32, TIME)
MIXED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
# The mixed-case examples of EIP-55.
EIP_55 = (
    MIXED,
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
)


def parsed(value: Any) -> Any:
    """The model of an event."""
    (event,) = decode_models([value])
    assert not isinstance(event, Unfit), f"refused by the schema: {event}"
    return event


def codes(value: Any, context: rules.Context = ALONE) -> list[tuple[str, str]]:
    """(field, code) of each error; the short way, where it is open, comes to the same."""
    found = [(fault.field, fault.code) for fault in rules.errors(parsed(value), context)]
    (event,) = decode_chain_events([encoded(value)])
    assert not isinstance(event, dict) or rules.keeps(event, context) == (not found)
    return found


def warned(value: Any, context: rules.Context = ALONE) -> set[tuple[str, str]]:
    event = parsed(value)
    assert list(rules.errors(event, context)) == []
    return {(fault.field, fault.code) for fault in rules.warnings(event, context)}


def liquidation(**more: Any) -> dict[str, Any]:
    return swap(**{"event_type": "liquidation", **more})


def sync(**more: Any) -> dict[str, Any]:
    event = {"event_type": "sync", "pool": WETH, "reserve0_raw": "1", "reserve1_raw": "0"}
    none = dict.fromkeys(("token_in", "token_out", "amount_in", "amount_out"))
    return swap(**{**none, **event, **more})


def mint(**more: Any) -> dict[str, Any]:
    return sync(
        **{
            "event_type": "mint",
            "amount0_raw": "0",
            "amount1_raw": "5",
            "reserve0_raw": None,
            "reserve1_raw": None,
            **more,
        }
    )


FUTURE = int(NOW) + rules.CLOCK_SKEW_S

# Every line: a fault, what is said of it, and the nearest value that is fine.
Case = tuple[dict[str, Any], str, str, dict[str, Any]]
PAIRS: list[Case] = [
    (swap(log_index=None, event_id=None), "event_id", "missing_field", swap(event_id=None)),
    (swap(log_index=None, event_id=None), "event_id", "missing_field", swap(log_index=None)),
    (swap(block_number=None), "block_number", "missing_field", swap(block_number=0)),
    (swap(timestamp=None), "timestamp", "missing_field", swap(timestamp=1)),
    (swap(timestamp=FUTURE + 1), "timestamp", "future_time", swap(timestamp=FUTURE)),
    (swap(timestamp=0), "timestamp", "future_time", swap(timestamp=1)),
    (swap(timestamp=-1), "timestamp", "future_time", swap(timestamp="1970-01-01T00:00:01Z")),
    (swap(gas_used=20_999), "gas_used", "gas_limit", swap(gas_used=21_000)),
    (swap(gas_used=ETHEREUM.max_gas + 1), "gas_used", "gas_limit", swap(gas_used=ETHEREUM.max_gas)),
    (swap(gas_used=-1, chain_id=56), "gas_used", "gas_limit", swap(gas_used=0, chain_id=56)),
    (swap(gas_price="-0.1"), "gas_price", "gas_limit", swap(gas_price="0")),
    (swap(gas_price="1e7"), "gas_price", "gas_limit", swap(gas_price="1e6")),
    (swap(amount_in="0"), "amount_in", "amount_positive", swap(amount_in="0.000000000000000001")),
    (swap(amount_in="-1"), "amount_in", "amount_positive", swap(amount_in="1e-18")),
    (swap(amount_out="0.000"), "amount_out", "amount_positive", swap(amount_out="000.1")),
    (swap(amount_out="0e5"), "amount_out", "amount_positive", swap(amount_out="1E5")),
    (swap(amount_in_raw="-0"), "amount_in_raw", "amount_positive", swap(amount_in_raw="01")),
    (swap(amount_out_raw=0), "amount_out_raw", "amount_positive", swap(amount_out_raw=2**256 - 1)),
    (swap(amount_in=None), "amount_in", "missing_field", swap(amount_in=None, amount_in_raw="1")),
    (swap(amount_out=None), "amount_out", "missing_field", swap(amount_out=None, amount_out_raw="1")),
    (swap(token_out=WETH), "token_out", "same_token", swap(token_out=WETH[:-1] + "1")),
    (swap(token_out="0x" + WETH[2:].upper()), "token_out", "same_token", swap(token_out=DAI)),
    (swap(token_in="eth", token_out="ETH"), "token_out", "same_token", swap(token_in="ETH", token_out="WETH")),
    (swap(token_in="0x12"), "token_in", "address_form", swap(token_in="12")),
    (swap(token_in=WETH[:-1]), "token_in", "address_form", swap(token_in=WETH)),
    (swap(token_in="0x" + "\u0661" * 40), "token_in", "address_form", swap(token_in="\u0661" * 40)),
    (swap(token_in="0x" + "1_" * 20), "token_in", "address_form", swap(token_in="0x" + "11" * 20)),
    (transfer(amount_in="-1"), "amount_in", "amount_negative", transfer(amount_in="0")),
    (transfer(amount_in="-1e-9"), "amount_in", "amount_negative", transfer(amount_in="-0.0")),
    (transfer(contract_address=None, token_in=None), "contract_address", "missing_field", transfer(token_in=None)),
    (transfer(amount_in=None), "amount_in", "missing_field", transfer(amount_in=None, amount_in_raw=0)),
    (transfer(from_address=None), "from_address", "missing_field", transfer()),
    (transfer(to_address=None), "to_address", "missing_field", transfer(to_address=ALICE)),
    (transfer(event_type="deposit", to_address=None), "to_address", "missing_field", transfer(event_type="deposit")),
    (transfer(event_type="withdrawal", amount_in="-1"), "amount_in", "amount_negative", transfer(event_type="withdrawal")),
    (sync(reserve1_raw="-1"), "reserve1_raw", "amount_negative", sync()),
    (sync(token0="0x"), "token0", "address_form", sync(token0="X")),
    (mint(pool=None, contract_address=None), "pool", "missing_field", mint(pool=None)),
    (mint(amount0_raw="-1"), "amount0_raw", "amount_negative", mint()),
    (mint(event_type="burn", liquidity="-1"), "liquidity", "amount_negative", mint(event_type="burn", liquidity="0")),
    (mint(event_type="collect", amount1_raw="-1"), "amount1_raw", "amount_negative", mint(event_type="collect")),
    (liquidation(from_address=None), "from_address", "missing_field", liquidation()),
    (liquidation(to_address=None), "to_address", "missing_field", liquidation(amount_in="0")),
    (liquidation(amount_in="-1"), "amount_in", "amount_negative", liquidation(amount_in=None, amount_out=None)),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "field", "code", "good"), PAIRS, ids=lambda v: v if isinstance(v, str) else "")
def test_a_fault_is_named_and_its_near_miss_is_fine(
    bad: dict[str, Any], field: str, code: str, good: dict[str, Any]
) -> None:
    assert codes(bad) == [(field, code)]
    assert codes(good) == []


def test_every_rule_is_planted() -> None:
    """Each rule of each type finds the fault of a case above, or one of those about envelopes."""
    silent = {rule.__name__ for found in rules.RULES.values() for rule in found} - {"same_block"}
    for bad, *_ in PAIRS:
        event = parsed(bad)
        normalise(event)
        silent -= {rule.__name__ for rule in rules.RULES[event.event_type] if rule(event, ALONE)}
    assert silent == set()


INSIDE_PAIRS: list[Case] = [
    ({"block_number": NUMBER + 1}, "block_number", "wrong_block", {"block_number": NUMBER}),
    ({"chain_id": 2}, "chain_id", "wrong_block", {"chain_id": 1}),
    ({"block_hash": "0x" + "f2" * 32}, "block_hash", "wrong_block", {"block_hash": "0x" + "f1" * 32}),
    ({"block_hash": "0x" + "F2" * 32}, "block_hash", "wrong_block", {"block_hash": "0x" + "F1" * 32}),
    ({"timestamp": FUTURE + 1}, "timestamp", "future_time", {"timestamp": FUTURE}),
    ({"log_index": None, "event_id": None}, "event_id", "missing_field", {}),
]


@pytest.mark.parametrize(("bad", "field", "code", "good"), INSIDE_PAIRS)
def test_inside_an_envelope(bad: dict[str, Any], field: str, code: str, good: dict[str, Any]) -> None:
    """Number and time are the envelope's, so an event need not repeat them and must not contradict it."""
    base = inside(swap())
    assert codes(without_none({**base, **bad}), INSIDE) == [(field, code)]
    assert codes(without_none({**base, **good}), INSIDE) == []


def without_none(event: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in event.items() if v is not None}


def test_an_envelope_without_a_hash_contradicts_no_fork() -> None:
    context = rules.Context(NOW, 1, NUMBER)
    assert codes({**inside(swap()), "block_hash": "0x" + "f2" * 32}, context) == []


@pytest.mark.parametrize("address", EIP_55)
def test_eip_55(address: str) -> None:
    assert codes(swap(from_address=address)) == []
    assert codes(swap(from_address=address.lower())) == []
    assert codes(swap(from_address="0x" + address[2:].upper())) == []
    place = next(n for n in range(2, 42) if address[n].isalpha())
    wrong = address[:place] + address[place].swapcase() + address[place + 1 :]
    assert codes(swap(from_address=wrong)) == [("from_address", "address_checksum")]


@pytest.mark.parametrize(
    "field", ["contract_address", "from_address", "to_address", "token_in", "token_out", "pool", "sender", "recipient"]
)
def test_checksums_are_looked_at_in_every_address(field: str) -> None:
    assert codes(swap(**{field: MIXED})) == []
    assert codes(swap(**{field: MIXED.replace("B", "b")})) == [(field, "address_checksum")]


def test_the_checksums_message_tells_what_was_expected() -> None:
    (fault,) = rules.errors(parsed(swap(from_address=MIXED.replace("B", "b"))), ALONE)
    assert MIXED in fault.message


def test_hex_becomes_lower_case_and_symbols_do_not() -> None:
    event = parsed(swap(from_address=MIXED, transaction_hash="0x" + "AB" * 32, token_in="WETH", pool="0x" + "AB" * 32))
    assert list(rules.errors(event, ALONE)) == []
    assert event.from_address == MIXED.lower()
    assert event.transaction_hash == event.pool == "0x" + "ab" * 32
    assert event.token_in == "WETH"


@pytest.mark.parametrize(
    "time",
    ["2023-08-26T16:00:00Z", "2023-08-26T17:00:00+01:00", "2023-08-26T16:00:00", "2023-08-26T16:00:00.9Z", TIME + 0.9],
)
def test_times_become_unix_seconds(time: str | float) -> None:
    event = parsed(swap(timestamp=time, observed_at=time))
    assert list(rules.errors(event, ALONE)) == []
    assert (event.timestamp, event.observed_at) == (TIME, TIME)


def test_milliseconds_are_a_hint() -> None:
    (fault,) = rules.errors(parsed(swap(timestamp=TIME * 1000)), ALONE)
    assert (fault.code, "milliseconds" in fault.message) == ("future_time", True)
    (fault,) = rules.errors(parsed(swap(timestamp=FUTURE + 1)), ALONE)
    assert "more than 60 s later than now" in fault.message
    assert "milliseconds" not in fault.message


def test_a_time_of_the_future_is_told_as_it_may_have_been_given() -> None:
    for time in (1893456000, "2030-01-01T00:00:00Z"):
        (fault,) = rules.errors(parsed(swap(timestamp=time)), ALONE)
        said, _, fix = fault.message.partition("; give ")
        assert said.startswith("2030-01-01T00:00:00Z (unix 1893456000) is more than") and "RFC 3339" in fix
    (fault,) = rules.errors(parsed(swap(timestamp=10**18)), ALONE)
    assert fault.message.startswith(f"{10**18} is more than"), "no calendar has it"


def test_every_faulty_rule_speaks() -> None:
    assert codes(swap(amount_in="0", gas_used=1, token_out=WETH)) == [
        ("gas_used", "gas_limit"),
        ("amount_in", "amount_positive"),
        ("token_out", "same_token"),
    ]


UNKNOWN = ("contract_address", "from_address", "to_address", "gas_used", "gas_price")


def test_warnings_of_what_is_unknown() -> None:
    assert warned(swap()) == set()
    assert warned(swap(**dict.fromkeys(UNKNOWN))) == {(name, f"unknown_{name}") for name in UNKNOWN}
    assert warned(inside(swap()), INSIDE) == set()
    assert warned(inside(swap()), rules.Context(NOW, 1, NUMBER)) == {("timestamp", "unknown_timestamp")}


def test_warnings_of_fields_that_the_schema_does_not_have() -> None:
    assert warned(swap(mood="good", **{"x" * 100: 1})) == {("mood", "unknown_field"), ("x" * 64, "unknown_field")}


MERGE_NUMBER, MERGE_TIME = 15_537_394, 1_663_224_179


@pytest.mark.parametrize(
    ("number", "off", "chain", "odd"),
    [
        (MERGE_NUMBER, rules.ANCHOR_TOLERANCE_S, 1, False),
        (MERGE_NUMBER, rules.ANCHOR_TOLERANCE_S + 1, 1, True),
        (MERGE_NUMBER, -rules.ANCHOR_TOLERANCE_S - 1, 1, True),
        (MERGE_NUMBER, 10 * rules.ANCHOR_TOLERANCE_S, 137, False),
    ],
)
def test_a_time_that_does_not_fit_its_number_is_a_warning_where_blocks_are_known(
    number: int, off: int, chain: int, odd: bool
) -> None:
    event = swap(number, timestamp=MERGE_TIME + off, chain_id=chain)
    assert (("timestamp", "time_of_block") in warned(event)) == odd


def test_the_time_of_an_envelope_counts_for_its_events() -> None:
    late = rules.Context(NOW, 1, MERGE_NUMBER, None, MERGE_TIME + 10**8)
    assert warned(inside(swap()), late) == {("timestamp", "time_of_block")}


def test_times_are_expected_between_and_beyond_anchors() -> None:
    anchors = ((10, 100), (20, 200), (30, 400))
    assert [expected_time(anchors, n) for n in (0, 10, 15, 20, 25, 40)] == [0, 100, 150, 200, 300, 600]
    assert expected_time((), 5) is None
    assert expected_time(limits(12345).anchors, 5) is None


TRANSACTIONS: list[Case] = [
    (transaction(1, gas_limit=20_999), "gas_limit", "gas_limit", transaction(1, gas_limit=21_000)),
    (transaction(1, gas_used=ETHEREUM.max_gas + 1), "gas_used", "gas_limit", transaction(1, gas_used=0)),
    (transaction(1, gas_price_wei=10**15 + 1), "gas_price_wei", "gas_limit", transaction(1, gas_price_wei=10**15)),
    (transaction(1, value_wei="-1"), "value_wei", "amount_negative", transaction(1, value_wei="0")),
    (
        transaction(1, to_address=MIXED.replace("B", "b")),
        "to_address",
        "address_checksum",
        transaction(1, to_address=None),
    ),
]


@pytest.mark.parametrize(("bad", "field", "code", "good"), TRANSACTIONS)
def test_transactions(bad: dict[str, Any], field: str, code: str, good: dict[str, Any]) -> None:
    found = map(transaction_model, (bad, good))
    assert [[(f.field, f.code) for f in rules.transaction_errors(t, ALONE)] for t in found] == [[(field, code)], []]


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ({}, []),
        ({"timestamp": FUTURE + 1}, [("timestamp", "future_time")]),
        ({"miner": MIXED.replace("B", "b")}, [("miner", "address_checksum")]),
    ],
)
def test_headers(head: dict[str, Any], found: list[tuple[str, str]]) -> None:
    assert [(f.field, f.code) for f in rules.header_errors(parsed_envelope(encoded(envelope(**head))), NOW)] == found


@pytest.mark.parametrize(
    ("errors", "warnings", "score"), [(0, 0, 1.0), (1, 0, 0.75), (0, 3, 0.85), (2, 2, 0.4), (5, 0, 0.0), (4, 9, 0.0)]
)
def test_quality_score(errors: int, warnings: int, score: float) -> None:
    fault = Fault(field="", code="", message="")
    assert rules.quality_score([fault] * errors, [fault] * warnings) == score


def test_real_blocks_are_good() -> None:
    """No event and no transaction of the shipped blocks is refused."""
    events = transactions = 0
    for decoded in read_blocks(ROOT / "samples" / "blocks"):
        block = parsed_envelope(decoded.block.model_dump_json(exclude_none=True).encode())
        assert list(rules.header_errors(block, NOW)) == []
        context = rules.Context(NOW, block.chain_id, block.number, block.hash, block.timestamp)
        inside: list[Any] = list(block.events)
        sent: list[Any] = list(block.transactions or [])
        assert all(rules.keeps(event, context) for event in inside)
        assert [fault for event in inside for fault in rules.errors(event_model(event), context)] == []
        assert all(rules.transaction_keeps(transaction, context) for transaction in sent)
        events += len(block.events)
        transactions += len(block.transactions or [])
    assert events > 5_000
    assert transactions > 3_000


def parsed_envelope(value: bytes) -> Envelope:
    (block,) = decode_chain_events([value])
    assert isinstance(block, Envelope)
    return block


def test_an_event_alone_hears_of_all_that_it_lacks_of_its_block() -> None:
    faults = rules.errors(parsed({**swap(), "block_number": None, "timestamp": None}), ALONE)
    assert [(fault.field, fault.code) for fault in faults] == [
        ("block_number", "missing_field"),
        ("timestamp", "missing_field"),
    ]
