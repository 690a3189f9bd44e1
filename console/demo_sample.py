"""What the demo sends: real blocks, broken events and swap requests, and the sandwiches that others found in those blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from base.settings import ROOT
from console.produce import lines_of
from ingest.files import find_blocks, read_blocks
from topics.codecs import encode

BLOCKS = ROOT / "samples" / "blocks"
BROKEN = ROOT / "examples" / "broken.jsonl"
REQUESTS = ROOT / "samples" / "fraud" / "requests.jsonl"
EVERY = 5
"""So many of the sample's swap requests are left out for each that is sent."""
Pair = tuple[str, str, str]
"""A labelled sandwich: block, front and back transaction."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A sample block, ready to send."""

    id: str
    chain_id: int
    number: int
    events: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Sample:
    """Everything that the demo sends, and the sandwiches that others found in it."""

    blocks: dict[str, Sent]
    broken: list[bytes]
    labels: frozenset[Pair]
    requests: dict[str, bytes]
    """Swap requests, by the id that each is sent with."""

    @property
    def events(self) -> int:
        """How many events it holds, broken ones included."""
        return sum(block.events for block in self.blocks.values()) + len(self.broken)


def load(folder: Path = BLOCKS, broken: Path = BROKEN, requests: Path = REQUESTS) -> Sample:
    """Decode the sample blocks, and read what else is sent.

    Raises ingest.raw.Malformed when the folder holds none.
    """
    blocks = {}
    for decoded in read_blocks(folder):
        block = decoded.block
        id = f"{block.chain_id}:{block.number}"
        blocks[id] = Sent(id, block.chain_id, block.number, len(block.events), encode(block))
    with broken.open("rb") as lines:
        refused = [line for _, line in lines_of(lines)]
    asked = requests.read_bytes().splitlines()[::EVERY]
    named = {f"demo-{number}": line for number, line in enumerate(asked)}
    return Sample(blocks, refused, frozenset(_labels(folder)), named)


def _labels(folder: Path) -> Iterator[Pair]:
    for file in find_blocks(folder):
        expected = file.with_name("expected.json")
        if expected.exists():
            facts = json.loads(expected.read_text())
            for found in facts["sandwiches"]:
                front, back = found["frontrun_tx"], found["backrun_tx"]
                yield f"{facts.get('chain_id', 1)}:{facts['block_number']}", front.lower(), back.lower()
