"""What kind of wallet one behaves like: clusters of all behaviour, good and bad, and how far off it is from each of them.

HDBSCAN (Campello, Moulavi, Sander 2013) finds the clusters in training; here a wallet belongs to the cluster of the training wallet
that it can reach most easily (mutual reachability), or to none where that is further than any of the cluster's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.fraud.features import FEATURES
from models.fraud.walk import Floats

AXES = 8
POINTS = 3_000
"""Training wallets that are kept: what a distance costs grows with them."""
CLUSTER, NEIGHBOURS = 30, 10
NONE = -1
FEW = 16
"""Rows whose distances to all points are worked on together: they still fit a processor's cache."""
CLIP = 4.0
SAID = 3
"""Features that describe a cluster."""

PLAIN = {
    "moves": "transactions", "failed": "failed transactions", "zero": "transactions without value", "calls": "contract calls",
    "plain": "plain payments", "round_limit": "round gas limits", "sent_tokens": "token payments", "approvals": "approvals",
    "known": "known peers", "famous": "peers that many deal with", "tenths": "round values", "hundredths": "fairly round values",
    "again": "repeated values", "fresh": "new peers", "total": "ether", "largest": "the largest payment's share of all",
    "value": "values", "digits": "digits of values", "gap": "time between moves", "gas_limit": "gas limits",
    "gas_share": "share of the gas used", "gas_price": "gas price against the market's", "price_digits": "digits of gas prices",
    "fame": "how well known its peers are", "peers": "peers", "peers_share": "peers for each transaction",
    "selectors": "kinds of calls", "tokens": "token transfers", "empty_tokens": "empty token transfers",
    "token_fame": "how well known its token peers are",
    "coin_fame": "how well known its tokens are", "token_peers": "token peers", "in_share": "share of moves that come in",
    "created": "contracts made", "bursts": "moves within two minutes", "quick": "passing on within ten minutes",
    "drains": "emptying of the wallet", "left": "what is left of the most it had", "turnover": "what goes out of what came in",
    "delay": "time until it passes on",
    "span": "time from the first move to the last", "hours": "hours of the day", "days": "active days",
    "days_share": "share of active days", "both_ways": "peers that give and take", "hour_focus": "one time of day",
}  # fmt: skip
"""Features in words."""
_ASIDES = {
    "in": "incoming",
    "out": "outgoing",
    "mean": "average",
    "spread": "spread",
    "low": "lowest",
    "high": "highest",
}


def in_words(feature: str) -> str:
    """A feature's name as people say it: `in_gap_mean` is `time between moves (incoming, average)`."""
    side, _, rest = feature.partition("_")
    name, asides = (rest, [side]) if side in ("in", "out") and rest != "share" else (feature, [])
    stem, _, how = name.rpartition("_")
    if name not in PLAIN and how in ("mean", "spread", "low", "high"):
        name, asides = stem, [*asides, how]
    return PLAIN[name] + (f" ({', '.join(_ASIDES[aside] for aside in asides)})" if asides else "")


@dataclass(frozen=True, slots=True)
class Behaviours:
    """Clusters as they serve. All arrays are of training; `points` has the shape (wallets, AXES)."""

    middle: Floats
    spread: Floats
    axes: Floats
    points: NDArray[np.float32]
    core: NDArray[np.float32]
    """How far the tenth neighbour of each point is."""
    cluster: NDArray[np.int16]
    reach: Floats
    """How far the members of each cluster reach at most."""
    marks: NDArray[np.int16]
    """(clusters, SAID): one more than the column of a feature that is high, negative where it is low."""
    ordinary: Floats
    """Distances of ordinary wallets, rising: quantiles at equal steps."""

    @classmethod
    def of(cls, arrays: dict[str, Any]) -> Behaviours:
        """The clusters that a model's arrays hold.

        Raises:
            KeyError, ValueError: they hold none, or not such.
        """
        named = ("middle", "spread", "axes", "reach", "ordinary")
        floats = {name: np.asarray(arrays[f"behaviour_{name}"], float) for name in named}
        points = np.asarray(arrays["behaviour_points"], np.float32)
        core = np.asarray(arrays["behaviour_core"], np.float32)
        cluster = np.asarray(arrays["behaviour_cluster"], np.int16)
        marks = np.asarray(arrays["behaviour_marks"], np.int16)
        count = len(marks)
        if not len(points) == len(core) == len(cluster) or len(floats["reach"]) != count or cluster.max() >= count:
            raise ValueError("behaviour: its arrays do not fit each other")
        features, axes = floats["axes"].shape
        if (
            floats["middle"].shape != (features,)
            or floats["spread"].shape != (features,)
            or points.shape[1:] != (axes,)
        ):
            raise ValueError(
                "behaviour: a middle and a spread for each feature, and a place of each point on each axis"
            )
        if marks.ndim != 2 or np.any(marks == 0) or np.any(np.abs(marks.astype(int)) > features):
            raise ValueError("behaviour_marks: features of each cluster, by one more than their columns")
        return cls(points=points, core=core, cluster=cluster, marks=marks, **floats)

    def place(self, rows: Floats) -> NDArray[np.int16]:
        """The cluster of each row of the model's features, or `NONE`."""
        nearest, distance = self.nearest(rows)
        found = self.cluster[nearest].copy()
        if not len(self.reach):  # too few wallets for a cluster
            return found
        found[(found >= 0) & (distance > self.reach[np.maximum(found, 0)])] = NONE
        return found

    def unusual(self, rows: Floats) -> Floats:
        """How unusual each row is, 0 to 1 among ordinary wallets."""
        return np.searchsorted(self.ordinary, self.nearest(rows)[1]) / len(self.ordinary)

    def nearest(self, rows: Floats) -> tuple[NDArray[np.intp], Floats]:
        """The training wallet that each row reaches most easily, and how far that is."""
        here = project(rows, self.middle, self.spread, self.axes).astype(np.float32)
        nearest, distance = np.empty(len(rows), np.intp), np.empty(len(rows))
        lengths = (self.points**2).sum(axis=1)
        for start in range(0, len(rows), FEW):
            some = here[start : start + FEW]
            far = (some**2).sum(axis=1)[:, None] - 2.0 * some @ self.points.T
            far += lengths
            np.sqrt(np.maximum(far, 0.0, out=far), out=far)
            own = np.partition(far, NEIGHBOURS - 1, axis=1)[:, NEIGHBOURS - 1]
            np.maximum(np.maximum(far, self.core, out=far), own[:, None], out=far)
            place = far.argmin(axis=1)
            nearest[start : start + FEW], distance[start : start + FEW] = place, far[np.arange(len(some)), place]
        return nearest, distance

    def describe(self, cluster: int, columns: NDArray[np.intp]) -> str:
        """A cluster in words; `columns` are the model's features among `FEATURES`."""
        if cluster == NONE:
            return "like no known kind of wallet"
        told = [(in_words(FEATURES[columns[abs(int(mark)) - 1]]), bool(mark > 0)) for mark in self.marks[cluster]]
        sides = (("more than usual", True), ("less than usual", False))
        named = [(side, [words for words, high in told if high == wanted]) for side, wanted in sides]
        return "; ".join(f"{side}: {', '.join(words)}" for side, words in named if words)


def project(rows: Floats, middle: Floats, spread: Floats, axes: Floats) -> Floats:
    """Rows on the axes of the clusters: what is not known counts as usual, and nothing is further off than `CLIP` spreads."""
    found: Floats = np.nan_to_num(np.clip((rows - middle) / spread, -CLIP, CLIP)) @ axes
    return found


def fit(vectors: Floats, fraud: NDArray[np.bool_], seed: int) -> dict[str, NDArray[Any]]:
    """Clusters of vectors, (wallets, features), as arrays."""
    import hdbscan

    chosen = np.random.default_rng(seed).permutation(len(vectors))[:POINTS]
    rows = vectors[chosen]
    middle = np.nan_to_num(np.nanmedian(rows, axis=0))
    low, high = np.nanquantile(rows, (0.1, 0.9), axis=0)
    spread = np.where(high - low > 1e-9, high - low, 1.0)
    usual = np.nan_to_num(np.clip((rows - middle) / spread, -CLIP, CLIP))
    _, _, turned = np.linalg.svd(usual - usual.mean(axis=0), full_matrices=False)
    axes = turned[:AXES].T
    points = (usual @ axes).astype(np.float32)
    clusterer = hdbscan.HDBSCAN(min_cluster_size=CLUSTER, min_samples=NEIGHBOURS, core_dist_n_jobs=1)
    cluster = clusterer.fit_predict(points.astype(float)).astype(np.int16)
    core = _core(points)
    count = int(cluster.max()) + 1
    reach = np.array([float(np.quantile(core[cluster == one], 0.99)) for one in range(count)])
    marks = np.zeros((count, SAID), np.int16)
    for one in range(count):
        off = usual[cluster == one].mean(axis=0) - usual.mean(axis=0)
        strongest = np.argsort(-np.abs(off))[:SAID]
        marks[one] = [(place + 1) * (1 if off[place] > 0 else -1) for place in strongest]
    arrays = {
        "middle": middle, "spread": spread, "axes": axes, "points": points, "core": core, "cluster": cluster, "reach": reach,
        "marks": marks, "ordinary": np.zeros(1),
    }  # fmt: skip
    found = {f"behaviour_{name}": array for name, array in arrays.items()}
    ordinary = vectors[~fraud]
    _, distance = Behaviours.of(found).nearest(ordinary)
    found["behaviour_ordinary"] = np.quantile(distance, np.linspace(0.0, 1.0, 201))
    return found


def _core(points: NDArray[np.float32]) -> NDArray[np.float32]:
    from sklearn.neighbors import NearestNeighbors

    far, _ = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(points).kneighbors(points)
    return np.asarray(far[:, -1], np.float32)
