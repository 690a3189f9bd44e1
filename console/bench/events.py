"""The input of `soba bench firehose`: blocks of 200 events with planted faults, the same ones for everybody and every time.

Each block is made from its number alone. Four of its events are bad, so that a count of blocks or of records is a count of events;
over the blocks every fault of a list takes its turn.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
from eth_hash.auto import keccak

from base.settings import ROOT

BLOCK_EVENTS = 200
BLOCK_BAD = 4
BLOCK_GOOD = BLOCK_EVENTS - BLOCK_BAD
FIRST_BLOCK, FIRST_TIME, SLOT_S = 17_000_000, 1_680_911_891, 12
POOLS, WALLETS = 200, 5_000
SHAPES = {False: ROOT / "benchmarks" / "event.json", True: ROOT / "benchmarks" / "event-checksummed.json"}

# Swaps and transfers are most of a chain's traffic.
MIX = ("swap",) * 12 + ("transfer",) * 5 + ("sync", "mint", "burn", "deposit", "withdrawal", "collect", "liquidation")

FAR_FUTURE = 4_102_444_800
WRONG_CHECKSUM = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD"
TOKEN = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"


@dataclass(frozen=True, slots=True)
class Planted:
    """A fault: `changes` to a good event of `event_type` (None: the field is left out), and the reason it must be refused for."""

    event_type: str
    changes: dict[str, Any]
    reason: str
    raw: Callable[[bytes], bytes] | None = None
    """Breaks the bytes instead."""


SCHEMA_FAULTS = (
    Planted("swap", {"event_type": "teleport"}, "unknown_event_type"),
    Planted("swap", {"event_type": None}, "missing_field"),
    Planted("swap", {"transaction_hash": None}, "missing_field"),
    Planted("swap", {"token_in": None}, "missing_field"),
    Planted("sync", {"reserve0_raw": None}, "missing_field"),
    Planted("swap", {"transaction_hash": "0x8f"}, "hash_form"),
    Planted("transfer", {"from_address": "0x12"}, "address_form"),
    Planted("mint", {"contract_address": 5}, "address_form"),
    Planted("swap", {"gas_used": "many"}, "wrong_type"),
    Planted("swap", {"block_number": -1}, "wrong_value"),
    Planted("transfer", {"amount_in": "ten"}, "wrong_value"),
    Planted("liquidation", {"timestamp": "yesterday"}, "wrong_type"),
)
"""What the schema alone refuses, wherever the event stands."""

RULE_FAULTS = (
    Planted("swap", {"timestamp": FAR_FUTURE}, "future_time"),
    Planted("transfer", {"timestamp": 0}, "future_time"),
    Planted("swap", {"gas_used": -1}, "gas_limit"),
    Planted("sync", {"gas_price": "-0.1"}, "gas_limit"),
    Planted("swap", {"gas_price": "1e10"}, "gas_limit"),
    Planted("swap", {"event_id": None}, "missing_field"),
    Planted("swap", {"amount_in": None}, "missing_field"),
    Planted("swap", {"amount_out": None}, "missing_field"),
    Planted("transfer", {"to_address": None}, "missing_field"),
    Planted("withdrawal", {"contract_address": None, "token_in": None}, "missing_field"),
    Planted("burn", {"contract_address": None}, "missing_field"),
    Planted("liquidation", {"from_address": None}, "missing_field"),
    Planted("swap", {"amount_in": "0"}, "amount_positive"),
    Planted("swap", {"amount_out": "-1"}, "amount_positive"),
    Planted("transfer", {"amount_in": "-1"}, "amount_negative"),
    Planted("deposit", {"amount_in": "-1"}, "amount_negative"),
    Planted("sync", {"reserve1_raw": "-1"}, "amount_negative"),
    Planted("collect", {"amount1_raw": "-5"}, "amount_negative"),
    Planted("swap", {"token_in": "0x12"}, "address_form"),
    Planted("sync", {"token0": "0x" + "_1" * 20}, "address_form"),
    Planted("swap", {"token_in": TOKEN, "token_out": TOKEN}, "same_token"),
    Planted("swap", {"token_in": "weth", "token_out": "WETH"}, "same_token"),
    Planted("swap", {"from_address": WRONG_CHECKSUM}, "address_checksum"),
    Planted("transfer", {"token_in": WRONG_CHECKSUM}, "address_checksum"),
)

ALONE_FAULTS = (
    Planted("swap", {"block_number": None}, "missing_field"),
    Planted("transfer", {"timestamp": None}, "missing_field"),
    Planted("swap", {}, "malformed_json", lambda raw: raw[:-1]),
    Planted("swap", {}, "malformed_json", lambda raw: raw.replace(b":", b"=", 1)),
    Planted("swap", {}, "wrong_type", lambda raw: b"17"),
)
"""Faults of an event that is a record of its own; inside an envelope they are none, or break all of it."""

INSIDE_FAULTS = (
    Planted("swap", {"block_number": 1}, "wrong_block"),
    Planted("transfer", {"chain_id": 424_242}, "wrong_block"),
    Planted("swap", {"block_hash": "0x" + "f2" * 32}, "wrong_block"),
)

SINGLE = (*SCHEMA_FAULTS, *RULE_FAULTS, *ALONE_FAULTS)
INSIDE = (*SCHEMA_FAULTS, *RULE_FAULTS, *INSIDE_FAULTS)


@dataclass(frozen=True, slots=True)
class BlockOf200:
    """The events of one block, in order; `reasons` says of each why it must be refused, or None."""

    chain_id: int
    number: int
    values: list[bytes]
    reasons: list[str | None]

    @property
    def timestamp(self) -> int:
        """The block's time."""
        return FIRST_TIME + (self.number - FIRST_BLOCK) * SLOT_S

    def envelope(self) -> bytes:
        """All of it as one record."""
        head = b'{"chain_id":%d,"number":%d,"status":"complete","hash":"0x%s","timestamp":%d,"events":[' % (
            self.chain_id, self.number, b"f1" * 32, self.timestamp,
        )  # fmt: skip
        return head + b",".join(self.values) + b"]}"


def blocks(
    count: int, *, checksummed: bool = False, chain_id: int = 1, faults: Sequence[Planted] = SINGLE
) -> Iterator[BlockOf200]:
    """`count` blocks from `FIRST_BLOCK` on; `faults` are planted in turn."""
    templates = _templates(checksummed)
    pools, wallets = _addresses(checksummed)
    end = b"}" if chain_id == 1 else b',"chain_id":%d}' % chain_id
    for index in range(count):
        number, time = FIRST_BLOCK + index, b"%d" % (FIRST_TIME + index * SLOT_S)
        rng = random.Random(chain_id << 32 | index)
        hashes, pick = rng.randbytes(32 * BLOCK_EVENTS).hex().encode(), rng.random
        step = BLOCK_EVENTS // BLOCK_BAD
        bad = {place * step + int(pick() * step): index * BLOCK_BAD + place for place in range(BLOCK_BAD)}
        values: list[bytes] = []
        reasons: list[str | None] = [None] * BLOCK_EVENTS
        for place in range(BLOCK_EVENTS):
            turn = bad.get(place)
            fault = None if turn is None else faults[turn % len(faults)]
            kind = MIX[int(pick() * len(MIX))] if fault is None else fault.event_type
            value = templates[kind] % (
                b"evt-%d-%d" % (number, place),
                time,
                b"%d" % number,
                hashes[64 * place : 64 * place + 64],
                pools[int(pick() * POOLS)],
                wallets[int(pick() * WALLETS)],
                wallets[int(pick() * WALLETS)],
            )
            value += end
            if fault is not None:
                value, reasons[place] = _broken(value, fault), fault.reason
            values.append(value)
        yield BlockOf200(chain_id, number, values, reasons)


def _broken(value: bytes, fault: Planted) -> bytes:
    if fault.raw is not None:
        return fault.raw(value)
    event = {**orjson.loads(value), **fault.changes}
    return orjson.dumps({name: content for name, content in event.items() if content is not None})


_VARYING = (
    "event_id",
    "timestamp",
    "block_number",
    "transaction_hash",
    "contract_address",
    "from_address",
    "to_address",
)


@cache
def _templates(checksummed: bool) -> dict[str, bytes]:
    """By event type the bytes of an event without its last brace, with a `%s` for each of `_VARYING`."""
    out = {}
    for shape in json.loads(SHAPES[checksummed].read_text()):
        before = {name: shape.pop(name) for name in ("event_id", "event_type", *_VARYING[1:])}
        text = '{"event_id":"%s","event_type":"' + before["event_type"] + '","timestamp":%s,"block_number":%s,'
        text += '"transaction_hash":"0x%s","contract_address":"%s","from_address":"%s","to_address":"%s",'
        out[before["event_type"]] = text.encode() + orjson.dumps(shape)[1:-1]
    return out


@cache
def _addresses(checksummed: bool) -> tuple[list[bytes], list[bytes]]:
    rng = random.Random(4)
    form = checksum if checksummed else str
    made = [form("0x" + rng.randbytes(20).hex()).encode() for _ in range(POOLS + WALLETS)]
    return made[:POOLS], made[POOLS:]


def checksum(address: str) -> str:
    """EIP-55, written here once more so that the rule is not judged by itself."""
    digest = keccak(address[2:].encode()).hex()
    return "0x" + "".join(c.upper() if int(d, 16) >= 8 else c for c, d in zip(address[2:], digest, strict=False))
