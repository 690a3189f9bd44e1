"""From labelled history to a fraud model, and figures of it that no account helped to make which it is measured on.

Accounts of one campaign are never on both sides of a split: folds go by campaign group. A model is measured on what others of its
kind, trained without that account's fold, say of it; calibration and cuts come from those scores alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from models.artefacts import npz
from models.fraud import behaviour, drift, first_contact
from models.fraud.campaigns import FOLDS, Labels, fold_of
from models.fraud.features import FEATURES
from models.fraud.fit import SEED, boost, calibrate, cuts, isolate
from models.fraud.lessons import early, shifted, whole
from models.fraud.measure import ece, figures_of
from models.fraud.popularity import Popularity, dealings
from models.fraud.replay import Told, across, quarter, replay
from models.fraud.scorer import FRAUD
from models.fraud.seen import EARLY, Seen
from models.fraud.trees import Trees
from models.fraud.walk import Floats
from models.fraud.weights import once
from topics.schemas.models import Decides, Feature, Manifest, Release, Window

PAST_ENDS = "2020Q1"
"""What the models of the past may not have seen, nor later, where a history reaches back that far; else it is its last quarter."""
LEAST = 40
"""Accounts of each kind from which on a model can be made of them,"""
SPREAD = 3
"""if their campaigns are in so many folds, so that what is left without one has both kinds."""
ROUNDS, PAST_ROUNDS = 300, 200
LIFE = timedelta(days=365)

Say = Callable[[str], None]


class TooLittle(ValueError):
    """A history from which no model can be made; its text says what is missing."""


@dataclass(slots=True)
class Trained:
    """Everything that training makes. `releases` by name: `fraud`, and those that score accounts of the training data."""

    releases: dict[str, Release] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    ablation: dict[str, dict[str, float]] = field(default_factory=dict)


def train(history: Sequence[Told], labels: Labels, version: str, made_by: str, now: datetime, say: Say) -> Trained:
    """Train on a history in order of time; `say` is told of each step.

    Makes the model that serves (all campaigns); one for each fold, trained without it; and the same again of the past alone, where
    the history is long enough. What a model knows of addresses comes from its own training accounts and time.

    Raises:
        TooLittle: there are too few accounts of either kind, or too few campaigns.
    """
    if missing := _missing(history, labels):
        raise TooLittle(missing)
    pairs = dealings(history)
    groups = sorted({labels[account].group for account, *_ in history})
    past_ends = _past_ends(history, labels)
    past_pairs = dealings(told for told in history if past_ends and quarter(told.time) < past_ends)
    data_hash = hash_of(history, labels)
    window = Window(
        first=datetime.fromtimestamp(history[0].time, UTC), last=datetime.fromtimestamp(history[-1].time, UTC)
    )
    made: dict[str, dict[str, NDArray[Any]]] = {}
    seen_by: dict[str, Seen] = {}
    for name, left_out, dealt, past in _plans(pairs, past_pairs if past_ends else None):
        say(f"{name}: profiles")
        among = [group for group in groups if fold_of(group) != left_out]
        popularity = Popularity(dealt, labels, among)
        seen = seen_by[name] = Seen.of(replay(history, popularity.of, EARLY), labels)
        rows = _without(seen.groups, left_out)
        if past:
            rows &= seen.quarters < past_ends
        lessons = [whole(seen, rows)]
        if not past:
            between = Seen.of(replay(history, popularity.of, (), window=across), labels)
            lessons += [*early(seen, rows), shifted(between, _without(between.groups, left_out))]
        say(f"{name}: trees from {rows.sum():,} account-quarters")
        made[name] = {
            **boost(lessons, PAST_ROUNDS if past else ROUNDS),
            **isolate(seen.vectors[rows & ~seen.fraud]),
            **behaviour.fit(seen.vectors[rows], seen.fraud[rows], SEED),
            **popularity.arrays(),
            "groups": np.array([crc32(group.encode()) for group in among], np.uint32),
        }
    return _finish(made, seen_by, _Facts(version, made_by, now, data_hash, window, past_ends), say)


def _without(groups: Iterable[str], fold: int) -> NDArray[np.bool_]:
    """Which are of campaigns in other folds."""
    return np.array([fold_of(group) != fold for group in groups], np.bool_)


def hash_of(history: Iterable[Told], labels: Labels) -> str:
    """What a release says of the data that it was trained and measured on."""
    digest = sha256()
    for account, time, move, _ in history:
        label = labels[account]
        digest.update(
            f"{account} {time} {move['transaction_hash']} {move['direction']} {label.fraud:d} {label.group}\n".encode()
        )
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Facts:
    version: str
    made_by: str
    now: datetime
    data_hash: str
    window: Window
    past_ends: str


def _plans(
    pairs: set[tuple[str, str]], past: set[tuple[str, str]] | None
) -> Iterable[tuple[str, int, set[tuple[str, str]], bool]]:
    for first, rest, dealt in (("fraud", "fold", pairs), ("past", "past", past)):
        if dealt is not None:
            yield first, -1, dealt, first == "past"
            for fold in range(FOLDS):
                yield f"{rest}-{fold}", fold, dealt, first == "past"


def _missing(history: Iterable[Told], labels: Labels) -> str:
    """What a history lacks for a model; empty where it has enough."""
    for kind in (True, False):
        word = "fraud" if kind else "ordinary"
        accounts = {account for account, *_ in history if labels[account].fraud == kind}
        if len(accounts) < LEAST:
            return f"{word} accounts with a history: only {len(accounts)}; label at least {LEAST}"
        folds = {fold_of(labels[account].group) for account in accounts}
        if len(folds) < SPREAD:
            return f"{word} accounts are of too few campaigns, in {len(folds)} of {FOLDS} folds; label some of more campaigns"
    return ""


def _past_ends(history: Sequence[Told], labels: Labels) -> str:
    """The first quarter that models of the past have not seen; empty where a history is too short for those."""
    quarters = sorted({quarter(told.time) for told in history})
    ends = PAST_ENDS if quarters[0] < PAST_ENDS <= quarters[-1] else quarters[-1]
    parts = ([told for told in history if (quarter(told.time) < ends) == before] for before in (True, False))
    return "" if any(_missing(part, labels) for part in parts) else ends


def _finish(made: dict[str, dict[str, NDArray[Any]]], seen_by: dict[str, Seen], facts: _Facts, say: Say) -> Trained:
    """Calibrate every model by what models say of accounts they have not seen, and measure."""
    seen = seen_by["fraud"]
    folds = np.array([fold_of(group) for group in seen.groups])
    weights = once(seen.groups)
    done = Trained()
    say("calibration and figures")
    for kind, name in (("fold", "fraud"), *([("past", "past")] if facts.past_ends else [])):
        counted = np.ones(len(folds), bool) if kind == "fold" else seen.quarters >= facts.past_ends
        odds, first, lengths, unusual = (np.full(len(folds), np.nan) for _ in range(4))
        vectors = np.empty_like(seen.vectors)
        asked = {side: np.full(len(folds), np.nan) for side in seen.asked}
        for fold in range(FOLDS):
            mine, arrays = folds == fold, made[f"{kind}-{fold}"]
            unseen = seen_by[f"{kind}-{fold}"]
            trees, forest = Trees.of(arrays, "boosted"), Trees.of(arrays, "forest")
            vectors[mine] = unseen.vectors[mine]
            odds[mine] = trees.sums(unseen.vectors[mine])
            first[mine] = trees.sums(unseen.early[1][mine])
            for side, told in unseen.asked.items():
                asked[side][mine] = np.where(np.isnan(told[mine]).all(axis=1), np.nan, trees.sums(told[mine]))
            lengths[mine] = forest.sums(np.nan_to_num(unseen.vectors[mine]))
            unusual[mine] = behaviour.Behaviours.of(arrays).unusual(unseen.vectors[mine])
        moved = {side: np.where(seen.alone == side, first, np.nan) for side in asked}
        probability = np.full(len(folds), np.nan)
        for fold in (-1, *range(FOLDS)):
            others = counted & (folds != fold)
            key = name if fold < 0 else f"{kind}-{fold}"
            made[key] |= calibrate(odds[others], seen.fraud[others], weights[others])
            mine = folds == fold
            probability[mine] = np.interp(odds[mine], made[key]["known"], made[key]["calibrated"])
            for one in (*asked.values(), *moved.values()):
                one[mine] = np.interp(one[mine], made[key]["known"], made[key]["calibrated"])
        for fold in (-1, *range(FOLDS)):
            others = counted & (folds != fold)
            key = name if fold < 0 else f"{kind}-{fold}"
            made[key]["cuts"] = cuts(probability[others], seen.fraud[others])
            ordinary = others & ~seen.fraud
            made[key] |= first_contact.fit(
                *({side: one[ordinary] for side, one in told.items()} for told in (asked, moved))
            )
        figures = figures_of(
            seen.fraud[counted], probability[counted], seen.quarters[counted], seen.transactions[counted]
        )
        if kind == "fold":
            made[name] |= drift.fit(vectors, probability)
            done.figures |= figures
            single = figures_of(seen.fraud, first, seen.quarters, seen.transactions)
            done.figures |= {"single_auc": single["auc"], "ece": ece(seen.fraud, probability)}
            done.ablation["boosted trees"] = figures
            anomalies = {
                "isolation forest": -lengths,
                "HDBSCAN": unusual,
                "both by rank": _rank(-lengths) + _rank(unusual),
            }
            anomalies["all by rank"] = anomalies["both by rank"] / 2 + _rank(probability)
            for detector, score in anomalies.items():
                done.ablation[detector] = figures_of(seen.fraud, score, seen.quarters, seen.transactions)
        else:
            done.figures["past_auc"] = figures["auc"]
    for name, arrays in made.items():
        done.releases[name] = _release(name, arrays, done.figures, facts)
    return done


def _rank(score: Floats) -> Floats:
    """0 to 1."""
    ranks: Floats = np.argsort(np.argsort(score, kind="stable"), kind="stable") / len(score)
    return ranks


def _release(name: str, arrays: dict[str, NDArray[Any]], figures: dict[str, float], facts: _Facts) -> Release:
    artefact = npz(arrays)
    manifest = Manifest(
        name=FRAUD.name,
        version=facts.version if name == "fraud" else f"{facts.version}-{name}",
        format="npz",
        sha256=sha256(artefact).hexdigest(),
        data_hash=facts.data_hash,
        window=facts.window,
        metrics={name: value for name, value in figures.items() if np.isfinite(value)},
        decides=Decides(metric="auc", higher_is_better=True),
        created=facts.now,
        expires=facts.now + LIFE,
        made_by=facts.made_by,
        features=[Feature(name=feature, version=1) for feature in FEATURES],
        notes="Out of sample: each account is scored by a model that has not seen its campaign (docs/models/fraud.md).",
    )
    return Release(manifest, artefact)
