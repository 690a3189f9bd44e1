"""Rows written into Redis as the runtime writes them, newer wins. A process of its own, so that it can have a core."""

from __future__ import annotations

import json
import sys
import time
from itertools import cycle

import redis

from base.settings import get_settings
from tables.registry import BLOCKS, BLOCKS_BY_CHAIN, BlockRow
from tables.rows import Pointer, Row, stage

BATCH, BATCHES = 500, 40


def rows(first: int, indexed: bool) -> list[Row]:
    """A batch of rows, with an index entry each or without."""
    return [
        Row(
            BLOCKS,
            f"1:{number}",
            number,
            BlockRow(
                chain_id=1,
                number=number,
                revision=number,
                status="complete",
                timestamp=1_700_000_000 + number,
                transactions=150,
                events={"swap": 120, "transfer": 50, "sync": 10},
                rejected=4,
            ),
            (Pointer(BLOCKS_BY_CHAIN, "1", number),) if indexed else (),
        )
        for number in range(first, first + BATCH)
    ]


def write(url: str, seconds: float, indexed: bool) -> float:
    """Rows a second; each batch is answered, so on disk, before the next."""
    batches = [rows(place * BATCH, indexed) for place in range(BATCHES)]
    with redis.Redis.from_url(url) as client:
        began, written = time.perf_counter(), 0
        for batch in cycle(batches):
            with client.pipeline(transaction=False) as pipe:
                stage(pipe, batch)
                refused = pipe.execute()[0]
            written += len(batch) - len(refused)
            if (took := time.perf_counter() - began) >= seconds:
                break
    return written / took


def main() -> None:
    """Print rows a second, without and with an index entry each."""
    seconds = float(sys.argv[1])
    url = get_settings().redis_url
    write(url, 1.0, False)
    print(json.dumps([write(url, seconds, False), write(url, seconds, True)]))


if __name__ == "__main__":
    main()
