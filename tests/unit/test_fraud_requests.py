"""Swap requests: what is refused, and by which field; what is only told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from models.fraud import requests
from topics.schemas.fields import Unfit
from topics.schemas.risk import REQUEST, SwapRequest, SwapRequests

NOW = 1_700_000_000.0
ALICE, BOB = "0x" + "a1" * 20, "0x" + "b0" * 20
MIXED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
EXAMPLE: dict[str, Any] = {
    "txHash": "0x123...abc", "fromAddress": "0x123...abc", "toAddress": "0x456...def", "amount": 100000,
    "tokenPair": "ETH/USDC", "timestamp": "2023-11-14T22:13:20Z", "gasPrice": 50, "slippage": 0.005, "routeLength": 3,
    "contractInteraction": True,
}  # fmt: skip


def request(**more: Any) -> SwapRequest:
    return REQUEST.validate_python({"fromAddress": ALICE, "amount": 1, **more})


def faults(**more: Any) -> list[tuple[str, str]]:
    return [(fault.field, fault.code) for fault in requests.errors(request(**more), NOW)]


def warned(**more: Any) -> list[tuple[str, str]]:
    one = request(**more)
    assert requests.errors(one, NOW) == []
    return [(fault.field, fault.code) for fault in requests.warnings(one, NOW)]


def test_the_documented_example_is_taken() -> None:
    assert faults(**EXAMPLE) == []
    assert warned(**EXAMPLE) == [
        ("fromAddress", "abbreviated"),
        ("toAddress", "abbreviated"),
        ("txHash", "abbreviated"),
    ]


def test_a_sender_and_an_amount_are_enough_and_the_rest_is_told_to_be_missing() -> None:
    assert faults() == []
    assert {field for field, _ in warned()} == {"timestamp", "gasPrice", "slippage", "routeLength", "tokenPair"}


@pytest.mark.parametrize(
    ("more", "field", "code"),
    [
        ({"amount": -1}, "amount", "amount_negative"),
        ({"amount": "-0.000001"}, "amount", "amount_negative"),
        ({"amount": 10**34, "tokenPair": "SHIB/ETH"}, "amount", "amount_absurd"),
        ({"amount": 2 * 10**8}, "amount", "amount_absurd"),
        ({"amount": 10**18, "tokenPair": "eth/USDC"}, "amount", "amount_absurd"),
        ({"fromAddress": MIXED.swapcase().replace("X", "x")}, "fromAddress", "address_checksum"),
        ({"toAddress": MIXED[:-1] + "D"}, "toAddress", "address_checksum"),
        ({"fromAddress": ALICE[:-1]}, "fromAddress", "address_form"),
        ({"toAddress": "hello"}, "toAddress", "address_form"),
        ({"timestamp": NOW + 3600}, "timestamp", "future_time"),
        ({"timestamp": int(NOW * 1000)}, "timestamp", "future_time"),
        ({"timestamp": -5}, "timestamp", "future_time"),
        ({"gasPrice": -1}, "gasPrice", "gas_limit"),
        ({"gasPrice": 50 * 10**9}, "gasPrice", "gas_limit"),
        ({"slippage": -0.1}, "slippage", "slippage_range"),
        ({"slippage": 5}, "slippage", "slippage_range"),
        ({"routeLength": 0}, "routeLength", "route_range"),
        ({"routeLength": 10**6}, "routeLength", "route_range"),
        ({"tokenPair": "ETH/eth"}, "tokenPair", "same_token"),
    ],
)
def test_what_cannot_be_is_refused_by_field(more: dict[str, Any], field: str, code: str) -> None:
    assert faults(**more) == [(field, code)]
    (fault,) = requests.errors(request(**more), NOW)
    assert "; give " in fault.message, "says what to give instead"


def test_all_faults_are_told_at_once() -> None:
    assert len(faults(amount=-1, slippage=2, routeLength=-3, toAddress="x")) == 4


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"amount": 0}, ("amount", "amount_zero")),
        ({"tokenPair": "FOO/BAR"}, ("tokenPair", "unknown_pair")),
        ({"tokenPair": "nonsense"}, ("tokenPair", "unknown_pair")),
        ({"mood": 1}, ("mood", "unknown_field")),
        ({"txHash": "0x12"}, ("txHash", "abbreviated")),
        ({"toAddress": "0x12…ab"}, ("toAddress", "abbreviated")),
    ],
)
def test_what_is_odd_is_told(more: dict[str, Any], told: tuple[str, str]) -> None:
    assert told in warned(**more)


def test_hex_is_lowered_and_snake_case_taken() -> None:
    one = REQUEST.validate_json(json.dumps({"from_address": MIXED, "amount": "1.5", "tx_hash": "0x" + "AB" * 32}))
    assert requests.errors(one, NOW) == []
    assert (one.from_address, one.tx_hash) == (MIXED.lower(), "0x" + "ab" * 32)
    assert json.loads(one.model_dump_json(exclude_none=True)).keys() == {"txHash", "fromAddress", "amount", "chainId"}


@pytest.mark.parametrize(
    ("pair", "found"),
    [
        ("ETH/USDC", ("ETH", "USDC")),
        ("weth-usdc", ("WETH", "USDC")),
        (f"{MIXED}/ETH", (MIXED.lower(), "ETH")),
        ("ETH", None),
        ("a/b/c", None),
        ("/", None),
        (None, None),
    ],
)
def test_pairs(pair: str | None, found: tuple[str, str] | None) -> None:
    assert requests.tokens(pair) == found


def test_how_much_ether_leaves() -> None:
    amounts = [
        requests.wei(request(**more))
        for more in ({}, {"tokenPair": "WETH/DAI"}, {"tokenPair": "DAI/WETH"}, {"tokenPair": "?"})
    ]
    assert amounts == [10**18, 10**18, 0, 0]
    assert requests.wei(request(amount="1234567.000000000000000001")) == 1234567 * 10**18 + 1
    assert requests.largeness(request(tokenPair="USDC/ETH", amount=500_000)) == 2.0
    assert requests.largeness(request(tokenPair="FOO/ETH", amount=500_000)) is None


VALUES: TypeAdapter[Any] = TypeAdapter(SwapRequests)
FIT = {"fromAddress": ALICE, "amount": "1"}


def test_what_is_no_request_is_set_aside_alone() -> None:
    found = VALUES.validate_json(
        json.dumps([FIT, 5, {"amount": 1}, {**FIT, "amount": "much"}, {**FIT, "slippage": True}])
    )
    assert [type(one) for one in found] == [SwapRequest, Unfit, Unfit, Unfit, Unfit]
    assert isinstance(VALUES.validate_json(json.dumps(FIT)), SwapRequest)
    assert isinstance(VALUES.validate_json("5"), Unfit)


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text("0x.…/ -Ae9\n", max_size=50),
    st.sampled_from([ALICE, MIXED, "0x1...2", "ETH/USDC"]),
)


@given(st.dictionaries(st.sampled_from([*EXAMPLE, "chainId", "mood"]), anything))
def test_any_request_is_taken_or_refused_by_field(more: dict[str, Any]) -> None:
    found = VALUES.validate_python({**FIT, **more})
    if isinstance(found, SwapRequest):
        for fault in [*requests.errors(found, NOW), *requests.warnings(found, NOW)]:
            assert fault.field and fault.code and fault.message
        assert requests.wei(found) >= 0 or float(found.amount) < 0
