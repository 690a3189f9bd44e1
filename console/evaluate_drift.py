"""`soba evaluate drift`: how far the newest quarters of labelled history are from those before, in features and in the score."""

from __future__ import annotations

import numpy as np

from console.evaluate_fraud import Judged
from console.figures import Figure
from console.local.errors import LocalError
from models.fraud.drift import MUCH, SCORE, SOME, Reference, fit
from models.fraud.features import FEATURES

NAMED = 10
"""Features that are told one by one."""


def figures(judged: Judged, newest: int) -> list[Figure]:
    """The population stability index of the `newest` quarters against all before, of account-quarters as unseen models see them.

    Raises:
        LocalError: there are not more quarters than that.
    """
    quarters = judged.quarters
    found = np.unique(quarters)
    if len(found) <= newest:
        raise LocalError(f"the history has {len(found)} quarters; give --quarters below that")
    late = quarters >= found[-newest]
    reference = Reference.of(FEATURES, fit(judged.vectors[~late], judged.probability[~late]))
    assert reference is not None
    indices = reference.psi(reference.count(judged.vectors[late], judged.probability[late]))
    told = dict(zip(reference.names, indices.tolist(), strict=True))
    score = told.pop(SCORE)
    largest = sorted(told.items(), key=lambda row: -row[1])
    return [
        Figure(f"account-quarters up to {found[-newest - 1]}", int((~late).sum()), ""),
        Figure(f"account-quarters from {found[-newest]} to {found[-1]}", int(late.sum()), ""),
        Figure("PSI of the score", round(score, 4), ""),
        Figure(f"features above {MUCH}", sum(index > MUCH for _, index in largest), f"of {len(largest)}"),
        Figure(f"features above {SOME}", sum(index > SOME for _, index in largest), f"of {len(largest)}"),
        Figure("PSI of features, median", round(float(np.median([*told.values()])), 4), ""),
        *(Figure(f"PSI of {name}", round(index, 4), "") for name, index in largest[:NAMED]),
    ]
