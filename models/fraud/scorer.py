"""A trained fraud model as it serves: probability, anomaly rank, level and reasons of feature vectors (`models.fraud.profile`).

The probability is that of the boosted trees, calibrated; the anomaly rank says how unusual a wallet is among ordinary ones, and is
never called a probability: on real data fraud looks more ordinary than not (research/fraud.md, section 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from models.fraud.behaviour import Behaviours
from models.fraud.drift import Reference
from models.fraud.profile import FEATURES
from models.fraud.trees import Floats, Paths, Trees
from models.releases import Served
from topics.schemas.models import Feature, Manifest
from topics.schemas.wallet import Level

LEVELS: tuple[Level, ...] = get_args(Level)
BATCH = 256
"""Rows scored together: what their nodes take then still fits a processor's cache."""


@dataclass(frozen=True, slots=True)
class Reason:
    """What a feature adds to a score, in log-odds before calibration; `value` is NaN where it is not known."""

    feature: str
    value: float
    adds: float


@dataclass(frozen=True, slots=True)
class Scores:
    """Of rows: `probability` and `anomaly` (0 to 1), each of shape (rows,), and their levels."""

    probability: Floats
    anomaly: Floats
    levels: list[Level]


@dataclass(frozen=True, slots=True)
class Scorer:
    """One model. Its `features` are the columns it takes of `FEATURES`, in its order."""

    columns: NDArray[np.intp]
    boosted: Trees
    paths: Paths
    known: Floats
    """Log-odds at which the calibration stands, rising,"""
    calibrated: Floats
    """and what probability each means."""
    forest: Trees
    """Of an isolation forest: leaves say how long their path is, grown as Liu et al. 2008 do."""
    ordinary: Floats
    """Path lengths of ordinary wallets, rising: quantiles at equal steps."""
    famous: dict[int, int]
    """How many training wallets dealt with an address, or held it as a token, by the address's CRC-32."""
    behaviours: Behaviours
    groups: frozenset[int]
    """CRC-32 of the campaigns that it was trained on, where it tells: who evaluates it must know."""
    cuts: Floats
    """The probabilities from which a score is medium, high and critical: 5, 1 and 0.1 % of ordinary wallets reach them."""
    reference: Reference | None
    """The wallets of training, to tell by how far those that are served have moved away; None where the release has none."""

    @classmethod
    def of(cls, manifest: Manifest, arrays: dict[str, Any]) -> Scorer:
        """The model that a release holds.

        Raises:
            ValueError, KeyError: its arrays are not those of a fraud model.
        """
        boosted = Trees.of(arrays, "boosted")
        columns = np.array([FEATURES.index(feature.name) for feature in manifest.features], np.intp)
        if boosted.feature.max() >= len(columns):
            raise ValueError("boosted_feature: a node asks for a feature that the manifest does not name")
        found = cls(
            columns,
            boosted,
            Paths.of(boosted),
            np.asarray(arrays["known"], float),
            np.asarray(arrays["calibrated"], float),
            Trees.of(arrays, "forest"),
            np.asarray(arrays["ordinary"], float),
            dict(zip(arrays["famous"].tolist(), arrays["wallets"].tolist(), strict=True)),
            Behaviours.of(arrays),
            frozenset(np.asarray(arrays.get("groups", ())).tolist()),
            np.asarray(arrays["cuts"], float),
            Reference.of([feature.name for feature in manifest.features], arrays),
        )
        if found.cuts.shape != (3,) or np.any(np.diff(found.cuts) < 0) or found.known.shape != found.calibrated.shape:
            raise ValueError("cuts, known, calibrated: three rising cuts, and a probability for each point")
        found.score(np.full((1, len(FEATURES)), np.nan))
        return found

    def fame(self, address: str) -> float:
        """How many training wallets dealt with an address (lower case), or held it as a token; 0 where that is not known."""
        return float(self.famous.get(crc32(address.encode()), 0))

    def score(self, vectors: Floats) -> Scores:
        """Score vectors of shape (rows, len(FEATURES))."""
        rows = np.asarray(vectors, float)[:, self.columns]
        parts = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
        odds = np.concatenate([self.boosted.sums(part) for part in parts]) if parts else np.zeros(0)
        lengths = np.concatenate([self.forest.sums(np.nan_to_num(part)) for part in parts]) if parts else np.zeros(0)
        probability = np.interp(odds, self.known, self.calibrated)
        rank = 1.0 - np.searchsorted(self.ordinary, lengths) / len(self.ordinary)
        levels = [LEVELS[place] for place in np.searchsorted(self.cuts, probability, side="right")]
        return Scores(probability, rank, levels)

    def behaviour(self, vector: Floats) -> str:
        """In words, what kind of wallet one vector, (len(FEATURES),), is like."""
        row = np.asarray(vector, float)[self.columns]
        return self.behaviours.describe(int(self.behaviours.place(row[None, :])[0]), self.columns)

    def reasons(self, vector: Floats, most: int = 3) -> list[Reason]:
        """The features of one vector, (len(FEATURES),), that raise its score most, the strongest first."""
        row = np.asarray(vector, float)[self.columns]
        adds = self.paths.shapley(row)
        strongest = [place for place in np.argsort(-adds)[:most] if adds[place] > 0]
        return [Reason(FEATURES[self.columns[place]], float(row[place]), float(adds[place])) for place in strongest]


FRAUD = Served(
    name="fraud",
    format="npz",
    features=tuple(Feature(name=name, version=1) for name in FEATURES),
    load=Scorer.of,
    shipped=Path(__file__).parent / "fraud.release",
)
