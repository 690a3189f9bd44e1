"""What decoding asks for, how a node is asked, and that its answers decode the block as facts in a file do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from eth_hash.auto import keccak

from ingest.decode import Decoded, assemble
from ingest.deployments import DEPLOYMENTS, PairFamily, create2
from ingest.facts import Facts, Request, Wanted, selector
from ingest.protocols import QUESTIONS, learn, requests
from ingest.raw import parse
from tests.unit.test_ingest_decode import ALICE, BOB, USDC, V2_PAIR, V2_SWAP, V3_POOL, V3_SWAP, WETH, log, raw

UNI_V2_FACTORY = "0x5c69bee701ef814a2b6a3edd4b1652cb9cc5aa6f"
UNI_V3_FACTORY = "0x1f98431c8ad98523631ae4a59f267346ea31f984"
Node = Callable[[Request], Any]


def told(address: str) -> str:
    """An address as eth_call returns it."""
    return "0x" + "0" * 24 + address[2:]


def contract(answers: dict[str, Any]) -> Node:
    """A node on which every contract answers these functions, and reverts on others."""
    by_selector = {selector(name): answer for name, answer in answers.items()}
    return lambda request: by_selector.get(request.params[0]["data"])


def ask(block: bytes, node: Node) -> tuple[Decoded, Decoded, Facts]:
    """The block before and after a node was asked for all that was wanted."""
    parsed, facts = parse(block), Facts()
    before = assemble(replace(parsed, facts=facts))
    for wanted in before.wanted:
        learn(facts, wanted, [node(request) for request in requests(wanted)])
    return before, assemble(replace(parsed, facts=facts)), facts


@pytest.mark.parametrize(
    "pool, signature, amounts, factory, protocol",
    [
        (V2_PAIR, V2_SWAP, [0, 10, 20, 0], UNI_V2_FACTORY, "uniswap_v2"),
        (V3_POOL, V3_SWAP, [-20, 10, 1, 1, 1], UNI_V3_FACTORY, "uniswap_v3"),
    ],
)
def test_pair_asked_for(
    pool: str, signature: str, amounts: list[int | str], factory: str, protocol: PairFamily
) -> None:
    node = contract({"token0()": told(USDC), "token1()": told(WETH), "factory()": told(factory)})
    block = raw(log(pool, signature, [ALICE, BOB], amounts), pools={})
    before, after, _ = ask(block, node)
    assert before.wanted == (Wanted(protocol, pool, pool),)
    assert (before.block.events, before.undecoded) == ([], {"unknown_pool": 1})
    (swap,) = after.block.model_dump(exclude_none=True)["events"]
    assert (swap["token_in"], swap["token_out"], swap["protocol"]) == (WETH, USDC, protocol)
    assert after.wanted == ()


def test_pair_of_a_known_code_and_another_factory_is_that_protocol_and_of_other_code_a_fork() -> None:
    factory = "0x" + "fa" * 20
    other = "0x" + "0d" * 20
    salt = keccak(bytes.fromhex(USDC[2:] + WETH[2:]))
    clone = "0x" + create2(factory[2:], salt, DEPLOYMENTS["uniswap_v2"][0].init_code_hash)
    node = contract({"token0()": told(USDC), "token1()": told(WETH), "factory()": told(factory)})
    for pool, protocol in ((clone, "uniswap_v2"), (other, "uniswap_v2_fork")):
        _, after, _ = ask(raw(log(pool, V2_SWAP, [ALICE, BOB], [0, 10, 20, 0]), pools={}), node)
        assert after.block.events[0].protocol == protocol


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"token0()": told(USDC), "token1()": "0x"},
        {"token0()": told(WETH), "token1()": told(USDC)},
        {"token0()": told("0x" + "0" * 40), "token1()": told(USDC)},
        {"token0()": 7, "token1()": told(USDC)},
        {"token0()": told(USDC), "token1()": "0x" + "f" * 64},
    ],
)
def test_answers_that_make_no_pair_teach_nothing(answers: dict[str, Any]) -> None:
    block = raw(log(V2_PAIR, V2_SWAP, [ALICE, BOB], [0, 10, 20, 0]), pools={})
    before, after, facts = ask(block, contract(answers))
    assert (after.wanted, facts) == (before.wanted, Facts())


def test_decimals_are_asked_once_and_put_amounts_into_units() -> None:
    token = "0x" + "7e" * 20
    moves = [log(token, "Transfer(address,address,uint256)", [ALICE, BOB], [1234567])] * 2
    before, after, facts = ask(raw(*moves), contract({"decimals()": f"0x{6:064x}"}))
    assert before.wanted == (Wanted("token", token, token),)
    assert facts.decimals == {token: 6}
    amounts = [one["amount_in"] for one in after.block.model_dump(exclude_none=True)["events"]]
    assert amounts == ["1.234567", "1.234567"]
    for answer in (None, "0x", f"0x{78:064x}", f"0x{2**255:064x}"):
        assert not learn(Facts(), before.wanted[0], [answer])


def test_decimals_in_a_file_stand_in_for_the_call() -> None:
    token = "0x" + "7E" * 20
    block = raw(log(token, "Transfer(address,address,uint256)", [ALICE, BOB], [150]), decimals={token: 2})
    decoded = assemble(parse(block))
    assert decoded.wanted == ()
    assert decoded.block.model_dump(exclude_none=True)["events"][0]["amount_in"] == "1.5"


def test_requests_are_json_rpc_as_a_node_takes_it() -> None:
    for family in QUESTIONS:
        subject = "0x" + ("ab" * 32 if family == "uniswap_v4" else "ab" * 20)
        asked = requests(Wanted(family, subject, "0x" + "cd" * 20))
        assert asked
        for one in asked:
            assert one.method in ("eth_call", "eth_getLogs")
            json.dumps(one.params)
    (decimals,) = requests(Wanted("token", USDC, USDC))
    assert decimals == Request("eth_call", [{"to": USDC, "data": "0x313ce567"}, "latest"])
