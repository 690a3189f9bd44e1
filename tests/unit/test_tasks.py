"""Tasks end when they are told to, also those that take no notice of it the first time."""

import asyncio

import pytest

from base import tasks


def test_a_task_that_swallows_a_cancellation_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "AGAIN_S", 0.01)

    async def stubborn() -> None:
        for _ in range(3):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed.append(1)
        await asyncio.sleep(60)

    async def ended() -> list[asyncio.Task[None]]:
        both = [asyncio.create_task(stubborn()) for _ in range(2)]
        await asyncio.sleep(0)
        await tasks.end(*both)
        await tasks.end()
        return both

    swallowed: list[int] = []
    assert all(one.cancelled() for one in asyncio.run(ended()))
    assert len(swallowed) == 6


def test_one_that_has_ended_keeps_what_it_raised() -> None:
    async def wrong() -> None:
        raise ValueError("its own")

    async def ended() -> BaseException | None:
        task = asyncio.create_task(wrong())
        await asyncio.sleep(0)
        await tasks.end(task)
        return task.exception()

    assert str(asyncio.run(ended())) == "its own"
