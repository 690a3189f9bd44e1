"""`soba evaluate fraud`: what the shipped models say of labelled accounts that they have not seen.

Accounts of the training data are scored by the model of their fold, which has not seen their campaign; all others by the one
that serves.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from console.figures import Figure
from console.local.errors import LocalError
from models.fraud import first_contact
from models.fraud.campaigns import FOLDS, Label, fold_of
from models.fraud.features import FEATURES, numbers, of_all
from models.fraud.lists import SHIPPED
from models.fraud.measure import auc, ece, figures_of
from models.fraud.profile import IN, OUT, Profile, Side
from models.fraud.replay import AccountQuarter, Told, quarter, replay
from models.fraud.scorer import FRAUD, Scorer
from models.fraud.training import PAST_ENDS
from models.fraud.walk import Floats
from models.releases import Refused, load
from topics.releases import NotARelease, unpack

FOLDER = FRAUD.shipped.parent
"""The shipped model, and in `unseen/` those that judge the accounts which it was trained on."""
Say = Callable[[str], None]


ETHEREUM = 1


@dataclass(frozen=True, slots=True)
class Judges:
    """The model that serves, and those that judge its own training accounts; of all time, and of the past alone."""

    serving: Scorer
    folds: Sequence[Scorer]
    trained_on: frozenset[int]
    """CRC-32 of the campaigns of the training data."""

    def of(self, label: Label) -> Scorer:
        """The one that has not seen an account's campaign."""
        seen = crc32(label.group.encode()) in self.trained_on
        return self.folds[fold_of(label.group)] if seen else self.serving


def judges(past: bool, folder: Path | None = None) -> Judges:
    """The models of a folder, else the shipped ones.

    Raises:
        LocalError: one is missing or broken.
    """
    folder = folder or FOLDER
    unseen = folder / "unseen"
    first = unseen / "past.release" if past else folder / FRAUD.shipped.name
    kind = "past" if past else "fold"
    serving = scorer_of(first)
    folds = [scorer_of(unseen / f"{kind}-{fold}.release") for fold in range(FOLDS)]
    return Judges(serving, folds, serving.groups)


def scorer_of(file: Path) -> Scorer:
    """The fraud model that a file holds.

    Raises:
        LocalError: it is missing or broken.
    """
    try:
        found: Scorer = load(unpack(file.read_bytes()), FRAUD).loaded
    except (OSError, NotARelease, Refused) as error:
        raise LocalError(f"{file} cannot be used: {error}; `bin/soba train fraud` makes it") from error
    return found


@dataclass(slots=True)
class Judged:
    """Account-quarters and what their models say."""

    units: list[AccountQuarter]
    transactions: NDArray[np.int64]
    fraud: NDArray[np.bool_]
    vectors: Floats
    """(units, FEATURES), with what their judges know of addresses."""
    probability: Floats
    anomaly: Floats
    single: Floats
    """After the first transaction of the quarter."""
    asked: dict[Side, Floats]
    """On first contact, by the first move on each side alone; NaN where none is judged so (`Replayed.first`)."""
    profiles: list[Profile]
    moved: dict[Side, Floats]
    """By the first move of all, a transaction, its gas known; NaN where it was on the other side or none is judged by it."""

    @property
    def quarters(self) -> NDArray[np.str_]:
        """Of each unit."""
        return np.array([unit.quarter for unit in self.units])


def judge(history: Sequence[Told], labels: Mapping[str, Label], by: Judges) -> Judged:
    """Replay a history and score every account-quarter in it."""
    scorers = {account: by.of(labels[account]) for account in {told.account for told in history}}
    replayed = replay(history, lambda account: scorers[account].fame, listed=partial(SHIPPED.names, ETHEREUM))
    units = sorted(unit for unit, one in replayed.items() if one.transactions)
    judged = Judged(
        units,
        np.array([replayed[unit].transactions for unit in units], np.int64),
        np.array([labels[unit.account].fraud for unit in units], np.bool_),
        np.full((len(units), len(FEATURES)), np.nan),
        probability=np.full(len(units), np.nan),
        anomaly=np.full(len(units), np.nan),
        single=np.full(len(units), np.nan),
        asked={side: np.full(len(units), np.nan) for side in (IN, OUT)},
        profiles=[replayed[unit].profile for unit in units],
        moved={},
    )
    for scorer in {id(one): one for one in scorers.values()}.values():
        mine = np.array([place for place, unit in enumerate(units) if scorers[unit.account] is scorer])
        judged.vectors[mine] = last = of_all(numbers(replayed[units[place]].profile) for place in mine)
        judged.probability[mine], judged.anomaly[mine] = scorer.score(last).probability, scorer.anomaly(last)
        judged.single[mine] = scorer.score(of_all(replayed[units[place]].early[1] for place in mine)).probability
        for side, asked in judged.asked.items():
            there = [place for place in mine if side in replayed[units[place]].first]
            found = first_contact.vectors([replayed[units[place]].first[side] for place in there])
            asked[there] = scorer.score(found).probability
    alone = [replayed[unit].alone for unit in units]
    judged.moved = {side: np.where([one == side for one in alone], judged.single, np.nan) for side in (IN, OUT)}
    return judged


def write(judged: Judged, out: Path) -> None:
    """One line an account-quarter: address, quarter, n_tx, score.

    Raises:
        LocalError: the file cannot be written.
    """
    try:
        with out.open("w", newline="") as text:
            lines = csv.writer(text)
            lines.writerow(("address", "quarter", "n_tx", "score"))
            for unit, many, score in zip(judged.units, judged.transactions, judged.probability, strict=True):
                lines.writerow((unit.account, unit.quarter, int(many), f"{score:.6f}"))
    except OSError as error:
        raise LocalError(
            f"--out {out} cannot be written: {error.strerror}; name a file in a folder that exists"
        ) from error


def figures(history: Sequence[Told], labels: Mapping[str, Label], judged: Judged, say: Say) -> list[Figure]:
    """What the card of the model quotes, each beside the best known and what it must reach."""
    fraud, quarters, many = judged.fraud, judged.quarters, judged.transactions
    all_time = figures_of(fraud, judged.probability, quarters, many)
    say("the past's models, on what came after")
    later = judge([told for told in history if quarter(told.time) >= PAST_ENDS], labels, judges(past=True))
    alone = figures_of(fraud, judged.anomaly, quarters, many)
    campaigns = np.array([labels[unit.account].group for unit in judged.units])
    names, sizes = np.unique(campaigns[fraud], return_counts=True)
    others = campaigns != names[sizes.argmax()] if len(names) else np.ones(len(campaigns), bool)
    spread = figures_of(fraud[others], judged.probability[others], quarters[others], many[others])
    once = busiest(judged.units, many)
    wallets = figures_of(fraud[once], judged.probability[once], quarters[once], many[once])
    rows = [
        ("account-quarter AUC, pooled", all_time["auc"], ".954", ">= 0.945", "0.965"),
        ("account-quarter AUC, within quarter", all_time["auc_within_quarter"], ".940", ">= 0.93", "0.95"),
        ("average precision", all_time["average_precision"], ".909", ">= 0.89", "0.92"),
        ("recall at 1 % false positives", all_time["recall_at_1_percent"], ".570", ">= 0.52", "0.62"),
        ("past to future, unseen accounts, AUC", auc(later.fraud, later.probability), ".864", ">= 0.85", "0.89"),
        ("single transaction only, AUC", auc(fraud, judged.single), ".866", ">= 0.85", "0.89"),
        ("more than 50 transactions, accuracy", all_time["accuracy_many_transactions"], ".967", ">= 0.95", "0.97"),
        ("... without the largest campaign", spread["accuracy_many_transactions"], None, None, None),
        ("... each wallet once, in its busiest quarter", wallets["accuracy_many_transactions"], None, None, None),
        ("expected calibration error", ece(fraud, judged.probability), None, "<= 0.05", "0.03"),
        ("isolation forest alone, AUC", alone["auc"], ".680", None, None),
        ("isolation forest alone, recall at 1 %", alone["recall_at_1_percent"], ".023", None, None),
    ]
    return [Figure(name, round(value, 4), "", beside, least, aim) for name, value, beside, least, aim in rows]


def busiest(units: Sequence[AccountQuarter], transactions: NDArray[np.int64]) -> NDArray[np.intp]:
    """Places of each account's quarter of most transactions, the first of equal ones."""
    order = np.argsort(-transactions, kind="stable")
    _, first = np.unique([units[place].account for place in order], return_index=True)
    found: NDArray[np.intp] = np.sort(order[first])
    return found


def table(file: Path) -> Figure:
    """Accuracy on the well-known account table, by five folds: an artefact (its ordinary accounts are all of one era)."""
    import lightgbm
    from sklearn.model_selection import StratifiedKFold

    with file.open(newline="") as text:
        rows = list(csv.DictReader(text))
    skipped = ("", "Index", "Address", "FLAG")
    names = [name for name in rows[0] if name.strip() not in skipped and "token" not in name.lower()]
    values = np.array([[_number(row[name]) for name in names] for row in rows])
    flags = np.array([row["FLAG"] == "1" for row in rows])
    right = 0
    settings: dict[str, Any] = {"objective": "binary", "verbose": -1, "seed": 7, "num_threads": 2}
    for fit, test in StratifiedKFold(5, shuffle=True, random_state=7).split(values, flags):
        trained = lightgbm.train(settings, lightgbm.Dataset(values[fit], flags[fit].astype(float)), 200)
        right += int(((np.asarray(trained.predict(values[test])) > 0.5) == flags[test]).sum())
    caveat = "an artefact: era alone gives AUC .998"
    return Figure("the well-known account table, accuracy", round(right / len(rows), 4), "", caveat, ">= 0.985")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
