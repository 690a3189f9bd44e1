"""How good the model that serves is on a challenger's data, so that the two can be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from console import evaluate_fraud, releases
from console.evaluate_fraud import Judges
from models.fraud.campaigns import FOLDS, Label
from models.fraud.measure import figures_of
from models.fraud.replay import Told
from models.fraud.scorer import FRAUD, Scorer
from models.releases import Model
from topics.releases import NotARelease, unpack


def serving() -> Model:
    """The fraud model that workers serve now.

    Raises LocalError when no Kafka answers.
    """
    one = releases.known(FRAUD.name)
    _, found = releases.book()
    return releases.standing(one, found.serving.get(one.name)).model


def figures(
    champion: Model, folders: Sequence[Path], history: Sequence[Told], labels: Mapping[str, Label]
) -> dict[str, float]:
    """Its figures on every account-quarter of this history.

    Accounts that it was trained on are judged by its models that have not seen them, where one of `folders` has those; else by
    itself, which flatters it and never the challenger.
    """
    scorer: Scorer = champion.loaded
    folds = next(filter(None, (_folds(champion, folder) for folder in folders)), [scorer] * FOLDS)
    judged = evaluate_fraud.judge(history, labels, Judges(scorer, folds, scorer.groups))
    told = figures_of(judged.fraud, judged.probability, judged.quarters, judged.transactions)
    return {name: value for name, value in told.items() if math.isfinite(value)}


def _folds(champion: Model, folder: Path) -> list[Scorer]:
    """Its models without each fold, where the folder has them."""
    files = [folder / "unseen" / f"fold-{fold}.release" for fold in range(FOLDS)]
    try:
        found = [unpack(file.read_bytes()).manifest for file in files]
    except (OSError, NotARelease):
        return []
    if any(one.data_hash != champion.manifest.data_hash for one in found):
        return []
    return [evaluate_fraud.scorer_of(file) for file in files]
