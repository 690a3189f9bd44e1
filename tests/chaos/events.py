"""What the chaos tests produce: real blocks with everything that can happen to blocks, the same for every chain id."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, cast

import orjson

from ingest.files import read_blocks
from models.mev import detect
from tests.unit.by_hand import POOL, X, Y, Z, address, burn, liquidation, mint, swap
from tests.unit.by_hand import block as made
from topics.schemas.chain import Block

SAMPLES = Path(__file__).parents[2] / "samples" / "blocks"
WHOLE = ("11017338", "12412732", "12775690", "13234998", "13666326", "17073191", "18100000")
IN_PIECES = ("12674514", "13323642")
ORDER = (*WHOLE[:4], *IN_PIECES, *WHOLE[4:])
"""As they come, numbered from 1,001 on."""
OVER = address("over")
"""The pool of sandwiches over two blocks."""
FIRST_TIME = 1_700_000_000
REMOVED = 1_003
"""The block that is removed for good. It has a finding of every kind, as all have."""
CHANGES = 7
"""So many records at the end change blocks that were told before, or are none."""


def records(chain_id: int) -> list[bytes]:
    """Values for chain.events: complete and assembled blocks, arrays, duplicates, faults, a removal, forks, late events."""
    blocks = samples()
    out: list[Any] = []
    number = 1_000
    for name in ORDER:
        number += 1
        block = {**blocks[name], "chain_id": chain_id, "number": number, "timestamp": FIRST_TIME + number * 1_200}
        block["hash"] = block_hash(chain_id, number, 0)
        if name in WHOLE:
            broken = {**block["events"][0], "amount_in_raw": "-5"}
            out.append({**block, "events": [*block["events"], broken]})
        else:
            singles = [alone(event, block) for event in block["events"]]
            out += [*singles[:20], singles[20:], singles[0], {**singles[1], "amount_in_raw": "123456789"}]
            out.append({**singles[2], "block_hash": block_hash(chain_id, number, 9)})
    last = {**blocks[WHOLE[0]], "chain_id": chain_id, "number": 1_002, "timestamp": FIRST_TIME + 1_002 * 1_200}
    removed = {
        "chain_id": chain_id,
        "number": 1_002,
        "status": "removed",
        "hash": block_hash(chain_id, 1_002, 0),
        "events": [],
    }
    # The second block goes, and another fork's comes in its place; the third goes for good; the fifth is completed late.
    out += [removed, {**last, "hash": block_hash(chain_id, 1_002, 1)}]
    out.append({**removed, "number": REMOVED, "hash": block_hash(chain_id, REMOVED, 0)})
    fifth = blocks[IN_PIECES[0]]
    out.append(
        {
            **fifth,
            "chain_id": chain_id,
            "number": 1_005,
            "timestamp": FIRST_TIME + 1_005 * 1_200,
            "hash": block_hash(chain_id, 1_005, 0),
        }
    )
    out += [
        alone(
            blocks[WHOLE[6]]["events"][0],
            {**removed, "number": 1_006, "timestamp": FIRST_TIME + 1_006 * 1_200},
            hash=False,
        )
    ]
    return [orjson.dumps(value) for value in out] + [b"{not json", b'{"event_type": "swap"}']


@functools.cache
def _sandwich() -> dict[str, Any]:
    """The transactions of one real sandwich, as a block that has no others."""
    (real,) = (found.block for found in read_blocks(SAMPLES / "ethereum-18100010-real"))
    (found,) = (one for one in detect(real) if one.kind == "sandwich")
    part = set(found.named())
    whole = orjson.loads(real.model_dump_json(exclude_none=True))
    whole["events"] = [one for one in whole["events"] if one["transaction_hash"] in part]
    whole["transactions"] = [one for one in whole["transactions"] if one["hash"] in part]
    return cast(dict[str, Any], whole)


def sandwich(chain_id: int, number: int) -> bytes:
    """A small complete block with one sandwich."""
    head = {
        "chain_id": chain_id,
        "number": number,
        "timestamp": FIRST_TIME + number,
        "hash": block_hash(chain_id, number, 0),
    }
    return orjson.dumps({**_sandwich(), **head})


def alone(event: dict[str, Any], block: dict[str, Any], hash: bool = True) -> dict[str, Any]:
    """An event of a block as it comes by itself."""
    whole = {**event, "chain_id": block["chain_id"], "block_number": block["number"], "timestamp": block["timestamp"]}
    return {**whole, "block_hash": block["hash"]} if hash else whole


def block_hash(chain_id: int, number: int, fork: int) -> str:
    """The hash of a block: another one on each fork."""
    return f"0x{chain_id:020x}{number:020x}{fork:024x}"


@functools.cache
def samples() -> dict[str, Any]:
    """The blocks by number, decoded once."""
    blocks = (found.block for found in read_blocks(SAMPLES))
    found = {
        str(block.number): orjson.loads(block.model_dump_json(exclude_none=True))
        for block in blocks
        if str(block.number) in (*WHOLE, *IN_PIECES)
    }
    for place, name in enumerate(ORDER):
        for more in (of_every_kind(place), held(place)):
            told = orjson.loads(more.model_dump_json(exclude_none=True))
            found[name]["events"] += told["events"]
            found[name]["transactions"] += told["transactions"]
    return found


def held(place: int) -> Block:
    """Legs of sandwiches over two blocks in the block of this place: the back of one, the front of another, and a victim."""
    here, there = (("odd", "c5"), ("even", "c6"))[:: 1 if place % 2 else -1]
    before, size = (1 + one // 2 % 2 for one in (place - 1, place))
    legs = [
        swap(f"ended {place}", 900, Y, X, 1_000_000 * before, 110_000 * before, pool=OVER),
        swap(f"opened {place}", 920, X, Y, 100_000 * size, 1_000_000 * size, pool=OVER),
        swap(f"drawn {place}", 921, X, Y, 5_000, 40_000, pool=OVER),
    ]
    senders: dict[str, tuple[str, str | None]] = {"ended": there, "opened": here, "drawn": ("holder", None)}
    return made(*legs, senders={f"{name} {place}": who for name, who in senders.items()})


def of_every_kind(place: int) -> Block:
    """A block by hand with a finding of each kind, behind the transactions of any real one."""
    sandwich, cycle, other, late = POOL, address("cycle"), address("other"), address("late")
    legs = [
        swap(f"front {place}", 901, X, Y, 100_000, 1_000_000, pool=sandwich),
        swap(f"caught {place}", 902, X, Y, 5_000, 40_000, pool=sandwich),
        swap(f"back {place}", 903, Y, X, 1_000_000, 110_000, pool=sandwich),
        # Somebody trades, a cycle follows against the price that it left, and another is too late for the same.
        swap(f"moved {place}", 904, X, Z, 200_000, 1_600_000, pool=cycle),
        swap(f"first {place}", 905, X, Z, 100_000, 1_000_000, pool=other, log_index=9050),
        swap(f"first {place}", 905, Z, X, 1_000_000, 110_000, pool=cycle, log_index=9051),
        swap(f"late {place}", 909, X, Z, 100_000, 1_000_000, pool=other, log_index=9090),
        swap(f"late {place}", 909, Z, X, 1_000_000, 104_000, pool=cycle, log_index=9091),
        mint(f"added {place}", 911, pool=late),
        swap(f"served {place}", 912, X, Y, 50, 400, tick=5, pool=late, protocol="uniswap_v3"),
        burn(f"removed {place}", 913, pool=late, amount0_raw="550", amount1_raw="110"),
        liquidation(f"closed {place}", 914),
    ]
    people: dict[str, tuple[str, str | None]] = {
        "front": ("bot", "c1"), "caught": ("victim", None), "back": ("bot", "c1"), "moved": ("trader", None),
        "first": ("second", "c2"), "late": ("third", "c3"), "added": ("giver", "c4"), "served": ("taker", None),
        "removed": ("giver", "c4"), "closed": ("boss", "keeper"),
    }  # fmt: skip
    return made(*legs, senders={f"{name} {place}": who for name, who in people.items()})
