"""Logs written by hand, the block around them, and what the decoder makes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from eth_hash.auto import keccak

from ingest.decode import Decoded, decode

USDC, WETH = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
V2_PAIR, V3_POOL = "0xb4e16d0168e52d35cacd2c6185b44281ec28c9dc", "0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640"
ALICE, BOB = "0x" + "a1" * 20, "0x" + "B2" * 20
TX = "0x" + "11" * 32
POOLS = {pool: {"protocol": kind, "token0": USDC, "token1": WETH} for pool, kind in
         ((V2_PAIR, "uniswap_v2"), (V3_POOL, "uniswap_v3"))}  # fmt: skip


def topic0(signature: str) -> str:
    return "0x" + keccak(signature.encode()).hex()


def word(value: int | str) -> str:
    return value[2:].rjust(64, "0") if isinstance(value, str) else f"{value % 2**256:064x}"


def log(
    address: str, signature: str, topics: Sequence[int | str], data: Sequence[int | str], **more: Any
) -> dict[str, Any]:
    return {
        "address": address,
        "topics": [topic0(signature), *("0x" + word(topic) for topic in topics)],
        "data": "0x" + "".join(word(value) for value in data),
        "transactionHash": TX,
        "transactionIndex": "0x3",
        "logIndex": "0x7",
        **more,
    }


def raw(*logs: dict[str, Any], **more: Any) -> bytes:
    transactions = [{"hash": TX, "index": 3, "from": ALICE, "to": BOB}]
    block = {"schema": "mev-block/1", "chain_id": 1, "number": 5, "transactions": transactions, "logs": list(logs)}
    return json.dumps({**block, "pools": POOLS, **more}).encode()


def event(*logs: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The only event of a block, without what all have in common."""
    decoded = decode(raw(*logs, **more))
    (one,) = decoded.block.events
    shared = {"transaction_hash", "transaction_index", "log_index", "contract_address"}
    assert (one.transaction_hash, one.transaction_index, one.log_index) == (TX, 3, 7)
    return one.model_dump(exclude_none=True, exclude=shared)


def undecoded(*logs: dict[str, Any], **more: Any) -> dict[str, int]:
    decoded: Decoded = decode(raw(*logs, **more))
    assert not decoded.block.events
    return dict(decoded.undecoded)


def transfer_of(token: str, source: str, target: str, amount: int) -> dict[str, Any]:
    return log(token, "Transfer(address,address,uint256)", [source, target], [amount])


def rpc(result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": result}
