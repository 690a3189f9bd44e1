"""Logs written by hand through the decoder, one layout at a time, and raw blocks that are not as they should be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from eth_hash.auto import keccak

from ingest.decode import decode
from ingest.deployments import DEPLOYMENTS, PairFamily, create2
from ingest.raw import Malformed
from ingest.tokens import units
from tests.unit.raw_logs import (
    ALICE,
    BOB,
    TX,
    USDC,
    V2_PAIR,
    V3_POOL,
    WETH,
    event,
    log,
    raw,
    rpc,
    transfer_of,
    undecoded,
)
from topics.schemas.chain import Swap

V2_SWAP = "Swap(address,uint256,uint256,uint256,uint256,address)"
V3_SWAP = "Swap(address,address,int256,int256,uint160,uint128,int24)"
PANCAKE_SWAP = "Swap(address,address,int256,int256,uint160,uint128,int24,uint128,uint128)"
V3_MINT = "Mint(address,address,int24,int24,uint128,uint256,uint256)"
V3_BURN = "Burn(address,int24,int24,uint128,uint256,uint256)"
V3_COLLECT = "Collect(address,address,int24,int24,uint128,uint128)"


def test_v2_swap_takes_direction_from_net_and_amounts_from_gross() -> None:
    # A reflection token: 5 USDC came back in beside the WETH that was sold, and 2 wei of WETH went out.
    swap = event(log(V2_PAIR, V2_SWAP, [ALICE, BOB], [5, 10**18, 2_000_000_000, 2]))
    assert swap == {
        "event_type": "swap", "protocol": "uniswap_v2", "pool": V2_PAIR, "sender": ALICE, "recipient": BOB.lower(),
        "from_address": ALICE, "to_address": BOB.lower(), "token_in": WETH, "token_out": USDC,
        "amount_in_raw": str(10**18), "amount_out_raw": "2000000000", "amount_in": "1", "amount_out": "2000",
    }  # fmt: skip


@pytest.mark.parametrize("signature, extra", [(V3_SWAP, []), (PANCAKE_SWAP, [0, 9])])
def test_v3_swap_signs(signature: str, extra: list[int | str]) -> None:
    swap = event(log(V3_POOL, signature, [ALICE, BOB], [-2_500_000, 10**15, 2**96, 77, -42, *extra]))
    assert (swap["token_in"], swap["amount_in_raw"]) == (WETH, str(10**15))
    assert (swap["token_out"], swap["amount_out"]) == (USDC, "2.5")
    assert (swap["sqrt_price_x96"], swap["liquidity"], swap["tick"]) == (str(2**96), "77", -42)


def test_v3_placeholders_are_no_price() -> None:
    swap = event(log(V3_POOL, V3_SWAP, [ALICE, BOB], [9, -8, 0, 0, 0]))
    assert (swap["token_in"], swap["token_out"]) == (USDC, WETH)
    assert not {"sqrt_price_x96", "liquidity", "tick"} & set(swap)


@pytest.mark.parametrize("amounts", [(0, 0, 0, 0), (5, 0, 0, 0), (5, 7, 0, 0), (5, 7, 5, 7), (5, 0, 3, 0)])
def test_one_sided_swaps_have_no_direction(amounts: tuple[int, ...]) -> None:
    assert undecoded(log(V2_PAIR, V2_SWAP, [ALICE, BOB], list(amounts))) == {"one_sided": 1}
    net0, net1 = amounts[0] - amounts[2], amounts[1] - amounts[3]
    assert undecoded(log(V3_POOL, V3_SWAP, [ALICE, BOB], [net0, net1, 1, 1, 1])) == {"one_sided": 1}


def test_liquidity_and_reserves() -> None:
    sync = event(log(V2_PAIR, "Sync(uint112,uint112)", [], [11, 12]))
    assert (sync["pool"], sync["token0"], sync["reserve0_raw"], sync["reserve1_raw"]) == (V2_PAIR, USDC, "11", "12")
    mint = event(log(V2_PAIR, "Mint(address,uint256,uint256)", [ALICE], [1, 2]))
    assert (mint["sender"], mint["amount0_raw"], mint["amount1_raw"]) == (ALICE, "1", "2")
    burn = event(log(V2_PAIR, "Burn(address,uint256,uint256,address)", [ALICE, BOB], [3, 4]))
    assert (burn["recipient"], burn["amount0_raw"], burn["amount1_raw"]) == (BOB.lower(), "3", "4")
    v3_mint = event(log(V3_POOL, V3_MINT, [ALICE, -60, 60], [BOB, 100, 1, 2]))
    assert (v3_mint["owner"], v3_mint["sender"], v3_mint["liquidity"]) == (ALICE, BOB.lower(), "100")
    assert (v3_mint["tick_lower"], v3_mint["tick_upper"], v3_mint["amount1_raw"]) == (-60, 60, "2")
    v3_burn = event(log(V3_POOL, V3_BURN, [ALICE, -887220, 0], [100, 0, 2]))
    assert (v3_burn["event_type"], v3_burn["tick_lower"], v3_burn["amount0_raw"]) == ("burn", -887220, "0")
    collect = event(log(V3_POOL, V3_COLLECT, [ALICE, -60, 60], [BOB, 1, 2]))
    assert (collect["event_type"], collect["recipient"], collect["amount1_raw"]) == ("collect", BOB.lower(), "2")


def test_reserves_of_an_unknown_pool_are_kept() -> None:
    sync = event(log(V2_PAIR, "Sync(uint112,uint112)", [], [11, 12]), pools={})
    assert sync["protocol"] == "uniswap_v2_fork" and "token0" not in sync


def test_transfers_and_what_only_looks_like_one() -> None:
    transfer = event(log(USDC, "Transfer(address,address,uint256)", [ALICE, BOB], [1_500_000]))
    assert (transfer["token_in"], transfer["amount_in"], transfer["amount_in_raw"]) == (USDC, "1.5", "1500000")
    assert (transfer["from_address"], transfer["to_address"]) == (ALICE, BOB.lower())
    nft = event(log(USDC, "Transfer(address,address,uint256)", [ALICE, BOB, 9], []))
    assert "amount_in" not in nft, "a collection has no decimals"
    assert (nft["protocol"], nft["token_in"], nft["token_id"], nft["amount_in_raw"]) == ("erc721", USDC, "9", "1")
    assert (nft["from_address"], nft["to_address"]) == (ALICE, BOB.lower())
    unindexed = log(USDC, "Transfer(address,address,uint256)", [], [ALICE, BOB, 9])
    both = log(USDC, "Transfer(address,address,uint256)", [ALICE, BOB, 9], [1])
    assert undecoded(unindexed, both) == {"bad_layout": 2}


def test_wrapping_only_of_the_chains_own_wrapper() -> None:
    deposit = event(log(WETH, "Deposit(address,uint256)", [ALICE], [10**18]))
    assert (deposit["event_type"], deposit["from_address"], deposit["to_address"]) == ("deposit", WETH, ALICE)
    withdrawal = event(log(WETH, "Withdrawal(address,uint256)", [ALICE], [10**17]))
    assert (withdrawal["from_address"], withdrawal["to_address"], withdrawal["amount_in"]) == (ALICE, WETH, "0.1")
    assert undecoded(log(USDC, "Deposit(address,uint256)", [ALICE], [1])) == {"foreign_wrapper": 1}
    assert undecoded(log(WETH, "Deposit(address,uint256)", [ALICE], [1]), chain_id=999) == {"foreign_wrapper": 1}
    assert undecoded(log(WETH, "Deposit(address,uint256)", [], [ALICE, 1])) == {"bad_layout": 1}


def test_create2_of_known_pools() -> None:
    families: tuple[tuple[str, PairFamily], ...] = ((V2_PAIR, "uniswap_v2"), (V3_POOL, "uniswap_v3"))
    for pool, family in families:
        deployment = DEPLOYMENTS[family][0]
        packed = USDC[2:] + WETH[2:] if family == "uniswap_v2" else f"{USDC[2:]:0>64}{WETH[2:]:0>64}{500:064x}"
        assert "0x" + create2(deployment.factory, keccak(bytes.fromhex(packed)), deployment.init_code_hash) == pool


def test_pool_tokens_from_transfers_without_facts() -> None:
    moves = (
        transfer_of(WETH, ALICE, V2_PAIR, 10),
        transfer_of(USDC, V2_PAIR, BOB, 99),
        transfer_of(ALICE, BOB, V2_PAIR, 1),
    )
    *_, swap = decode(raw(*moves, log(V2_PAIR, V2_SWAP, [ALICE, BOB], [0, 10, 20, 0]), pools={})).block.events
    assert isinstance(swap, Swap) and (swap.protocol, swap.token_in, swap.token_out) == ("uniswap_v2", WETH, USDC)


def test_pool_of_an_unknown_factory_by_the_amounts_of_its_own_swap() -> None:
    fork = "0x" + "f0" * 20
    swap_log = log(fork, V2_SWAP, [ALICE, BOB], [0, 10, 20, 0])
    moves = [transfer_of(WETH, ALICE, fork, 10), transfer_of(USDC, fork, BOB, 20)]
    *_, swap = decode(raw(*moves, swap_log, pools={})).block.events
    assert isinstance(swap, Swap) and (swap.protocol, swap.token_in, swap.token_out) == ("uniswap_v2_fork", WETH, USDC)
    wrong_amount = [transfer_of(WETH, ALICE, fork, 11), transfer_of(USDC, fork, BOB, 20)]
    wrong_order = [transfer_of(USDC, ALICE, fork, 10), transfer_of(WETH, fork, BOB, 20)]
    ambiguous = [*moves, transfer_of(ALICE, ALICE, fork, 10)]
    for doubtful in (wrong_amount, wrong_order, ambiguous):
        decoded = decode(raw(*doubtful, swap_log, pools={}))
        assert decoded.undecoded == {"unknown_pool": 1}
        assert {one.event_type for one in decoded.block.events} == {"transfer"}


def test_order_removal_and_what_logs_tell_of_the_block() -> None:
    later = transfer_of(USDC, ALICE, BOB, 2) | {"transactionIndex": "0x10", "logIndex": "0x2"}
    first = transfer_of(USDC, ALICE, BOB, 1) | {"logIndex": "0xff", "removed": True}
    told = later | {"blockTimestamp": "0x64", "blockHash": "0x" + "AB" * 32}
    block = decode(raw(told, first)).block
    assert [one.log_index for one in block.events] == [255, 2]
    assert (block.status, block.timestamp, block.hash) == ("removed", 100, "0x" + "ab" * 32)


RPC_BLOCK = {
    "number": "0x5", "hash": "0x" + "CD" * 32, "parentHash": "0x" + "ef" * 32, "timestamp": "0x64", "baseFeePerGas": "0x7",
    "miner": BOB, "difficulty": "0x0",
    "transactions": [{
        "hash": TX, "transactionIndex": "0x3", "from": ALICE, "to": None, "value": "0xde0b6b3a7640000", "gas": "0x5208",
        "gasPrice": "0x9", "input": "0xa9059cbb00", "chainId": "0x1", "type": "0x2",
    }],
}  # fmt: skip
RECEIPT = {
    "transactionHash": TX, "transactionIndex": "0x3", "from": ALICE, "to": None, "status": "0x1", "gasUsed": "0x5000",
    "effectiveGasPrice": "0x8", "logs": [transfer_of(USDC, ALICE, BOB, 1)],
}  # fmt: skip


@pytest.mark.parametrize("wrapped", [False, True])
def test_json_rpc_form(wrapped: bool) -> None:
    wrap = rpc if wrapped else (lambda result: result)
    block = decode(json.dumps({"block": wrap(RPC_BLOCK), "receipts": wrap([RECEIPT])}).encode()).block
    assert (block.chain_id, block.number, block.timestamp, block.base_fee) == (1, 5, 100, 7)
    assert (block.hash, block.parent_hash, block.miner) == ("0x" + "cd" * 32, "0x" + "ef" * 32, BOB.lower())
    (transaction,) = block.transactions
    assert transaction.model_dump(exclude_none=True) == {
        "hash": TX, "index": 3, "from_address": ALICE, "value_wei": str(10**18), "gas_limit": 21000, "gas_used": 0x5000,
        "gas_price_wei": 8, "selector": "0xa9059cbb", "status": 1,
    }  # fmt: skip
    assert len(block.events) == 1


def test_json_rpc_with_hashes_and_logs_alone() -> None:
    value = {"block": {**RPC_BLOCK, "transactions": [TX]}, "logs": RECEIPT["logs"], "chain_id": 137}
    block = decode(json.dumps(value).encode()).block
    assert (block.chain_id, block.transactions[0].model_dump(exclude_none=True)) == (137, {"hash": TX, "index": 0})
    assert len(block.events) == 1


def test_a_transaction_that_names_no_chain_is_of_any() -> None:
    first = {"hash": TX, "transactionIndex": "0x3", "chainId": "0x0"}
    value = {"block": {**RPC_BLOCK, "transactions": [first]}, "receipts": [RECEIPT], "chain_id": 10}
    assert decode(json.dumps(value).encode()).block.chain_id == 10


GOOD = json.loads(raw(transfer_of(USDC, ALICE, BOB, 1)))


@pytest.mark.parametrize(
    "value, message",
    [
        (b"{", "not JSON"),
        (b"[]", "a list where an object"),
        (b"{}", "neither `schema`"),
        ({**GOOD, "schema": "mev-block/9"}, 'schema: "mev-block/9" is none of the allowed values; give one of: mev-block/1'),
        ({**GOOD, "number": None}, "number: null is not an integer; give a whole number"),
        ({name: GOOD[name] for name in GOOD if name != "chain_id"}, "chain_id: it is missing; give a value"),
        ({**GOOD, "logs": [{**GOOD["logs"][0], "address": "0x12"}]}, 'logs.0.address: "0x12" does not .*; give an address'),
        ({**GOOD, "logs": [{**GOOD["logs"][0], "data": "0x1"}]}, 'logs.0.data: "0x1" does not .*; give whole bytes'),
        ({**GOOD, "logs": [{**GOOD["logs"][0], "logIndex": 7}]}, "logs.0.logIndex: 7 is not text"),
        ({**GOOD, "logs": [{**GOOD["logs"][0], "logIndex": "7"}]}, 'logIndex: "7" does not .*; give a hex quantity'),
        ({**GOOD, "logs": [{**GOOD["logs"][0], "logIndex": "0x" + "f" * 20}]}, "logs.0.logIndex: .*; give a hex quantity below"),
        ({**GOOD, "transactions": [{"hash": "0x1", "index": 0}]}, 'transactions.0.hash: "0x1" does not .*; give a hash'),
        ({**GOOD, "logs": [{}] * 3}, "and 13 more"),
        ({"block": RPC_BLOCK}, "neither `receipts` nor `logs`"),
        ({"block": {**RPC_BLOCK, "transactions": []}, "logs": []}, "chain_id: no transaction tells it"),
        ({"block": {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000}}}, "block: the node answered"),
        ({"block": rpc(None), "logs": []}, "block: the node answered null"),
    ],
)  # fmt: skip
def test_malformed_blocks_name_the_field_and_the_fix(value: Any, message: str) -> None:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(Malformed, match=f"(?s)^a.json: .*{message}"):
        decode(data, "a.json")


def test_units_are_exact() -> None:
    raws = [("1500000", 6), ("5", 18), ("0", 18), ("-25", 1), ("7", 0), ("1" + "0" * 77, 18)]
    assert [units(*raw) for raw in raws] == [
        "1.5", "0.000000000000000005", "0", "-2.5", "7", "1" + "0" * 59,
    ]  # fmt: skip
