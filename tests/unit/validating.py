"""validate for one partition, and what becomes of values that it is given."""

from __future__ import annotations

from typing import Any

from agents.agent import Result
from agents.validate import Validator
from tests.unit.wire import (
    NOW,
    decoded,
    records,
)
from topics.partition import partition

PARTITIONS = 2
OURS = [n for n in range(1, 60) if partition(str(n).encode(), PARTITIONS) == partition(b"1", PARTITIONS)]
ELSEWHERE = next(n for n in range(1, 60) if n not in OURS)
CHAINS = (1, OURS[1])
HERE = partition(b"1", PARTITIONS)
FORKS = (None, "0x" + "f1" * 32, "0x" + "f2" * 32)


def validator() -> Validator:
    return Validator(HERE, PARTITIONS)


def take(*values: Any, state: Validator | None = None, first: int = 0, now: float = NOW, **headers: bytes) -> Result:
    """What becomes of values, given as one batch."""
    batch = records(values, first, HERE, list(headers.items()))
    return (state or validator()).handle(batch, now)


def last(result: Result) -> dict[str, Any]:
    return decoded(result.outputs)[-1]


def reasons(result: Result) -> list[tuple[str, str | None]]:
    return [(letter.reason, letter.index) for letter in result.dead_letters]
