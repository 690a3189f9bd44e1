"""What trees learn from: account-quarters, the same as they looked early in them, and windows that lie across quarters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.fraud.seen import Seen
from models.fraud.walk import Floats
from models.fraud.weights import evened, taught

EARLY_WEIGHT, SHIFTED_WEIGHT = 0.3, 0.5
"""Beside 1 of an account-quarter."""

Rows = NDArray[np.bool_]


class Lesson(NamedTuple):
    """Vectors, (rows, features), whether each is a fraud's, and how much it counts."""

    vectors: Floats
    fraud: Rows
    weights: Floats


def whole(seen: Seen, rows: Rows) -> Lesson:
    """Windows of history with all that happened in them. How much happened tells nothing (`evened`)."""
    fraud = seen.fraud[rows]
    weights = taught(seen.groups, seen.fraud)[rows]
    return Lesson(seen.vectors[rows], fraud, evened(weights, fraud, seen.transactions[rows]))


def shifted(seen: Seen, rows: Rows) -> Lesson:
    """Windows that begin in the middle of quarters: the same history once more, and no wallet in service begins with a quarter."""
    lesson = whole(seen, rows)
    return lesson._replace(weights=SHIFTED_WEIGHT * lesson.weights)


def early(seen: Seen, rows: Rows) -> Iterator[Lesson]:
    """How account-quarters looked after a few transactions."""
    weights = EARLY_WEIGHT * taught(seen.groups, seen.fraud)
    for mark, vectors in seen.early.items():
        there = rows & (seen.transactions >= mark)
        yield Lesson(vectors[there], seen.fraud[there], weights[there])
