"""How far the wallets that are served have moved from those that a model was trained on, feature by feature and in its score.

The measure is the population stability index (Siddiqi, Credit Risk Scorecards, 2006): over bins, the sum of (served - trained)
times ln(served / trained). By custom up to 0.1 is no shift to speak of, and above 0.25 one that asks for a new model. Where nothing
has moved, chance alone makes it (bins - 1) (1 / served + 1 / trained) on average (Yurdakul, Naranjo, Journal of Risk Model
Validation, 2020): 0.02 of 500 wallets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from models.fraud.walk import Floats

BINS = 10
"""Of equally many training wallets each, as far as values differ; what is not known has one more."""
SAMPLE = 64
"""One wallet in so many is counted where wallets are served."""
ENOUGH = 500
"""Wallets from which on an index says something."""
SOME, MUCH = 0.1, 0.25
"""An index above the first is a shift, above the second one that asks for a new model."""
SCORE = "score"
"""Among features, the probability that the model gives."""

Counts = NDArray[np.int64]
"""(features and score, BINS + 1): how many wallets fell into each bin; the last is of what is not known."""


def sampled(wallet: str) -> bool:
    """Whether a wallet, by its key, is one of those that are counted."""
    return crc32(wallet.encode()) % SAMPLE == 0


@dataclass(frozen=True, slots=True)
class Reference:
    """The wallets that a model was trained on."""

    names: tuple[str, ...]
    """Its features, in its order, and `SCORE`."""
    edges: Floats
    """(names, BINS - 1), rising: a value is in the bin of the first edge that it is not above; infinite where bins are fewer."""
    counts: Counts

    @classmethod
    def of(cls, features: Sequence[str], arrays: dict[str, Any]) -> Reference | None:
        """What a model's arrays tell of them; None where they tell nothing.

        Raises:
            ValueError: the arrays do not fit the features.
        """
        if "reference_edges" not in arrays:
            return None
        names = (*features, SCORE)
        edges = np.asarray(arrays["reference_edges"], float)
        counts = np.asarray(arrays.get("reference_counts"), np.int64)
        if edges.shape != (len(names), BINS - 1) or counts.shape != (len(names), BINS + 1):
            raise ValueError("reference_edges, reference_counts: a row for each feature, and one for the score")
        if counts.min() < 0 or counts.sum(axis=1).min() < 1:
            raise ValueError("reference_counts: wallets in each row, and no fewer than none in a bin")
        return cls(names, edges, counts)

    def count(self, vectors: Floats, scores: Floats) -> Counts:
        """How many rows of the model's features, (rows, features), and of their scores, (rows,), fall into each bin."""
        return _count(self.edges, _table(vectors, scores))

    def psi(self, counts: Counts) -> Floats:
        """(names,): how far these wallets are from those of training. Each bin counts half a wallet more, so that none is empty."""
        here = (self.counts > 0) | (counts > 0)
        trained, served = (_shares(one, here) for one in (self.counts, counts))
        found: Floats = ((served - trained) * np.log(served / trained)).sum(axis=1)
        return found


def fit(vectors: Floats, scores: Floats) -> dict[str, NDArray[Any]]:
    """Training wallets, (wallets, features), and what unseen models score them, as the arrays of a reference."""
    table = _table(vectors, scores)
    edges = np.full((table.shape[1], BINS - 1), np.inf)
    for place, column in enumerate(table.T):
        known = column[~np.isnan(column)]
        if len(known):
            found = np.unique(np.quantile(known, np.linspace(0.0, 1.0, BINS + 1)[1:-1], method="lower"))
            edges[place, : len(found)] = found
    return {"reference_edges": edges, "reference_counts": _count(edges, table).astype(np.int32)}


def _table(vectors: Floats, scores: Floats) -> Floats:
    found: Floats = np.column_stack([vectors, scores])
    return found


def _count(edges: Floats, table: Floats) -> Counts:
    found = np.zeros((len(edges), BINS + 1), np.int64)
    for place, (mine, column) in enumerate(zip(edges, table.T, strict=True)):
        bins = np.where(np.isnan(column), BINS, np.searchsorted(mine, column))
        found[place] = np.bincount(bins, minlength=BINS + 1)
    return found


def _shares(counts: Counts, here: NDArray[np.bool_]) -> Floats:
    more = np.where(here, counts + 0.5, 1.0)
    shares: Floats = more / np.where(here, more, 0.0).sum(axis=1, keepdims=True)
    return np.where(here, shares, 1.0)
