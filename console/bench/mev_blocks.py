"""The blocks that `soba bench mev` sends: the sample blocks over and over, each time as another block of the same chain."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from base.settings import ROOT
from ingest.files import find_blocks, read_blocks
from models.mev import detect
from topics import codecs
from topics.schemas.chain import Block

SAMPLES = ROOT / "samples" / "blocks"
CHAIN = 1
FIRST_BLOCK = 30_000_000
FIRST_TIME = 1_700_000_000
"""In the past, whenever it is run: validate takes nothing from the future."""
_hash = re.compile(rb"0x[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Sent:
    """A block as a record of chain.events, and what must come of it."""

    number: int
    value: bytes
    transactions: int
    findings: frozenset[str]
    """Their ids."""


def files() -> list[Path]:
    """The sample blocks as they were fetched."""
    return find_blocks(SAMPLES)


@cache
def _samples() -> tuple[Block, ...]:
    return tuple(found.block for found in read_blocks(SAMPLES))


def cycle() -> tuple[int, int, int]:
    """How many blocks, transactions and findings the samples hold."""
    blocks = _samples()
    found = sum(len(detect(block)) for block in blocks)
    return len(blocks), sum(len(block.transactions) for block in blocks), found


def blocks(count: int) -> Iterator[Sent]:
    """So many complete blocks, one behind the other; no transaction has a hash that another block has."""
    samples = _samples()
    for place in range(count):
        sample = samples[place % len(samples)]
        number = FIRST_BLOCK + place
        block = sample.model_copy(
            update={
                "chain_id": CHAIN,
                "number": number,
                "status": "complete",
                "timestamp": FIRST_TIME + 12 * place,
                "hash": f"0x{number:064x}",
                "parent_hash": f"0x{number - 1:064x}",
            }
        )
        known = {one.hash.lower().encode() for one in block.transactions}
        mark = b"%08x" % place
        value = _hash.sub(
            lambda told, known=known, mark=mark: told[0][:2] + mark + told[0][10:] if told[0] in known else told[0],  # type: ignore[misc]
            codecs.encode(block),
        )
        found = frozenset(one.id for one in detect(Block.model_validate_json(value)))
        yield Sent(number, value, len(block.transactions), found)
