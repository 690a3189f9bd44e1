"""Labelled account-quarters as feature vectors: what a model learns from, and what it is measured on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.fraud import first_contact
from models.fraud.campaigns import Labels
from models.fraud.features import numbers, of_all
from models.fraud.profile import IN, OUT, Side
from models.fraud.replay import AccountQuarter, Replayed
from models.fraud.walk import Floats

EARLY = (1, 3, 10, 30)
"""A wallet is also learnt from as it looked after so many transactions, each look for less."""


@dataclass(slots=True)
class Seen:
    """Account-quarters as one model sees them: `units` in order, and the vectors of each, (units, features)."""

    units: list[AccountQuarter]
    vectors: Floats
    early: dict[int, Floats]
    """Vectors after so many transactions, as far as they were replayed; NaN where there were fewer."""
    asked: dict[Side, Floats]
    """Vectors of the first move on each side, as a request for it would tell; NaN where none is judged so (`Replayed.first`)."""
    alone: NDArray[np.int64]
    """On which side the first move of all was; -1 where none is judged by that (`Replayed.alone`)."""
    transactions: NDArray[np.int64]
    fraud: NDArray[np.bool_]
    groups: list[str]

    @classmethod
    def of(cls, replayed: Mapping[AccountQuarter, Replayed], labels: Labels) -> Seen:
        """All account-quarters with a transaction."""
        units = sorted(unit for unit, one in replayed.items() if one.transactions)
        marks = [mark for mark in EARLY if any(mark in one.early for one in replayed.values())]
        return cls(
            units,
            of_all(numbers(replayed[unit].profile) for unit in units),
            {mark: of_all(replayed[unit].early.get(mark) for unit in units) for mark in marks},
            {side: first_contact.vectors([replayed[unit].first.get(side) for unit in units]) for side in (IN, OUT)},
            np.array([-1 if (side := replayed[unit].alone) is None else side for unit in units], np.int64),
            np.array([replayed[unit].transactions for unit in units], np.int64),
            np.array([labels[unit.account].fraud for unit in units], np.bool_),
            [labels[unit.account].group for unit in units],
        )

    @property
    def quarters(self) -> NDArray[np.str_]:
        """Of each unit."""
        return np.array([unit.quarter for unit in self.units])
