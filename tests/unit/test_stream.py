"""How a batch is taken from a Faust stream's channel: what is there, bounded in number and in bytes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import faust
import pytest

from agents.stream import BATCH, BATCH_BYTES, taken


async def batches(sizes: list[int | None]) -> list[int]:
    """How many events each batch holds of a channel that is filled with values of these sizes; None: no value."""
    channel: Any = faust.App("batches", broker="kafka://127.0.0.1:1").channel(maxsize=1_000)
    for size in sizes:
        channel.queue.put_nowait(SimpleNamespace(message=SimpleNamespace(value=size and b" " * size)))
    found: list[int] = []
    while sum(found) < len(sizes):
        found.append(len(await taken(channel)))
    return found


@pytest.mark.parametrize(
    ("sizes", "found"),
    [
        ([None, 1, None], [3]),
        ([1] * (BATCH + 1), [BATCH, 1]),
        ([BATCH_BYTES // 2] * 5, [2, 2, 1]),
        ([BATCH_BYTES + 1, 1, BATCH_BYTES - 1, 1], [1, 2, 1]),
    ],
)
def test_a_batch_ends_where_it_is_large_enough(sizes: list[int | None], found: list[int]) -> None:
    assert asyncio.run(batches(sizes)) == found
