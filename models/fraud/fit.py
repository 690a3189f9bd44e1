"""The detectors, fitted: boosted trees, an isolation forest, calibration and cuts, each as the arrays that serve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.fraud.lessons import Lesson
from models.fraud.trees import LEAF, Trees
from models.fraud.walk import Floats

ISOLATION_TREES = 100
ODDS = 12.0
"""Log-odds beyond this are not told apart."""
SEED = 7

BOOSTING = {
    "objective": "binary",
    "learning_rate": 0.06,
    "num_leaves": 31,
    "max_depth": 7,
    "min_child_samples": 20,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "num_threads": 1,  # two that share a core with others wait for each other
    "deterministic": True,
    "force_row_wise": True,
    "seed": SEED,
    "verbose": -1,
}
"""LightGBM's parameters. Chosen by folds of the visible data."""


def boost(lessons: Sequence[Lesson], rounds: int) -> dict[str, NDArray[Any]]:
    """Boosted trees (LightGBM) trained on some lessons, as arrays."""
    import lightgbm

    fraud = np.concatenate([lesson.fraud for lesson in lessons]).astype(float)
    weights = np.concatenate([lesson.weights for lesson in lessons])
    data = lightgbm.Dataset(np.vstack([lesson.vectors for lesson in lessons]), fraud, weight=weights)
    return _boosted(lightgbm.train(BOOSTING, data, rounds).dump_model())


def _boosted(model: dict[str, Any]) -> dict[str, NDArray[Any]]:
    nodes: list[tuple[float, ...]] = []

    def add(node: dict[str, Any]) -> int:
        here = len(nodes)
        nodes.append(())
        if "leaf_value" in node:
            nodes[here] = (LEAF, 0.0, here, here, 0, node["leaf_value"], node.get("leaf_count", 1))
            return here
        left, right = add(node["left_child"]), add(node["right_child"])
        # Where LightGBM saw nothing missing in training, NaN counts as 0.
        lost = node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0.0
        nodes[here] = (
            node["split_feature"], node["threshold"], left, right, lost, 0.0, node["internal_count"],
        )  # fmt: skip
        return here

    roots = [add(tree["tree_structure"]) for tree in model["tree_info"]]
    return _columns("boosted", nodes, roots)


def _columns(prefix: str, nodes: Sequence[tuple[float, ...]], roots: Sequence[int]) -> dict[str, NDArray[Any]]:
    kinds = {
        "feature": np.int16, "threshold": np.float64, "left": np.int32, "right": np.int32, "missing_left": np.bool_,
        "value": np.float64, "cover": np.float32,
    }  # fmt: skip
    columns = list(zip(*nodes, strict=True))
    found: dict[str, NDArray[Any]] = {
        f"{prefix}_{name}": np.array(column).astype(kind)
        for (name, kind), column in zip(kinds.items(), columns, strict=True)
    }
    return {**found, f"{prefix}_roots": np.array(roots, np.int32)}


def isolate(vectors: Floats) -> dict[str, NDArray[Any]]:
    """An isolation forest (Liu et al. 2008; scikit-learn) of ordinary vectors, as arrays, with quantiles of their path lengths."""
    from sklearn.ensemble import IsolationForest

    rows = np.nan_to_num(vectors).astype(np.float32)
    forest = IsolationForest(n_estimators=ISOLATION_TREES, max_samples=min(256, len(rows)), random_state=SEED).fit(rows)
    arrays = flattened(forest)
    lengths = Trees.of(arrays, "forest").sums(rows.astype(float))
    return {**arrays, "ordinary": np.quantile(lengths, np.linspace(0.0, 1.0, 201))}


def flattened(forest: Any) -> dict[str, NDArray[Any]]:
    """scikit-learn's isolation forest as arrays. What a row's leaves say together is its mean path length times the trees."""
    nodes: list[tuple[float, ...]] = []
    roots = []
    for estimator, columns in zip(forest.estimators_, forest.estimators_features_, strict=True):
        tree, base = estimator.tree_, len(nodes)
        roots.append(base)
        parts = (tree.children_left, tree.children_right, tree.n_node_samples, tree.feature, tree.threshold)
        depth = [0] * tree.node_count
        for node, (left, right, rows, feature, threshold) in enumerate(zip(*(p.tolist() for p in parts), strict=True)):
            if left == LEAF:
                here = base + node
                nodes.append((LEAF, 0.0, here, here, 0, depth[node] + _average_path(rows), rows))
            else:
                depth[left] = depth[right] = depth[node] + 1
                nodes.append((columns[feature], threshold, base + left, base + right, 1, 0.0, rows))
    return _columns("forest", nodes, roots)


def _average_path(rows: int) -> float:
    """The mean depth of an unsuccessful search among so many rows (Liu et al. 2008, equation 1)."""
    if rows <= 1:
        return 0.0
    if rows == 2:
        return 1.0
    return float(2.0 * (np.log(rows - 1.0) + np.euler_gamma) - 2.0 * (rows - 1.0) / rows)


def calibrate(odds: Floats, fraud: NDArray[np.bool_], weights: Floats) -> dict[str, NDArray[Any]]:
    """What log-odds of unseen accounts mean: Platt's sigmoid (1999), tabled.

    Isotonic regression fits no better here, and its steps make equal what the trees tell apart.
    """
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e3).fit(odds[:, None], fraud, weights)
    known = np.linspace(-ODDS, ODDS, 481)
    return {"known": known, "calibrated": fitted.predict_proba(known[:, None])[:, 1]}


def cuts(probability: Floats, fraud: NDArray[np.bool_]) -> Floats:
    """The probabilities that 5, 1 and 0.1 % of ordinary account-quarters reach."""
    found: Floats = np.quantile(probability[~fraud], (0.95, 0.99, 0.999))
    return found
