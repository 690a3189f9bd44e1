"""Ending asyncio tasks that would go on for ever."""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_S = 0.5
"""Longer than what such a task has to clean up takes."""


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until they have ended; what they raised stays with them, and asyncio logs it where nobody asks.

    Once is not enough: in Python 3.11 `asyncio.wait_for`, by which redis-py sends and web3.py asks, takes no notice of a
    cancellation that comes just when what it waits for is done (github.com/python/cpython/issues/86296).
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_S)
