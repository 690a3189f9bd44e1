"""blocks: chain.blocks → the BLOCKS table, each block without its events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agents.agent import Agent, Record, Result, Rows
from models.chain import reserves
from models.mev.base import unix_time
from tables.registry import BLOCKS, BLOCKS_BY_CHAIN, BlockRow
from tables.rows import Pointer, Row
from topics.registry import CHAIN_BLOCKS
from topics.schemas.chain import Block


def handle(batch: Sequence[Record], rows: Rows) -> Result:
    """One row a block; the table itself refuses an older revision.

    What is odd about events beside each other is looked for here: by now their block is there as a whole, and nobody waits for
    it as the next block waits for validate.
    """
    newest: dict[str, Block] = {}
    for record in batch:
        block: Block = record.value
        key = f"{block.chain_id}:{block.number}"
        if key not in newest or newest[key].revision <= block.revision:
            newest[key] = block
    result = Result()
    for key, block in newest.items():
        warned = Counter(fault.code for fault in reserves.warnings([vars(event) for event in block.events]).values())
        result.rows.append(_row(key, block, warned))
        result.warned += warned
    return result


def _row(key: str, block: Block, warned: Counter[str]) -> Row:
    value = BlockRow(
        chain_id=block.chain_id,
        number=block.number,
        revision=block.revision,
        status=block.status,
        hash=block.hash,
        parent_hash=block.parent_hash,
        timestamp=unix_time(block),
        base_fee=block.base_fee,
        miner=block.miner,
        transactions=len(block.transactions),
        events=dict(sorted(Counter(event.event_type for event in block.events).items())),
        rejected=block.rejected,
        warnings=dict(warned),
    )
    return Row(BLOCKS, key, block.revision, value, (Pointer(BLOCKS_BY_CHAIN, str(block.chain_id), block.number),))


AGENT = Agent("blocks", CHAIN_BLOCKS, handle, own=(BLOCKS,))
