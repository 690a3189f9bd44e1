"""Every protocol's topics by the hash of their signatures, and one log of each layout made by its ABI."""

from __future__ import annotations

from typing import Any

import pytest
from eth_hash.auto import keccak

from ingest.decode import decode
from ingest.protocols import (
    BY_TOPIC,
    PROTOCOLS,
    QUESTIONS,
    aave,
    balancer_v1,
    balancer_v2,
    compound_v2,
    compound_v3,
    curve,
    dodo_v2,
    erc20,
    morpho_blue,
    uniswap_v2,
    uniswap_v3,
    uniswap_v4,
    weth,
    zeroex_v4,
)
from ingest.protocols.uniswap_v4 import POSITION_MANAGERS
from tests.unit.raw_logs import ALICE, BOB, USDC, WETH, event, log, raw, topic0, undecoded
from topics.schemas.native import ZERO

U = "uint256"
SIGNATURES: dict[Any, list[str]] = {
    uniswap_v2: [
        "Swap(address,uint256,uint256,uint256,uint256,address)", "Sync(uint112,uint112)", "Mint(address,uint256,uint256)",
        "Burn(address,uint256,uint256,address)",
    ],
    uniswap_v3: [
        "Swap(address,address,int256,int256,uint160,uint128,int24)",
        "Swap(address,address,int256,int256,uint160,uint128,int24,uint128,uint128)",
        "Mint(address,address,int24,int24,uint128,uint256,uint256)", "Burn(address,int24,int24,uint128,uint256,uint256)",
        "Collect(address,address,int24,int24,uint128,uint128)",
    ],
    uniswap_v4: [
        "Swap(bytes32,address,int128,int128,uint160,uint128,int24,uint24)",
        "ModifyLiquidity(bytes32,address,int24,int24,int256,bytes32)",
        "Initialize(bytes32,address,address,uint24,int24,address,uint160,int24)",
    ],
    curve: [
        "TokenExchange(address,int128,uint256,int128,uint256)", f"TokenExchange(address,{U},{U},{U},{U})",
        f"TokenExchange(address,{U},{U},{U},{U},{U},{U})", "TokenExchangeUnderlying(address,int128,uint256,int128,uint256)",
        f"TokenExchangeUnderlying(address,{U},{U},{U},{U})",
        f"AddLiquidity(address,{U}[],{U}[],{U},{U})", f"RemoveLiquidity(address,{U}[],{U}[],{U})",
        f"RemoveLiquidityImbalance(address,{U}[],{U}[],{U},{U})",
        f"RemoveLiquidityOne(address,{U},{U})", f"RemoveLiquidityOne(address,{U},{U},{U})",
        f"RemoveLiquidityOne(address,int128,{U},{U},{U})", f"RemoveLiquidityOne(address,{U},{U},{U},{U},{U})",
        *(one for n in (2, 3, 4) for one in (
            f"AddLiquidity(address,{U}[{n}],{U}[{n}],{U},{U})", f"AddLiquidity(address,{U}[{n}],{U},{U})",
            f"AddLiquidity(address,{U}[{n}],{U},{U},{U})", f"RemoveLiquidity(address,{U}[{n}],{U}[{n}],{U})",
            f"RemoveLiquidity(address,{U}[{n}],{U})", f"RemoveLiquidityImbalance(address,{U}[{n}],{U}[{n}],{U},{U})",
        )),
    ],
    balancer_v1: [
        "LOG_SWAP(address,address,address,uint256,uint256)", "LOG_JOIN(address,address,uint256)",
        "LOG_EXIT(address,address,uint256)",
    ],
    balancer_v2: [
        "Swap(bytes32,address,address,uint256,uint256)", "PoolBalanceChanged(bytes32,address,address[],int256[],uint256[])",
    ],
    dodo_v2: ["DODOSwap(address,address,uint256,uint256,address,address)"],
    zeroex_v4: [
        "LimitOrderFilled(bytes32,address,address,address,address,address,uint128,uint128,uint128,uint256,bytes32)",
        "RfqOrderFilled(bytes32,address,address,address,address,uint128,uint128,bytes32)",
        "OtcOrderFilled(bytes32,address,address,address,address,uint128,uint128)",
    ],
    aave: [
        "LiquidationCall(address,address,address,uint256,uint256,address,bool)",
        "LiquidationCall(address,address,address,uint256,uint256,uint256,address,bool,uint256)",
    ],
    compound_v2: ["LiquidateBorrow(address,address,uint256,address,uint256)"],
    compound_v3: [
        "AbsorbDebt(address,address,uint256,uint256)", "AbsorbCollateral(address,address,address,uint256,uint256)",
        "BuyCollateral(address,address,uint256,uint256)",
    ],
    morpho_blue: ["Liquidate(bytes32,address,address,uint256,uint256,uint256,uint256,uint256)"],
    erc20: ["Transfer(address,address,uint256)"],
    weth: ["Deposit(address,uint256)", "Withdrawal(address,uint256)"],
}  # fmt: skip
CAROL, POOL = "0x" + "ca" * 20, "0x" + "b0" * 20
ID = "0x" + "1d" * 32
TRANSFER = SIGNATURES[erc20][0]


def test_topics_are_the_hashes_of_their_signatures() -> None:
    assert set(SIGNATURES) == set(PROTOCOLS)
    for protocol, signatures in SIGNATURES.items():
        assert set(protocol.DECODERS) == {topic0(signature) for signature in signatures}, protocol.__name__
    assert len(BY_TOPIC) == sum(map(len, SIGNATURES.values()))
    assert len(QUESTIONS) == sum(len(protocol.QUESTIONS) for protocol in PROTOCOLS)


def test_every_decoder_counts_a_layout_it_does_not_know() -> None:
    for protocol, signatures in SIGNATURES.items():
        for signature in signatures:
            assert undecoded(log(WETH, signature, [1], [])) == {"bad_layout": 1}, (protocol.__name__, signature)
            assert undecoded(log(WETH, signature, [], [2**255] * 3)) == {"bad_layout": 1}, (
                protocol.__name__,
                signature,
            )
    anonymous = {**log(WETH, "x()", [], []), "topics": []}
    assert undecoded(anonymous, log(WETH, "x()", [], [])) == {"unknown_topic": 2}


def told(
    signature: str, topics: list[int | str], data: list[int | str], address: str = POOL, **more: Any
) -> dict[str, Any]:
    """What the log says beside its transaction's sender and receiver, for events that are not between two."""
    found = event(log(address, signature, topics, data), **more)
    if found["event_type"] not in ("transfer", "liquidation"):
        assert (found.pop("from_address"), found.pop("to_address")) == (ALICE, BOB.lower())
    return found


def v4_key(token0: str, token1: str, fee: int, spacing: int, hooks: str) -> tuple[str, str]:
    """A pool's id and its key."""
    key = f"{token0[2:]:0>64}{token1[2:]:0>64}{fee:064x}{spacing:064x}{hooks[2:]:0>64}"
    return "0x" + keccak(bytes.fromhex(key)).hex(), key


V4_SWAP, V4_MODIFY, V4_INITIALIZE = SIGNATURES[uniswap_v4]
MANAGER = next(iter(POSITION_MANAGERS))


def test_v4_swap_signs_are_the_swappers_and_native_is_the_zero_address() -> None:
    id, _ = v4_key(ZERO, USDC, 3000, 60, "0x00")
    facts = {id: {"protocol": "uniswap_v4", "token0": ZERO, "token1": USDC}}
    # The swapper paid 1 ether (negative) and took 2,000 USDC.
    swap = told(V4_SWAP, [id, ALICE], [-(10**18), 2_000_000_000, 2**96, 77, -5, 3000], MANAGER, pools=facts)
    assert swap == {
        "event_type": "swap", "protocol": "uniswap_v4", "pool": id, "sender": ALICE, "token_in": ZERO, "token_out": USDC,
        "amount_in_raw": str(10**18), "amount_out_raw": "2000000000", "amount_in": "1", "amount_out": "2000",
        "sqrt_price_x96": str(2**96), "liquidity": "77", "tick": -5,
    }  # fmt: skip
    assert undecoded(log(MANAGER, V4_SWAP, [id, ALICE], [5, 5, 1, 1, 1, 1]), pools=facts) == {"one_sided": 1}
    assert undecoded(log(MANAGER, V4_SWAP, [id, ALICE], [-5, 5, 1, 1, 1, 1])) == {"unknown_pool": 1}
    untold = {id: {"protocol": "uniswap_v4"}}
    assert undecoded(log(MANAGER, V4_SWAP, [id, ALICE], [-5, 5, 1, 1, 1, 1]), pools=untold) == {"unknown_pool": 1}


def test_v4_pool_without_hooks_is_proven_by_what_its_transaction_moved() -> None:
    id, _ = v4_key(ZERO, USDC, 500, 10, "0x00")
    moves = log(USDC, TRANSFER, [MANAGER, ALICE], [7])
    *_, swap = decode(raw(moves, log(MANAGER, V4_SWAP, [id, ALICE], [-3, 7, 1, 1, 1, 500]))).block.events
    assert swap.model_dump()["token_in"] == ZERO
    unknown = {id: {"protocol": "unknown", "token0": None, "token1": None}}
    assert (
        len(decode(raw(moves, log(MANAGER, V4_SWAP, [id, ALICE], [-3, 7, 1, 1, 1, 500]), pools=unknown)).block.events)
        == 2
    )
    # Another pool of the same tokens, with hooks, is not taken for it.
    hooked, _ = v4_key(ZERO, USDC, 500, 10, CAROL)
    decoded = decode(raw(moves, log(MANAGER, V4_SWAP, [hooked, ALICE], [-3, 7, 1, 1, 1, 500])))
    assert decoded.undecoded == {"unknown_pool": 1}


def test_v4_initialize_tells_the_pool_of_what_follows() -> None:
    id, _ = v4_key(USDC, WETH, 0x800000, 7, CAROL)
    made = log(MANAGER, V4_INITIALIZE, [id, USDC, WETH], [0x800000, 7, CAROL, 2**96, 0])
    swap = log(MANAGER, V4_SWAP, [id, BOB], [7, -3, 1, 1, 1, 500])
    decoded = decode(raw(made, swap))
    assert (decoded.undecoded, decoded.wanted) == ({"no_event": 1}, ())
    (one,) = decoded.block.model_dump()["events"]
    assert (one["token_in"], one["token_out"], one["pool"]) == (WETH, USDC, id)
    # One whose key is not of its id teaches nothing.
    forged = log(MANAGER, V4_INITIALIZE, [id, USDC, CAROL], [0x800000, 7, CAROL, 2**96, 0])
    assert undecoded(forged, swap) == {"bad_layout": 1, "unknown_pool": 1}


@pytest.mark.parametrize("delta, kind", [(500, "mint"), (-500, "burn"), (0, "burn")])
def test_v4_liquidity(delta: int, kind: str) -> None:
    id, _ = v4_key(USDC, WETH, 3000, 60, "0x00")
    moved = told(V4_MODIFY, [id, ALICE], [-600, 600, delta, "0x" + "5a" * 32], MANAGER)
    assert moved == {
        "event_type": kind, "protocol": "uniswap_v4", "pool": id, "sender": ALICE, "owner": ALICE, "tick_lower": -600,
        "tick_upper": 600, "liquidity": str(abs(delta)), "salt": "0x" + "5a" * 32,
    }  # fmt: skip


COINS = {POOL: {"protocol": "curve", "tokens": [USDC, "0x" + "EE" * 20, WETH], "underlying": [CAROL, USDC]}}


@pytest.mark.parametrize(
    "signature, extra", [(SIGNATURES[curve][0], 0), (SIGNATURES[curve][1], 0), (SIGNATURES[curve][2], 2)]
)
def test_curve_exchange_by_number(signature: str, extra: int) -> None:
    swap = told(signature, [BOB], [0, 2_000_000, 1, 10**15, *[9] * extra], pools=COINS)
    assert swap == {
        "event_type": "swap", "protocol": "curve", "pool": POOL, "sender": BOB.lower(), "token_in": USDC, "token_out": ZERO,
        "amount_in_raw": "2000000", "amount_out_raw": str(10**15), "amount_in": "2", "amount_out": "0.001",
    }  # fmt: skip
    assert undecoded(log(POOL, signature, [BOB], [0, 5, 1, 0, *[9] * extra]), pools=COINS) == {"one_sided": 1}
    for numbers in ((0, 3), (2**256 - 1, 0)):
        data = [numbers[0], 5, numbers[1], 6, *[9] * extra]
        assert undecoded(log(POOL, signature, [BOB], data), pools=COINS) == {"unknown_pool": 1}


@pytest.mark.parametrize("signature", SIGNATURES[curve][3:5])
def test_curve_underlying_coins_have_their_own_numbers(signature: str) -> None:
    swap = told(signature, [BOB], [1, 2_000_000, 0, 7], pools=COINS)
    assert (swap["token_in"], swap["token_out"]) == (USDC, CAROL)


def test_curve_liquidity() -> None:
    three = told(f"AddLiquidity(address,{U}[3],{U}[3],{U},{U})", [BOB], [1, 0, 3, 9, 9, 9, 9, 9], pools=COINS)
    assert three == {
        "event_type": "mint", "protocol": "curve", "pool": POOL, "sender": BOB.lower(), "owner": BOB.lower(),
        "tokens": [USDC, ZERO, WETH], "amounts_raw": ["1", "0", "3"],
    }  # fmt: skip
    two = told(f"RemoveLiquidity(address,{U}[2],{U})", [BOB], [4, 5, 9], pools=COINS)
    assert (two["event_type"], two["amount0_raw"], two["amount1_raw"]) == ("burn", "4", "5")
    assert "token0" not in two, "the facts tell of three coins"
    listed = told(
        f"RemoveLiquidityImbalance(address,{U}[],{U}[],{U},{U})", [BOB], [0x80, 0x100, 7, 7, 3, 1, 2, 3, 0], pools=COINS
    )
    assert (listed["tokens"], listed["amounts_raw"]) == ([USDC, ZERO, WETH], ["1", "2", "3"])


def test_curve_one_coin_by_number_or_by_what_left_the_pool() -> None:
    numbered = told(f"RemoveLiquidityOne(address,int128,{U},{U},{U})", [BOB], [2, 100, 50, 9], pools=COINS)
    assert (numbered["token_out"], numbered["amount_out_raw"]) == (WETH, "50")
    left = log(USDC, TRANSFER, [POOL, BOB], [50])
    for data in ([100, 50], [100, 1, 50], [100, 50, 7]):
        signature = f"RemoveLiquidityOne(address,{','.join([U] * len(data))})"
        *_, burn = decode(raw(left, log(POOL, signature, [BOB], data))).block.model_dump(exclude_none=True)["events"]
        assert (burn["event_type"], burn["token_out"], burn["amount_out_raw"]) == ("burn", USDC, "50")
    unknown = told(f"RemoveLiquidityOne(address,{U},{U})", [BOB], [100, 50])
    assert unknown["event_type"] == "burn" and "token_out" not in unknown


def test_balancer_v1() -> None:
    swap = told(SIGNATURES[balancer_v1][0], [ALICE, USDC, WETH], [5, 7])
    assert swap == {
        "event_type": "swap", "protocol": "balancer_v1", "pool": POOL, "sender": ALICE, "recipient": ALICE, "token_in": USDC,
        "token_out": WETH, "amount_in_raw": "5", "amount_out_raw": "7", "amount_in": "0.000005",
        "amount_out": "0.000000000000000007",
    }  # fmt: skip
    join = told(SIGNATURES[balancer_v1][1], [ALICE, USDC], [5])
    assert (join["event_type"], join["token_in"], join["amount_in_raw"], join["owner"]) == ("mint", USDC, "5", ALICE)
    exit = told(SIGNATURES[balancer_v1][2], [ALICE, WETH], [7])
    assert (exit["event_type"], exit["token_out"], exit["amount_out_raw"]) == ("burn", WETH, "7")


def test_balancer_v2() -> None:
    swap = told(SIGNATURES[balancer_v2][0], [ID, WETH, USDC], [5, 7])
    assert (swap["pool"], swap["token_in"], swap["token_out"], swap["amount_out_raw"]) == (ID, WETH, USDC, "7")
    assert undecoded(log(POOL, SIGNATURES[balancer_v2][0], [ID, WETH, USDC], [0, 7])) == {"one_sided": 1}
    assert undecoded(log(POOL, SIGNATURES[balancer_v2][0], [ID, WETH, WETH], [5, 7])) == {"one_sided": 1}
    heads: list[int | str] = [0x60, 0xC0, 0x120]
    join = told(SIGNATURES[balancer_v2][1], [ID, BOB], [*heads, 2, USDC, WETH, 2, 10, 0, 2, 0, 0])
    assert join == {
        "event_type": "mint", "protocol": "balancer_v2", "pool": ID, "sender": BOB.lower(), "owner": BOB.lower(),
        "token0": USDC, "token1": WETH, "amount0_raw": "10", "amount1_raw": "0",
    }  # fmt: skip
    heads = [0x60, 0xE0, 0x160]
    exit = told(SIGNATURES[balancer_v2][1], [ID, BOB], [*heads, 3, USDC, WETH, CAROL, 3, -10, 0, -3, 3, 0, 0, 0])
    assert (exit["event_type"], exit["tokens"], exit["amounts_raw"]) == ("burn", [USDC, WETH, CAROL], ["10", "0", "3"])


def test_dodo() -> None:
    swap = told(SIGNATURES[dodo_v2][0], [], [USDC, WETH, 5, 7, ALICE, BOB])
    assert (swap["pool"], swap["sender"], swap["recipient"]) == (POOL, ALICE, BOB.lower())
    assert (swap["token_in"], swap["token_out"], swap["amount_in_raw"], swap["amount_out_raw"]) == (
        USDC,
        WETH,
        "5",
        "7",
    )


@pytest.mark.parametrize(
    "signature, data",
    [
        (SIGNATURES[zeroex_v4][0], [ID, CAROL, BOB, ALICE, WETH, USDC, 5, 7, 1, 2, 3]),
        (SIGNATURES[zeroex_v4][1], [ID, CAROL, BOB, WETH, USDC, 5, 7, 0]),
        (SIGNATURES[zeroex_v4][2], [ID, CAROL, BOB, WETH, USDC, 7, 5]),
    ],
)
def test_zeroex_orders_are_paid_by_the_taker_in_the_takers_token(signature: str, data: list[int | str]) -> None:
    swap = told(signature, [], data)
    assert (swap["maker"], swap["sender"], swap["recipient"]) == (CAROL, BOB.lower(), BOB.lower())
    assert (swap["token_in"], swap["token_out"], swap["amount_in_raw"], swap["amount_out_raw"]) == (
        USDC,
        WETH,
        "5",
        "7",
    )
    assert "pool" not in swap


def test_aave_liquidations() -> None:
    now = event(log(POOL, SIGNATURES[aave][0], [WETH, USDC, BOB], [5, 7, ALICE, 1]))
    assert now == {
        "event_type": "liquidation", "protocol": "aave_fork", "market": POOL, "from_address": ALICE, "to_address": BOB.lower(),
        "token_in": USDC, "token_out": WETH, "amount_in_raw": "5", "amount_out_raw": "7", "amount_in": "0.000005",
        "amount_out": "0.000000000000000007",
    }  # fmt: skip
    first = event(
        log(next(iter(aave.LENDING_POOLS)), SIGNATURES[aave][1], ["0x" + "ee" * 20, USDC, BOB], [5, 7, 1, ALICE, 0, 99])
    )
    assert (first["protocol"], first["token_out"], first["from_address"]) == ("aave_v1", ZERO, ALICE)


def test_compound_v2_liquidation_names_the_ctoken_that_was_seized() -> None:
    cdai, cusdc = "0x5d3a536e4d6dbd6114cc1ead35777bab948e3643", "0x39aa39c021dfbae8fac545936693ac917d5e7563"
    data: list[int | str] = [ALICE, BOB, 5, cusdc, 7]
    found = event(log(cdai, SIGNATURES[compound_v2][0], [], data))
    assert (found["protocol"], found["market"], found["from_address"], found["to_address"]) == (
        "compound_v2", cdai, ALICE, BOB.lower(),
    )  # fmt: skip
    assert (found["token_in"], found["amount_in_raw"]) == ("0x6b175474e89094c44da98b954eedeac495271d0f", "5")
    assert (found["token_out"], found["amount_out_raw"]) == (cusdc, "7")
    unknown = event(log(POOL, SIGNATURES[compound_v2][0], [], data))
    assert unknown["protocol"] == "compound_v2_fork" and not {"token_in", "amount_in_raw"} & set(unknown)
    venus = {POOL: {"protocol": "venus", "token0": WETH}}
    assert event(log(POOL, SIGNATURES[compound_v2][0], [], data), pools=venus)["token_in"] == WETH


def test_compound_v3_absorbs_in_two_logs_and_sells_in_a_third() -> None:
    comet = next(iter(compound_v3.BASES))
    debt = event(log(comet, SIGNATURES[compound_v3][0], [ALICE, BOB], [5, 99]))
    assert (debt["from_address"], debt["to_address"], debt["token_in"], debt["amount_in_raw"]) == (
        ALICE,
        BOB.lower(),
        USDC,
        "5",
    )
    collateral = event(log(comet, SIGNATURES[compound_v3][1], [ALICE, BOB, WETH], [7, 99]))
    assert (collateral["market"], collateral["token_out"], collateral["amount_out_raw"]) == (comet, WETH, "7")
    assert "token_in" not in collateral
    bought = told(SIGNATURES[compound_v3][2], [ALICE, WETH], [5, 7], comet)
    assert (bought["event_type"], bought["pool"], bought["token_in"], bought["token_out"]) == (
        "swap",
        comet,
        USDC,
        WETH,
    )
    assert undecoded(log(POOL, SIGNATURES[compound_v3][2], [ALICE, WETH], [5, 7])) == {"unknown_pool": 1}


def test_morpho_liquidation() -> None:
    data: list[int | str] = [5, 999, 7, 0, 0]
    market = {ID: {"protocol": "morpho_blue", "token0": USDC, "token1": WETH}}
    found = event(log(POOL, SIGNATURES[morpho_blue][0], [ID, ALICE, BOB], data), pools=market)
    assert (found["market"], found["from_address"], found["to_address"]) == (ID, ALICE, BOB.lower())
    assert (found["token_in"], found["amount_in_raw"], found["token_out"], found["amount_out_raw"]) == (
        USDC,
        "5",
        WETH,
        "7",
    )
    unknown = event(log(POOL, SIGNATURES[morpho_blue][0], [ID, ALICE, BOB], data))
    assert unknown["market"] == ID and "token_in" not in unknown
