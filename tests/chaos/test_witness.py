"""The witness itself: what it must not take for order."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.witness import Chain

OLD, NEW = {"number": 7, "revision": 3, "status": "partial"}, {"number": 7, "revision": 5, "status": "partial"}


class Message:
    """As much of a Kafka message as the witness looks at."""

    def __init__(self, offset: int, value: bytes) -> None:
        self.offset, self.value = lambda: offset, lambda: value

    def partition(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("told", "falls", "contradictions"),
    [
        ([(OLD, b"a"), (NEW, b"b"), (NEW, b"b")], 0, 0),
        ([(OLD, b"a"), (NEW, b"b"), (OLD, b"a")], 0, 0),  # a repeat, as after a crash
        ([(NEW, b"b"), (OLD, b"a"), (OLD, b"a")], 1, 0),  # told late for the first time
        ([(OLD, b"a"), (NEW, b"b"), (OLD, b"c")], 0, 1),
        ([(NEW, b"b"), (NEW, b"c")], 0, 1),
    ],
)
def test_falls_and_contradictions_are_seen(
    told: list[tuple[dict[str, Any], bytes]], falls: int, contradictions: int
) -> None:
    chain: Any = Chain(1)
    for offset, (body, value) in enumerate(told):
        chain.hear("chain.blocks", Message(offset, value), body)
    assert (len(chain.falls), len(chain.contradictions)) == (falls, contradictions)
    assert set(chain.states["chain.blocks"]) == {"7"}
