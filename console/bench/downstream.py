"""A Faust agent after validate, as a detector would be: read rows, a trivial model, write rows, one output a block."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence

import orjson

from agents import app
from agents.agent import Agent, Output, Record, Result, RowName, Rows
from console.bench.events import blocks
from models.mev.base import unix_time
from tables.registry import BLOCKS, BlockRow
from tables.rows import Row
from topics.headers import cloud_event
from topics.registry import ALERTS, CHAIN_BLOCKS
from topics.schemas.chain import Block

NAME = "bench"


def keys(batch: Sequence[Record]) -> list[RowName]:
    """The rows that `handle` reads."""
    return [(BLOCKS, _key(record.value)) for record in batch]


def handle(batch: Sequence[Record], rows: Rows) -> Result:
    """Count each block's events by type: the row, unless a newer one is there, and a record that says how many swaps."""
    result = Result()
    for record in batch:
        block: Block = record.value
        key, known = _key(block), rows[(BLOCKS, _key(block))]
        if isinstance(known, BlockRow) and known.revision > block.revision:
            continue
        counts = Counter(event.event_type for event in block.events)
        value = BlockRow(
            chain_id=block.chain_id,
            number=block.number,
            revision=block.revision,
            status=block.status,
            timestamp=unix_time(block),
            transactions=len(block.transactions),
            events=dict(counts),
            rejected=block.rejected,
        )
        result.rows.append(Row(BLOCKS, key, block.revision, value))
        headers = cloud_event(f"{key}:{block.revision}", NAME, "soba.bench")
        result.outputs.append(Output(ALERTS.name, key.encode(), orjson.dumps({"swaps": counts["swap"]}), headers))
    return result


def _key(block: Block) -> str:
    return f"{block.chain_id}:{block.number}"


AGENT = Agent(NAME, CHAIN_BLOCKS, handle, keys, own=(BLOCKS,))


def valid_blocks(count: int) -> Iterator[tuple[str, bytes]]:
    """What validate makes of the first `count` blocks, as records of chain.blocks."""
    for revision, made in enumerate(blocks(count)):
        events = [orjson.loads(value) for value, reason in zip(made.values, made.reasons, strict=True) if not reason]
        for event in events:
            del event["block_number"], event["timestamp"]
        block = {
            "chain_id": made.chain_id,
            "number": made.number,
            "status": "complete",
            "revision": revision,
            "timestamp": made.timestamp,
            "rejected": len(made.values) - len(events),
            "transactions": [],
            "events": events,
        }
        yield str(made.chain_id), orjson.dumps(block)


def main() -> None:
    """Run it as a worker, exactly as the others run."""
    group = os.environ["BENCH_GROUP"]
    app.WORKERS[NAME] = app.Worker(NAME, "BENCH", group, 0, ("console.bench.downstream",))
    app.run(NAME)


if __name__ == "__main__":
    main()
