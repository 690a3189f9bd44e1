"""MEV detectors, one file a kind. Each is a pure function of a block and one line of `DETECTORS`.

What is over two blocks is found by `cross_block`, from what `look` keeps of each.
"""

from __future__ import annotations

from models.mev import arbitrage, backrun, frontrun, jit, liquidation, sandwich
from models.mev.base import Detector
from models.mev.trades import pack
from models.mev.view import View
from topics.schemas.chain import Block
from topics.schemas.mev import Finding
from topics.schemas.mev_trades import BlockTrades

DETECTORS: tuple[Detector, ...] = (
    sandwich.detect,
    liquidation.detect,
    jit.detect,
    arbitrage.detect,
    backrun.detect,
    frontrun.detect,
)
"""In this order: each is told what those before it found, so that nothing is said twice."""


MAX_RELATED = 32
"""So many findings that share a transaction are named; it bounds what a strange block can cause."""


def detect(block: Block) -> list[Finding]:
    """All findings of `block`, by kind and then in block order; none where the block is removed."""
    return [] if block.status == "removed" else _found(View(block))


def look(block: Block) -> tuple[list[Finding], BlockTrades]:
    """The same, and what is kept of the block for its neighbours."""
    view = View(block)
    found = [] if block.status == "removed" else _found(view)
    return found, pack(view, found)


def _found(view: View) -> list[Finding]:
    found: list[Finding] = []
    for detector in DETECTORS:
        found += detector(view, found)
    return _related(found)


def _related(found: list[Finding]) -> list[Finding]:
    """The findings, each with the ids of others that some of its own transactions are part of too."""
    by_hash: dict[str, list[str]] = {}
    for one in found:
        for hash in (*one.transactions, *one.front, *one.back):
            ids = by_hash.setdefault(hash, [])
            if len(ids) <= MAX_RELATED:
                ids.append(one.id)
    told = []
    for one in found:
        others = {id for hash in (*one.transactions, *one.front, *one.back) for id in by_hash[hash]} - {one.id}
        told.append(one.model_copy(update={"related": sorted(others)[:MAX_RELATED]}) if others else one)
    return told
