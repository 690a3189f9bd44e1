"""Calldata of Uniswap's routers: what it asks for, and nothing of what it does not say."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from ingest.facts import selector
from ingest.routers import FUNCTIONS, Planned, planned

A, B, C, ME = (f"0x{digit * 40}" for digit in "abc1")
V2 = ["uint256", "uint256", "address[]", "address", "uint256"]
LATER = "(bytes,address,uint256,uint256,uint256)"


def call(name: str, types: list[str], *values: object) -> str:
    return selector(f"{name}({','.join(types)})") + encode(types, values).hex()


def packed(*tokens: str) -> bytes:
    return (b"\x00\x0b\xb8").join(bytes.fromhex(token[2:]) for token in tokens)


CASES = {
    "tokens": (call("swapExactTokensForTokens", V2, 5, 1, [A, B, C], ME, 9), 0, Planned((A, B, C), 5, True)),
    "tokens for at most": (call("swapTokensForExactETH", V2, 5, 7, [A, B], ME, 9), 0, Planned((A, B), 7, False)),
    "ether": (
        call("swapExactETHForTokens", ["uint256", "address[]", "address", "uint256"], 1, [A, B], ME, 9),
        11,
        Planned((A, B), 11, True),
    ),
    "a fee on transfer": (
        call("swapExactTokensForETHSupportingFeeOnTransferTokens", V2, 5, 1, [A, B], ME, 9),
        0,
        Planned((A, B), 5, True),
    ),
    "one pool of V3": (
        call("exactInputSingle", ["(address,address,uint24,address,uint256,uint256,uint256,uint160)"], (A, B, 500, ME, 9, 5, 1, 0)),
        0,
        Planned((A, B), 5, True),
    ),
    "one pool, without a deadline": (
        call("exactOutputSingle", ["(address,address,uint24,address,uint256,uint256,uint160)"], (A, B, 500, ME, 5, 8, 0)),
        0,
        Planned((A, B), 8, False),
    ),
    "pools of V3": (call("exactInput", [LATER], (packed(A, B, C), ME, 9, 5, 1)), 0, Planned((A, B, C), 5, True)),
    "pools of V3, bought first": (
        call("exactOutput", [LATER], (packed(C, B, A), ME, 9, 5, 6)),
        0,
        Planned((A, B, C), 6, False),
    ),
}  # fmt: skip


@pytest.mark.parametrize("data, value, wanted", CASES.values(), ids=CASES)
def test_what_is_sold_and_its_route(data: str, value: int, wanted: Planned) -> None:
    assert planned(data, value) == [wanted]


def test_all_swaps_of_a_multicall() -> None:
    inner = [bytes.fromhex(data[2:]) for data, _, _ in CASES.values()]
    for types, first in ((["bytes[]"], ()), (["uint256", "bytes[]"], (9,)), (["bytes32", "bytes[]"], (b"\x01" * 32,))):
        found = planned(call("multicall", types, *first, inner), 11)
        assert found == [wanted for _, _, wanted in CASES.values()]


def test_what_says_no_amount_is_no_swap() -> None:
    assert planned(call("exactInput", ["(bytes,address,uint256,uint256)"], (packed(A, B), ME, 0, 1)), 0) == []
    assert planned(call("exactInput", [LATER], (packed(A, B)[:-1], ME, 9, 5, 1)), 0) == []
    assert planned(call("swapExactTokensForTokens", V2, 5, 1, [A], ME, 9), 0) == []
    assert planned("0x", 5) == [] and planned("0xa9059cbb" + "00" * 64, 0) == []


@given(st.sampled_from([*FUNCTIONS, "0xac9650d8", "0x5ae401dc"]), st.binary(max_size=600))
def test_no_calldata_fails(start: str, rest: bytes) -> None:
    for one in planned(start + rest.hex(), 1):
        assert len(one.tokens) > 1 and one.amount > 0


def test_selectors_are_those_of_the_routers() -> None:
    """As deployed on Ethereum at 0x7a25...488d, 0xe592...1564 and 0x68b3...fc45."""
    known = {"0x38ed1739", "0x7ff36ab5", "0x18cbafe5", "0x8803dbee", "0x4a25d94a", "0xfb3bdb41", "0x5c11d795", "0xb6f9de95",
             "0x791ac947", "0x414bf389", "0xc04b8d59", "0xdb3e2198", "0xf28c0498", "0x04e45aaf", "0xb858183f", "0x5023b4df",
             "0x09b81346", "0x472b43f3", "0x42712a67"}  # fmt: skip
    assert FUNCTIONS.keys() == known
