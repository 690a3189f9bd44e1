"""Blocks written by hand: short names for addresses, hashes and swaps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from topics.schemas.chain import Block


def address(name: str) -> str:
    """A made-up address that reads as its name in hex."""
    return "0x" + name.encode().hex().rjust(40, "0")[-40:]


def hash_of(name: str) -> str:
    """A made-up transaction hash."""
    return "0x" + name.encode().hex().rjust(64, "0")[-64:]


X, Y, Z = address("x"), address("y"), address("z")
POOL = address("pool")


def swap(tx: str, index: int, sold: str, bought: str, paid: int, got: int, **more: Any) -> dict[str, Any]:
    """One swap in `POOL` by the transaction called `tx`; its log index follows from its transaction's."""
    return {
        "event_type": "swap",
        "transaction_hash": hash_of(tx),
        "transaction_index": index,
        "log_index": index * 10,
        "pool": POOL,
        "protocol": "uniswap_v2",
        "token_in": sold,
        "token_out": bought,
        "amount_in_raw": str(paid),
        "amount_out_raw": str(got),
        **more,
    }


def block(*events: dict[str, Any], senders: Mapping[str, tuple[str, str | None]] | None = None, **more: Any) -> Block:
    """A block of `events`; `senders` says for each transaction's name who signed it and what it called."""
    indexes = {event["transaction_hash"]: event.get("transaction_index") for event in events}
    transactions = [
        {
            "hash": hash_of(tx),
            "index": indexes.get(hash_of(tx)) or 0,
            "from_address": address(signed),
            "to_address": address(called) if called else None,
        }
        for tx, (signed, called) in (senders or {}).items()
    ]
    envelope = {"chain_id": 1, "number": 7, "status": "complete", "revision": 1, **more}
    return Block.model_validate({**envelope, "events": list(events), "transactions": transactions})


def mint(tx: str, index: int, **more: Any) -> dict[str, Any]:
    """Liquidity added to `POOL` between ticks 0 and 10 by the address called `lp`."""
    return {
        "event_type": "mint",
        "transaction_hash": hash_of(tx),
        "transaction_index": index,
        "log_index": index * 10,
        "pool": POOL,
        "protocol": "uniswap_v3",
        "owner": address("lp"),
        "token0": X,
        "token1": Y,
        "tick_lower": 0,
        "tick_upper": 10,
        "liquidity": "1000",
        "amount0_raw": "500",
        "amount1_raw": "500",
        **more,
    }


def burn(tx: str, index: int, **more: Any) -> dict[str, Any]:
    """The same removed."""
    return {**mint(tx, index), "event_type": "burn", **more}


def sync(tx: str, index: int, reserve0: int, reserve1: int, **more: Any) -> dict[str, Any]:
    """`POOL`'s reserves after a change."""
    return {
        "event_type": "sync",
        "transaction_hash": hash_of(tx),
        "transaction_index": index,
        "log_index": index * 10,
        "pool": POOL,
        "reserve0_raw": str(reserve0),
        "reserve1_raw": str(reserve1),
        **more,
    }


def transfer(tx: str, index: int, token: str, source: str, target: str, amount: int, **more: Any) -> dict[str, Any]:
    """Tokens moved."""
    return {
        "event_type": "transfer",
        "transaction_hash": hash_of(tx),
        "transaction_index": index,
        "log_index": index * 10,
        "token_in": token,
        "from_address": source,
        "to_address": target,
        "amount_in_raw": str(amount),
        **more,
    }


def liquidation(tx: str, index: int, **more: Any) -> dict[str, Any]:
    """A loan of 100 X closed for 110 Y by the address called `keeper`."""
    return {
        "event_type": "liquidation",
        "transaction_hash": hash_of(tx),
        "transaction_index": index,
        "log_index": index * 10,
        "protocol": "aave_v2",
        "contract_address": address("market"),
        "from_address": address("keeper"),
        "to_address": address("debtor"),
        "token_in": X,
        "token_out": Y,
        "amount_in_raw": "100",
        "amount_out_raw": "110",
        **more,
    }
