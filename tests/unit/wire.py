"""Values of chain.events written by hand, and the records that carry them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agents.agent import DeadLetter, Output, Record, Written
from topics.headers import Headers, get

NOW = 1_800_000_000.0
"""Our clock in tests: after every time in them."""
TIME = 1_693_065_600
"""2023-08-26T16:00:00Z, about the time of block 18,000,000."""
NUMBER = 18_000_000
WETH, USDC, DAI = "0x" + "c0" * 20, "0x" + "a0" * 20, "0x" + "6b" * 20
TRACE = b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"
ALICE, BOB, POOL = "0x" + "a1" * 20, "0x" + "b0" * 20, "0x" + "9f" * 20


def tx(number: int) -> str:
    """The hash of a made-up transaction."""
    return f"0x{number:064x}"


def swap(number: int = NUMBER, /, **more: Any) -> dict[str, Any]:
    """A valid swap that comes alone; a field given as None is left out."""
    event = {
        "event_id": "e1",
        "event_type": "swap",
        "timestamp": TIME,
        "block_number": number,
        "transaction_hash": tx(1),
        "contract_address": POOL,
        "from_address": ALICE,
        "to_address": BOB,
        "token_in": WETH,
        "token_out": USDC,
        "amount_in": "1.5",
        "amount_out": "3000",
        "gas_used": 120_000,
        "gas_price": "30",
        "transaction_index": 0,
        "log_index": 0,
    }
    return {k: v for k, v in {**event, **more}.items() if v is not None}


def transfer(number: int = NUMBER, /, **more: Any) -> dict[str, Any]:
    """A valid transfer that comes alone."""
    none = {"token_out": None, "amount_out": None}
    return swap(number, **{"event_type": "transfer", "contract_address": WETH, **none, **more})


def inside(event: dict[str, Any]) -> dict[str, Any]:
    """The event as it stands in an envelope, which says its block and time."""
    return {k: v for k, v in event.items() if k not in ("block_number", "timestamp", "chain_id")}


def transaction(number: int, **more: Any) -> dict[str, Any]:
    """A valid transaction of an envelope."""
    return {
        "hash": tx(number),
        "index": number,
        "from_address": ALICE,
        "to_address": BOB,
        "value_wei": "5",
        "gas_limit": 50_000,
        "gas_used": 21_000,
        "gas_price_wei": 30 * 10**9,
        "selector": "0x",
        "status": 1,
        **more,
    }


def envelope(*events: Any, number: int = NUMBER, status: str = "complete", **more: Any) -> dict[str, Any]:
    """A block envelope of `events` as they are."""
    head = {"chain_id": 1, "number": number, "status": status, "revision": 0, "timestamp": TIME}
    return {**head, "events": list(events), **more}


def encoded(value: Any) -> bytes:
    """The value's bytes; bytes are taken as they are."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def records(values: Sequence[Any], first: int = 0, partition: int = 0, headers: Headers | None = None) -> list[Record]:
    """Values as records of chain.events, from offset `first` on."""
    return [
        Record("chain.events", partition, first + place, b"1", list(headers or []), encoded(value), None)
        for place, value in enumerate(values)
    ]


def decoded(outputs: Sequence[Output]) -> list[dict[str, Any]]:
    """The values of outputs, parsed."""
    return [json.loads(output.value) for output in outputs]


def letter_id(letter: DeadLetter) -> tuple[int, str | None]:
    """What makes a dead letter itself within its partition."""
    return letter.record.offset, letter.index


def written(*outputs: Output) -> list[Written]:
    """Outputs as a restart reads them back."""
    return [Written((get(one.headers, "ce_id") or b"").decode(), one.headers, one.value) for one in outputs]
