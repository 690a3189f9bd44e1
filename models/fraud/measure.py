"""How good scores of labelled account-quarters are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.fraud.walk import Floats

Flags = NDArray[np.bool_]
MANY = 50
"""A wallet with more transactions than this in a quarter is well known."""


def auc(fraud: Flags, score: Floats) -> float:
    """Area under the receiver operating characteristic: how often a fraud scores above an ordinary one; ties count half."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(fraud, score)) if 0 < fraud.sum() < len(fraud) else float("nan")


def within(fraud: Flags, score: Floats, quarters: NDArray[Any]) -> float:
    """The AUC inside each quarter, weighted by its units: what is left when the era tells nothing."""
    found = []
    for one in np.unique(quarters):
        here = quarters == one
        if 0 < fraud[here].sum() < here.sum():
            found.append((auc(fraud[here], score[here]), int(here.sum())))
    return float(np.average([a for a, _ in found], weights=[n for _, n in found])) if found else float("nan")


def recall(fraud: Flags, score: Floats, false_positives: float) -> float:
    """The share of fraud above the score that this share of ordinary units exceeds."""
    return float((score[fraud] > np.quantile(score[~fraud], 1.0 - false_positives)).mean())


def ece(fraud: Flags, probability: Floats, bins: int = 15) -> float:
    """Expected calibration error (Naeini et al. 2015), by bins of equally many."""
    order = np.array_split(np.argsort(probability, kind="stable"), bins)
    gaps = [(abs(probability[part].mean() - fraud[part].mean()), len(part)) for part in order if len(part)]
    return float(np.average([gap for gap, _ in gaps], weights=[many for _, many in gaps]))


def figures_of(
    fraud: Flags, score: Floats, quarters: NDArray[Any], transactions: NDArray[np.int64]
) -> dict[str, float]:
    """What is said of a score: each named as in the card of the model."""
    from sklearn.metrics import average_precision_score

    known = transactions > MANY
    return {
        "auc": auc(fraud, score),
        "auc_within_quarter": within(fraud, score, quarters),
        "average_precision": float(average_precision_score(fraud, score)),
        "recall_at_1_percent": recall(fraud, score, 0.01),
        "recall_at_0.1_percent": recall(fraud, score, 0.001),
        "accuracy_many_transactions": float(((score[known] > 0.5) == fraud[known]).mean())
        if known.any()
        else float("nan"),
    }
