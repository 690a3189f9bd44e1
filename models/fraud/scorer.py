"""A trained fraud model as it serves: probability, anomaly rank, level and reasons of feature vectors (`models.fraud.profile`).

The probability is that of the boosted trees, calibrated; the anomaly rank says how unusual a wallet is among ordinary ones, and is
never called a probability: on real data fraud looks more ordinary than not (research/fraud.md, section 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from models.fraud.behaviour import Behaviours
from models.fraud.drift import Reference
from models.fraud.features import FEATURES
from models.fraud.profile import IN, OUT, Side
from models.fraud.shapley import Shapley
from models.fraud.trees import Trees
from models.fraud.walk import Floats
from models.releases import Served
from topics.schemas.models import Feature, Manifest
from topics.schemas.wallet import LEVELS, Level


@dataclass(frozen=True, slots=True)
class Reason:
    """What a feature adds to a score, in log-odds before calibration; `value` is NaN where it is not known."""

    feature: str
    value: float
    adds: float


@dataclass(frozen=True, slots=True)
class Scores:
    """Of rows: `probability` (0 to 1), of shape (rows,), and their levels."""

    probability: Floats
    levels: list[Level]


@dataclass(frozen=True, slots=True)
class Scorer:
    """One model. Its `features` are the columns it takes of `FEATURES`, in its order."""

    columns: NDArray[np.intp]
    boosted: Trees
    shapley: Shapley
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
    first_cuts: Floats
    """The same, (2, 3), of who receives and of who pays where a request is all that is known (`models.fraud.first_contact`),"""
    single_cuts: Floats
    """and where one move is."""
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
            Shapley.of(boosted),
            np.asarray(arrays["known"], float),
            np.asarray(arrays["calibrated"], float),
            Trees.of(arrays, "forest"),
            np.asarray(arrays["ordinary"], float),
            dict(zip(arrays["famous"].tolist(), arrays["wallets"].tolist(), strict=True)),
            Behaviours.of(arrays),
            frozenset(np.asarray(arrays.get("groups", ())).tolist()),
            np.asarray(arrays["cuts"], float),
            np.asarray(arrays.get("first_cuts", [arrays["cuts"]] * 2), float),
            np.asarray(arrays.get("single_cuts", [arrays["cuts"]] * 2), float),
            Reference.of([feature.name for feature in manifest.features], arrays),
        )
        if found.cuts.shape != (3,) or np.any(np.diff(found.cuts) < 0) or found.known.shape != found.calibrated.shape:
            raise ValueError("cuts, known, calibrated: three rising cuts, and a probability for each point")
        for name, cuts in (("first_cuts", found.first_cuts), ("single_cuts", found.single_cuts)):
            if cuts.shape != (2, 3) or np.any(np.diff(cuts) < 0):
                raise ValueError(f"{name}: three rising cuts for who receives, and three for who pays")
        nothing = np.full((1, len(FEATURES)), np.nan)
        found.score(nothing)
        found.anomaly(nothing)
        found.behaviour(nothing)
        found.reasons(nothing)
        return found

    def fame(self, address: str) -> float:
        """How many training wallets dealt with an address (lower case), or held it as a token; 0 where that is not known."""
        return float(self.famous.get(crc32(address.encode()), 0))

    def score(self, vectors: Floats, alone: Sequence[Side | None] = ()) -> Scores:
        """Score vectors of shape (rows, len(FEATURES)); `alone` says of each on which side its only move is."""
        probability = np.interp(self.boosted.sums(self._rows(vectors)), self.known, self.calibrated)
        places = np.searchsorted(self.cuts, probability, side="right")
        for side in (IN, OUT) if alone else ():
            if mine := [row for row, its in enumerate(alone) if its == side]:
                places[mine] = np.searchsorted(self.single_cuts[side], probability[mine], side="right")
        return Scores(probability, [LEVELS[place] for place in places])

    def anomaly(self, vectors: Floats) -> Floats:
        """(rows,): how unusual vectors are among those of ordinary wallets, from 0 to 1. Not asked for where a level is low."""
        lengths = self.forest.sums(np.nan_to_num(self._rows(vectors)))
        rank: Floats = 1.0 - np.searchsorted(self.ordinary, lengths) / len(self.ordinary)
        return rank

    def behaviour(self, vectors: Floats) -> list[str]:
        """In words, what kind of wallet each vector, (rows, len(FEATURES)), is like."""
        places = self.behaviours.place(self._rows(vectors))
        return [self.behaviours.describe(int(place), self.columns) for place in places]

    def reasons(self, vectors: Floats, most: int = 3) -> list[list[Reason]]:
        """Of each vector, (rows, len(FEATURES)), the features that raise its score most, the strongest first."""
        rows = self._rows(vectors)
        return [self._strongest(row, adds, most) for row, adds in zip(rows, self.shapley.adds(rows), strict=True)]

    def _strongest(self, row: Floats, adds: Floats, most: int) -> list[Reason]:
        strongest = [place for place in np.argsort(-adds)[:most] if adds[place] > 0]
        return [Reason(FEATURES[self.columns[place]], float(row[place]), float(adds[place])) for place in strongest]

    def _rows(self, vectors: Floats) -> Floats:
        # By an index in brackets columns would come one after another in memory, which makes all that follows slower.
        return np.asarray(vectors, float).take(self.columns, axis=1)


FRAUD = Served(
    name="fraud",
    format="npz",
    features=tuple(Feature(name=name, version=1) for name in FEATURES),
    load=Scorer.of,
    shipped=Path(__file__).parent / "fraud.release",
)
