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
from ingest.protocols.uniswap_v4 import POSITION_MANAGERS
from ingest.raw import parse
from tests.unit.raw_logs import ALICE, BOB, USDC, V2_PAIR, V3_POOL, WETH, log, raw
from tests.unit.test_ingest_decode import V2_SWAP, V3_SWAP
from tests.unit.test_ingest_protocols import POOL, V4_INITIALIZE, V4_SWAP, U, v4_key
from topics.schemas.native import ZERO

UNI_V2_FACTORY = "0x5c69bee701ef814a2b6a3edd4b1652cb9cc5aa6f"
UNI_V3_FACTORY = "0x1f98431c8ad98523631ae4a59f267346ea31f984"
ETHER = "0x" + "e" * 40
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


def numbered(coins: list[str]) -> Callable[[str, int], Any]:
    """A function of one number that answers these, and reverts beyond them."""
    return lambda data, _: told(coins[int(data[10:], 16)]) if int(data[10:], 16) < len(coins) else None


@pytest.mark.parametrize("coins", ["coins(uint256)", "coins(int128)"])
@pytest.mark.parametrize("underlying", ["underlying_coins(int128)", "underlying_coins(uint256)"])
def test_curve_coins_by_either_kind_of_number(coins: str, underlying: str) -> None:
    held = {coins: [USDC, ETHER], underlying: [WETH, USDC, ALICE]}

    def node(request: Request) -> Any:
        data = request.params[0]["data"]
        names = [name for name in held if data.startswith(selector(name))]
        return numbered(held[names[0]])(data, 0) if names else None

    swap = log(POOL, f"TokenExchange(address,{U},{U},{U},{U})", [BOB], [0, 5, 1, 6])
    deep = log(POOL, f"TokenExchangeUnderlying(address,{U},{U},{U},{U})", [BOB], [2, 5, 0, 6])
    before, after, _ = ask(raw(swap, deep), node)
    assert before.undecoded == {"unknown_pool": 2}
    assert [(one["token_in"], one["token_out"]) for one in after.block.model_dump()["events"]] == [
        (USDC, ZERO), (ALICE, WETH),
    ]  # fmt: skip


def test_curve_metapools_by_their_base_or_by_the_registry() -> None:
    wanted = Wanted("curve", POOL, POOL)
    asked = requests(wanted)
    by_selector = {selector("coins(uint256)"): [USDC, WETH], selector("base_coins(uint256)"): [ALICE, ALICE]}

    def answers(registry: Any, *without: str) -> list[Any]:
        found = []
        for request in asked[:-1]:
            coins = by_selector.get(request.params[0]["data"][:10], [])
            unknown = request.params[0]["data"][:10] in map(selector, without)
            found.append(None if unknown else numbered(coins)(request.params[0]["data"], 0))
        return [*found, registry]

    facts = Facts()
    assert learn(facts, wanted, answers(None))
    assert facts.pools[POOL].underlying == (USDC, ALICE, ALICE)
    eight = "0x" + "".join(told(one)[2:] for one in (WETH, USDC)) + "0" * 64 * 6
    assert learn(facts, wanted, answers(eight, "base_coins(uint256)"))
    assert facts.pools[POOL].underlying == (WETH, USDC)
    assert learn(facts, wanted, answers("0x12", "base_coins(uint256)"))
    assert facts.pools[POOL].underlying == ()
    assert not learn(Facts(), wanted, answers(eight, "coins(uint256)"))


def test_v4_pool_by_its_log_or_by_the_position_manager_and_only_with_its_own_key() -> None:
    manager = next(iter(POSITION_MANAGERS))
    id, key = v4_key(USDC, WETH, 3000, 60, "0x" + "ca" * 20)
    block = raw(log(manager, V4_SWAP, [id, BOB], [7, -3, 1, 1, 1, 3000]))
    initialize = log(manager, V4_INITIALIZE, [id, USDC, WETH], [3000, 60, "0x" + "ca" * 20, 2**96, 0])
    forged = log(manager, V4_INITIALIZE, [id, USDC, ALICE], [3000, 60, "0x" + "ca" * 20, 2**96, 0])

    def node(logs: Any, keys: Any) -> Node:
        return lambda request: logs if request.method == "eth_getLogs" else keys

    for good in (node([initialize], None), node(None, "0x" + key), node([forged, {}, 7, initialize], "0x")):
        before, after, _ = ask(block, good)
        assert [one.family for one in before.wanted] == ["uniswap_v4"]
        assert after.block.model_dump()["events"][0]["token_in"] == WETH
    for bad in (
        node([forged], "0x" + key[:-1] + "7"),
        node([], None),
        node("0x", ["x"]),
        node(None, "0x" + "zz" * 160),
    ):
        _, after, facts = ask(block, bad)
        assert (after.undecoded, facts.pools) == ({"unknown_pool": 1}, {})


def test_lending_markets() -> None:
    def events(block: bytes, node: Node) -> dict[str, Any]:
        _, after, _ = ask(block, node)
        (one,) = after.block.model_dump(exclude_none=True)["events"]
        return dict(one)

    borrow = raw(log(POOL, "LiquidateBorrow(address,address,uint256,address,uint256)", [], [ALICE, BOB, 5, USDC, 7]))
    cream = {"underlying()": told(WETH), "comptroller()": told("0x3d5bc3c8d13dcb8bf317092d84783c2697ae9258")}
    found = events(borrow, contract(cream))
    assert (found["protocol"], found["token_in"], found["amount_in_raw"]) == ("cream", WETH, "5")
    ether = events(borrow, contract({"comptroller()": told(ALICE)}))
    assert (ether["protocol"], ether["token_in"]) == ("compound_v2_fork", ZERO)
    assert "token_in" not in events(borrow, contract({"underlying()": told(WETH)}))
    absorb = raw(log(POOL, "AbsorbDebt(address,address,uint256,uint256)", [ALICE, BOB], [5, 9]))
    assert events(absorb, contract({"baseToken()": told(WETH)}))["token_in"] == WETH
    market = "0x" + "".join(told(one)[2:] for one in (USDC, WETH, ALICE, ALICE)) + f"{860 * 10**15:064x}"
    id = "0x" + keccak(bytes.fromhex(market[2:])).hex()
    morpho = raw(
        log(POOL, f"Liquidate(bytes32,address,address,{U},{U},{U},{U},{U})", [id, ALICE, BOB], [5, 6, 7, 0, 0])
    )
    liquidation = events(morpho, lambda request: market)
    assert (liquidation["token_in"], liquidation["token_out"], liquidation["market"]) == (USDC, WETH, id)
    for wrong in (market[:-1] + "1", "0x", None, "0x" + "zz" * 160):
        assert not learn(Facts(), Wanted("morpho_blue", id, POOL), [wrong])
