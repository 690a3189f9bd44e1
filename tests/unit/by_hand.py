"""Blocks written by hand: short names for addresses, hashes and swaps."""

from __future__ import annotations

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


def block(*events: dict[str, Any], senders: dict[str, tuple[str, str | None]] | None = None, **more: Any) -> Block:
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
