"""blocks: chain.blocks → the BLOCKS table, each block without its events, and the GAS table, what gas costs by days."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median_low

from agents.agent import Agent, Record, Result, RowName, Rows
from models.chain import gas, reserves
from models.mev.base import unix_time
from tables.registry import BLOCKS, BLOCKS_BY_CHAIN, GAS, BlockRow, GasRow
from tables.rows import Pointer, Row
from topics.registry import CHAIN_BLOCKS
from topics.schemas.chain import Block


def keys(batch: Sequence[Record]) -> list[RowName]:
    """The days of the batch's blocks, once each."""
    return list(dict.fromkeys((GAS, day) for record in batch if (day := _day(record.value)) is not None))


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
        told = [vars(event) for event in block.events if event.event_type in reserves.COMPARED]
        warned = Counter(fault.code for fault in reserves.warnings(told).values())
        result.rows.append(_row(key, block, warned))
        result.warned += warned
    result.rows += _gas(newest.values(), rows)
    return result


def _day(block: Block) -> str | None:
    """The key of a block's day; None where its time is not known."""
    at = unix_time(block)
    return None if at is None else f"{block.chain_id}:{at // gas.DAY_S}"


def _gas(blocks: Iterable[Block], rows: Rows) -> list[Row]:
    """The days that these blocks change."""
    days: dict[str, tuple[gas.Day, int]] = {}
    changed: dict[str, Row] = {}
    for block in blocks:
        if (key := _day(block)) is None:
            continue
        if key not in days:
            row = rows.get((GAS, key))
            days[key] = (
                (gas.Day(dict(row.bins), row.folded, list(row.kept)), row.revision)
                if isinstance(row, GasRow)
                else (gas.Day(), -1)
            )
        day, revision = days[key]
        if day.take(block.number, block.revision, _price(block)):
            revision = max(revision + 1, block.revision)
            days[key] = day, revision
            told = GasRow(
                chain_id=block.chain_id,
                day=int(key.rpartition(":")[2]),
                revision=revision,
                bins=day.bins,
                folded=day.folded,
                kept=day.kept,
            )
            changed[key] = Row(GAS, key, revision, told)
    return list(changed.values())


def _price(block: Block) -> gas.Bin:
    """The bin of the median that its transactions paid."""
    if block.status == "removed":
        return None
    prices = [one.gas_price_wei for one in block.transactions if one.gas_price_wei is not None]
    return gas.bin_of(median_low(prices) if prices else None)


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


AGENT = Agent("blocks", CHAIN_BLOCKS, handle, keys, own=(BLOCKS, GAS))
