"""From labelled history to a fraud model, and figures of it that no account helped to make which it is measured on.

Accounts of one campaign are never on both sides of a split: folds go by campaign group. A model is measured on what others of its
kind, trained without that account's fold, say of it; calibration and cuts come from those scores alone.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from models.fraud import behaviour
from models.fraud.features import FEATURES, numbers, of_all
from models.fraud.measure import ece, figures_of
from models.fraud.replay import AccountQuarter, Fame, Replayed, Told, quarter, replay
from models.fraud.scorer import FRAUD
from models.fraud.trees import LEAF, Trees
from models.fraud.walk import Floats
from topics.schemas.models import Decides, Feature, Manifest, Release, Window

FOLDS = 5
EARLY = (1, 3, 10, 30)
"""A wallet is also learnt from as it looked after so many transactions, each look for less."""
EARLY_WEIGHT = 0.3
KNOWN = 2
"""An address is known that at least so many wallets dealt with."""
PAST_ENDS = "2020Q1"
"""What the models of the past may not have seen, nor later."""
ROUNDS, PAST_ROUNDS = 450, 300
ISOLATION_TREES = 100
ODDS = 12.0
"""Log-odds beyond this are not told apart."""
LIFE = timedelta(days=365)
SEED = 7

BOOSTING = {
    "objective": "binary",
    "learning_rate": 0.04,
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


class Label(NamedTuple):
    """What is known of an account: fraud or not, and its campaign, by which data is split."""

    fraud: bool
    group: str


Labels = Mapping[str, Label]
Say = Callable[[str], None]


def fold_of(group: str) -> int:
    """The fold of a campaign."""
    return int(sha256(f"fold:{group}".encode()).hexdigest()[:8], 16) % FOLDS


class Popularity:
    """How many wallets of some campaigns dealt with an address, or held it as a token.

    To a wallet of one of those campaigns, its own campaign does not count: a model must not learn from itself.
    """

    def __init__(self, dealings: Iterable[tuple[str, str]], labels: Labels, among: Iterable[str]) -> None:
        self._labels, self._among = labels, frozenset(among)
        self._counts: Counter[str] = Counter()
        self._own: Counter[tuple[str, str]] = Counter()
        for address, account in dealings:
            if (group := labels[account].group) in self._among:
                self._counts[address] += 1
                self._own[address, group] += 1

    def of(self, account: str) -> Fame:
        """What an account's model knows of addresses."""
        group = self._labels[account].group
        own = group if group in self._among else None

        def fame(address: str) -> float:
            count = self._counts.get(address, 0)
            if count and own is not None:
                count -= self._own.get((address, own), 0)
            return float(count) if count >= KNOWN else 0.0

        return fame

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As a scorer takes it."""
        known = sorted((crc32(address.encode()), count) for address, count in self._counts.items() if count >= KNOWN)
        marks, counts = zip(*known, strict=True) if known else ((), ())
        return {"famous": np.array(marks, np.uint32), "wallets": np.minimum(counts, 65_535).astype(np.uint16)}


def dealings(history: Iterable[Told]) -> set[tuple[str, str]]:
    """Which account dealt with which address or token."""
    found = set()
    for account, _, move in history:
        for address in (move.peer, move.token):
            if address is not None:
                found.add((address, account))
    return found


@dataclass(slots=True)
class Seen:
    """Account-quarters as one model sees them: `units` in order, and the vectors of each, (units, features)."""

    units: list[AccountQuarter]
    vectors: Floats
    early: dict[int, Floats]
    """Vectors after so many transactions; NaN where there were fewer."""
    transactions: NDArray[np.int64]
    fraud: NDArray[np.bool_]
    groups: list[str]

    @classmethod
    def of(cls, replayed: Mapping[AccountQuarter, Replayed], labels: Labels) -> Seen:
        """All account-quarters with a transaction."""
        units = sorted(unit for unit, one in replayed.items() if one.transactions)
        early = {mark: np.full((len(units), len(FEATURES)), np.nan) for mark in EARLY}
        for mark, vectors in early.items():
            there = [place for place, unit in enumerate(units) if mark in replayed[unit].early]
            vectors[there] = of_all(replayed[units[place]].early[mark] for place in there)
        return cls(
            units,
            of_all(numbers(replayed[unit].profile) for unit in units),
            early,
            np.array([replayed[unit].transactions for unit in units], np.int64),
            np.array([labels[unit.account].fraud for unit in units], np.bool_),
            [labels[unit.account].group for unit in units],
        )

    @property
    def quarters(self) -> NDArray[np.str_]:
        """Of each unit."""
        return np.array([unit.quarter for unit in self.units])


def boost(seen: Seen, rows: NDArray[np.bool_], rounds: int, early: Iterable[int]) -> dict[str, NDArray[Any]]:
    """Boosted trees (LightGBM) trained on some units, also as they looked after `early` transactions, as arrays.

    A campaign counts by the root of its account-quarters: the largest, of a thousand accounts, would else be what is learnt.
    """
    import lightgbm

    sizes = Counter(seen.groups)
    weights = np.array([sizes[group] ** -0.5 for group in seen.groups])
    parts, labels, heavy = [seen.vectors[rows]], [seen.fraud[rows]], [weights[rows]]
    for mark in early:
        there = rows & (seen.transactions >= mark)
        parts.append(seen.early[mark][there])
        labels.append(seen.fraud[there])
        heavy.append(EARLY_WEIGHT * weights[there])
    data = lightgbm.Dataset(np.vstack(parts), np.concatenate(labels).astype(float), weight=np.concatenate(heavy))
    trained = lightgbm.train(BOOSTING, data, rounds)
    return _boosted(trained.dump_model())


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


@dataclass(slots=True)
class Trained:
    """Everything that training makes. `releases` by name: `fraud`, and those that score accounts of the training data."""

    releases: dict[str, Release] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    ablation: dict[str, dict[str, float]] = field(default_factory=dict)


def train(history: Sequence[Told], labels: Labels, version: str, made_by: str, now: datetime, say: Say) -> Trained:
    """Train on a history in order of time; `say` is told of each step.

    Makes the model that serves (all campaigns); one for each fold, trained without it; and the same again of the past alone, which
    ends before `PAST_ENDS`. What a model knows of addresses comes from its own training accounts and time.
    """
    pairs = dealings(history)
    groups = sorted({labels[account].group for account, _, _ in history})
    before = [told for told in history if quarter(told.time) < PAST_ENDS]
    past_pairs = dealings(before)
    data_hash = _hash(history, labels)
    window = Window(
        first=datetime.fromtimestamp(history[0].time, UTC), last=datetime.fromtimestamp(history[-1].time, UTC)
    )
    made: dict[str, dict[str, NDArray[Any]]] = {}
    seen_by: dict[str, Seen] = {}
    for name, left_out, dealt, past in _plans(pairs, past_pairs):
        say(f"{name}: profiles")
        among = [group for group in groups if fold_of(group) != left_out]
        popularity = Popularity(dealt, labels, among)
        seen = seen_by[name] = Seen.of(replay(history, popularity.of, EARLY), labels)
        rows = np.array([fold_of(group) != left_out for group in seen.groups])
        if past:
            rows &= seen.quarters < PAST_ENDS
        say(f"{name}: trees from {rows.sum():,} account-quarters")
        made[name] = {
            **(boost(seen, rows, PAST_ROUNDS, ()) if past else boost(seen, rows, ROUNDS, EARLY)),
            **isolate(seen.vectors[rows & ~seen.fraud]),
            **behaviour.fit(seen.vectors[rows], seen.fraud[rows], SEED),
            **popularity.arrays(),
            "groups": np.array([crc32(group.encode()) for group in among], np.uint32),
        }
    return _finish(made, seen_by, _Facts(version, made_by, now, data_hash, window), say)


def _hash(history: Iterable[Told], labels: Labels) -> str:
    digest = sha256()
    for account, time, move in history:
        label = labels[account]
        digest.update(
            f"{account} {time} {move.transaction_hash} {move.direction} {label.fraud:d} {label.group}\n".encode()
        )
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Facts:
    version: str
    made_by: str
    now: datetime
    data_hash: str
    window: Window


def _plans(
    pairs: set[tuple[str, str]], past: set[tuple[str, str]]
) -> Iterable[tuple[str, int, set[tuple[str, str]], bool]]:
    yield "fraud", -1, pairs, False
    yield "past", -1, past, True
    for fold in range(FOLDS):
        yield f"fold-{fold}", fold, pairs, False
        yield f"past-{fold}", fold, past, True


def _finish(made: dict[str, dict[str, NDArray[Any]]], seen_by: dict[str, Seen], facts: _Facts, say: Say) -> Trained:
    """Calibrate every model by what models say of accounts they have not seen, and measure."""
    seen = seen_by["fraud"]
    folds = np.array([fold_of(group) for group in seen.groups])
    sizes = Counter(seen.groups)
    weights = np.array([sizes[group] ** -0.5 for group in seen.groups])
    done = Trained()
    say("calibration and figures")
    for kind, name in (("fold", "fraud"), ("past", "past")):
        counted = np.ones(len(folds), bool) if kind == "fold" else seen.quarters >= PAST_ENDS
        odds, first, lengths, unusual = (np.full(len(folds), np.nan) for _ in range(4))
        for fold in range(FOLDS):
            mine, arrays = folds == fold, made[f"{kind}-{fold}"]
            unseen = seen_by[f"{kind}-{fold}"]
            trees, forest = Trees.of(arrays, "boosted"), Trees.of(arrays, "forest")
            odds[mine] = trees.sums(unseen.vectors[mine])
            first[mine] = trees.sums(unseen.early[1][mine])
            lengths[mine] = forest.sums(np.nan_to_num(unseen.vectors[mine]))
            unusual[mine] = behaviour.Behaviours.of(arrays).unusual(unseen.vectors[mine])
        probability = np.full(len(folds), np.nan)
        for fold in (-1, *range(FOLDS)):
            others = counted & (folds != fold)
            key = name if fold < 0 else f"{kind}-{fold}"
            made[key] |= calibrate(odds[others], seen.fraud[others], weights[others])
            mine = folds == fold
            probability[mine] = np.interp(odds[mine], made[key]["known"], made[key]["calibrated"])
        for fold in (-1, *range(FOLDS)):
            others = counted & (folds != fold)
            made[name if fold < 0 else f"{kind}-{fold}"]["cuts"] = cuts(probability[others], seen.fraud[others])
        told = figures_of(seen.fraud[counted], probability[counted], seen.quarters[counted], seen.transactions[counted])
        if kind == "fold":
            done.figures |= told
            single = figures_of(seen.fraud, first, seen.quarters, seen.transactions)
            done.figures |= {"single_auc": single["auc"], "ece": ece(seen.fraud, probability)}
            done.ablation["boosted trees"] = told
            anomalies = {
                "isolation forest": -lengths,
                "HDBSCAN": unusual,
                "both by rank": _rank(-lengths) + _rank(unusual),
            }
            anomalies["all by rank"] = anomalies["both by rank"] / 2 + _rank(probability)
            for detector, score in anomalies.items():
                done.ablation[detector] = figures_of(seen.fraud, score, seen.quarters, seen.transactions)
        else:
            done.figures["past_auc"] = told["auc"]
    for name, arrays in made.items():
        done.releases[name] = _release(name, arrays, done.figures, facts)
    return done


def _rank(score: Floats) -> Floats:
    """0 to 1."""
    ranks: Floats = np.argsort(np.argsort(score, kind="stable"), kind="stable") / len(score)
    return ranks


def _release(name: str, arrays: dict[str, NDArray[Any]], figures: dict[str, float], facts: _Facts) -> Release:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    artefact = buffer.getvalue()
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
