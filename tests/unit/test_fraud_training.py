"""A model is trained on some campaigns and measured on others; what serves is what was trained."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from typer.testing import CliRunner

from console import champion, evaluate_fraud, fraud_data, label_file
from console.evaluate import app as evaluate
from console.local.errors import LocalError
from console.train import app as train_app
from models.artefacts import npz, read
from models.fraud import fit, training
from models.fraud.campaigns import FOLDS, Label, fold_of
from models.fraud.features import FEATURES, of_profile
from models.fraud.layout import FAILED, ZERO
from models.fraud.popularity import Popularity, dealings
from models.fraud.replay import AccountQuarter, Told, quarter, replay
from models.fraud.said import Parties, moves_of
from models.fraud.scorer import FRAUD, Scorer
from models.fraud.shapley import Shapley
from models.fraud.trees import LEAF, Trees
from models.fraud.windows import HOP_S, Windows
from models.releases import load
from topics.releases import pack, unpack
from topics.schemas.chain import WalletMove
from topics.schemas.models import Release

try:
    import lightgbm
except OSError as error:  # its wheel brings no OpenMP: libgomp1 of Debian
    if "CI" in os.environ:
        raise
    pytest.skip(f"LightGBM: {error}", allow_module_level=True)

BEGIN, DAY = 1_569_888_000, 86_400  # 2019-10-01: two quarters, one on each side of the year
ACCOUNTS, CAMPAIGN = 120, 3


def account(number: int) -> str:
    return f"0x{number:040x}"


def rows() -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, str]]]:
    """Accounts of which every other one collects round values by plain payments: a fraud that can be learnt."""
    chance = random.Random(5)
    transactions, transfers = [], []
    for number in range(ACCOUNTS):
        fraud = number % 2 == 1
        for turn in range(chance.randint(3, 9)):
            other = account(1_000 + chance.randint(0, 40))
            incoming = chance.random() < (0.9 if fraud else 0.4)
            ends = (other, account(number)) if incoming else (account(number), other)
            transactions.append(
                {
                    "account": account(number),
                    "direction": "in" if incoming else "out",
                    "ts": BEGIN + number % 2 * 7 + chance.randint(0, 180) * DAY,
                    "block": 9_000_000 + turn,
                    "tx_index": turn,
                    "tx_hash8": f"0x{number * 100 + turn:016x}",
                    "from": ends[0],
                    "to": ends[1],
                    "value_wei": str(10**18 if fraud else chance.randint(1, 10**18)),
                    "gas": 21_000 if fraud else 60_000,
                    "gas_price_wei": chance.randint(1, 40) * 10**9,
                    "gas_used": 21_000,
                    "is_error": int(chance.random() < 0.05),
                    "method_id": "" if fraud else "0xa9059cbb",
                }
            )
        if number % 3 == 0:
            transfers.append(
                {
                    **{
                        name: transactions[-1][name]
                        for name in ("account", "direction", "ts", "block", "tx_hash8", "from", "to")
                    },
                    "token": account(7),
                    "value_raw": "0",
                }
            )
    labels = [
        {"address": account(number), "label": str(number % 2), "group": f"g{number // 2 // CAMPAIGN}-{number % 2}"}
        for number in range(ACCOUNTS)
    ]
    transactions.sort(key=lambda row: row["ts"])
    return transactions, transfers, labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled history as it is published."""
    where = tmp_path_factory.mktemp("history")
    publish(where)
    return where


def publish(where: Path) -> None:
    """Write it into a folder."""
    transactions, transfers, labels = rows()
    parquet.write_table(pa.Table.from_pylist(transactions), where / fraud_data.TRANSACTIONS)
    parquet.write_table(pa.Table.from_pylist(transfers), where / fraud_data.TRANSFERS)
    with (where / fraud_data.LABELS).open("w", newline="") as text:
        lines = csv.DictWriter(text, ("address", "label", "group"))
        lines.writeheader()
        lines.writerows(labels)


@pytest.fixture(scope="module")
def history(folder: Path) -> tuple[list[Told], dict[str, Label]]:
    return fraud_data.read(folder, lambda text: None)


def shrink(few: pytest.MonkeyPatch) -> None:
    """Make training short."""
    few.setattr(training, "ROUNDS", 10)
    few.setattr(training, "PAST_ROUNDS", 10)
    few.setattr(fit, "ISOLATION_TREES", 10)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short training."""
    shrink(monkeypatch)


@pytest.fixture(scope="module")
def made(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """What `soba train fraud` writes, and what it prints."""
    out = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as few:
        shrink(few)
        result = CliRunner().invoke(train_app, ["fraud", "--data", str(folder), "--out", str(out), "--json"])
    assert result.exit_code == 0, result.output
    return out, json.loads(result.stdout.splitlines()[-1])


def scorer(file: Path) -> Scorer:
    found: Scorer = load(unpack(file.read_bytes()), FRAUD).loaded
    return found


def test_history_comes_in_order_of_time_as_moves(history: tuple[list[Told], dict[str, Label]]) -> None:
    told, labels = history
    assert [one.time for one in told] == sorted(one.time for one in told)
    assert {one.move["kind"] for one in told} == {"transaction", "transfer"}
    assert all(one.move.get("selector") in ("0x", "0xa9059cbb") for one in told if one.move["kind"] == "transaction")
    assert labels[account(1)] == Label(True, "g0-1")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gas": -1}, "row 0, gas"),
        ({"direction": "up"}, "row 0, direction"),
        ({"value_wei": "1.5"}, "row 0, value_wei"),
    ],
)
def test_a_bad_row_is_named(folder: Path, tmp_path: Path, change: dict[str, Any], words: str) -> None:
    transactions, _, _ = rows()
    for name in (fraud_data.TRANSFERS, fraud_data.LABELS):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    parquet.write_table(pa.Table.from_pylist([{**transactions[0], **change}]), tmp_path / fraud_data.TRANSACTIONS)
    with pytest.raises(LocalError, match=words):
        fraud_data.read(tmp_path, lambda text: None)


def test_a_folder_without_the_files_is_told_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"eth_labels\.csv cannot be read"):
        fraud_data.read(tmp_path, lambda text: None)
    for command in (["fraud", "--data", str(tmp_path)], ["reference", "--data", str(tmp_path)]):
        with pytest.raises(LocalError, match=r"eth_labels\.csv is not there; --data takes a folder"):
            CliRunner().invoke(train_app, command, catch_exceptions=False)


def test_what_training_sees_of_a_wallet_is_what_serving_sees(history: tuple[list[Told], dict[str, Label]]) -> None:
    """Both tell the same moves, one by account and quarter, the other in windows as the agent does; features are equal."""
    told = [one for one in history[0] if one.time // HOP_S == BEGIN // HOP_S + 1]  # one window, within one quarter
    replayed = replay(told, lambda account: lambda address: 3.0)
    windows: dict[str, Windows] = {}
    level = None
    for one in told:
        if price := one.move.get("gas_price_wei"):  # the market of the history, which blocks tell in the stream
            paid = np.log2(price)
            level = paid if level is None else level + max(-0.05, min(0.05, paid - level))
        market = None if level is None else round(2.0**level)
        windows.setdefault(one.account, Windows()).add(
            [moves_of(one.move, one.time, market, Parties(lambda address: 3.0))]
        )
    assert len(replayed) == len(windows) > 20
    for (account, _), seen in replayed.items():
        served = windows[account].scored
        assert served is not None and repr(of_profile(served)) == repr(of_profile(seen.profile))


def test_popularity_does_not_count_a_wallets_own_campaign(history: tuple[list[Told], dict[str, Label]]) -> None:
    told, labels = history
    pairs = dealings(told)
    everyone = {label.group for label in labels.values()}
    address = account(1_003)
    dealt = {account for one, account in pairs if one == address}
    counted = Popularity(pairs, labels, everyone)
    for who in sorted(dealt):
        others = {one for one in dealt if labels[one].group != labels[who].group}
        assert counted.of(who)(address) == (len(others) if len(others) >= 2 else 0)
    nobody = Popularity(pairs, labels, ())
    assert nobody.of(account(0))(address) == 0


def test_no_campaign_is_in_a_model_that_judges_it(made: tuple[Path, dict[str, Any]], folder: Path) -> None:
    out, _ = made
    _, labels = fraud_data.read(folder, lambda text: None)
    groups = {label.group for label in labels.values()}
    for fold in range(FOLDS):
        trained_on = scorer(out / "unseen" / f"fold-{fold}.release").groups
        assert len(trained_on) == len({group for group in groups if fold_of(group) != fold})
    assert len(scorer(out / "fraud.release").groups) == len(groups)


def test_what_can_be_learnt_is_learnt_and_told(made: tuple[Path, dict[str, Any]]) -> None:
    out, printed = made
    told = {row["name"]: row["value"] for row in printed["rows"]}
    assert told["auc"] > 0.9
    assert "HDBSCAN alone: auc" in told
    release = unpack((out / "fraud.release").read_bytes())
    assert release.manifest.metrics["auc"] == pytest.approx(told["auc"], abs=1e-4)
    assert release.manifest.created.tzinfo is not None


def test_scores_are_probabilities_in_the_order_of_levels(made: tuple[Path, dict[str, Any]]) -> None:
    found = scorer(made[0] / "fraud.release")
    vectors = np.random.default_rng(1).normal(size=(600, len(FEATURES)))
    vectors[::7, ::3] = np.nan
    scores = found.score(vectors)
    assert scores.probability.min() >= 0
    assert scores.probability.max() <= 1
    anomaly = found.anomaly(vectors)
    assert ((anomaly >= 0) & (anomaly <= 1)).all()
    rank = ["low", "medium", "high", "critical"]
    by_probability = [rank.index(scores.levels[place]) for place in np.argsort(scores.probability, kind="stable")]
    assert by_probability == sorted(by_probability)
    alone = found.score(vectors[5:6])
    assert alone.probability[0] == pytest.approx(scores.probability[5], abs=1e-12)
    assert all(len(one) <= 3 for one in found.reasons(vectors[:5]))
    assert all(found.behaviour(vectors[:5]))


def test_evaluation_scores_every_account_quarter_by_a_model_that_has_not_seen_it(
    made: tuple[Path, dict[str, Any]], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, printed = made
    monkeypatch.setattr(evaluate_fraud, "FOLDER", out)
    file = tmp_path / "scores.csv"
    result = CliRunner().invoke(evaluate, ["fraud", "--data", str(folder), "--out", str(file), "--json"])
    assert result.exit_code in (0, 1), result.output
    with file.open(newline="") as text:
        lines = list(csv.DictReader(text))
    assert [*lines[0]] == ["address", "quarter", "n_tx", "score"]
    transactions, _, _ = rows()
    units = {(row["account"], quarter(row["ts"])) for row in transactions}
    assert {(line["address"], line["quarter"]) for line in lines} == units
    assert sum(int(line["n_tx"]) for line in lines) == len(transactions)
    told = {row["name"]: row["value"] for row in json.loads(result.stdout.splitlines()[-1])["rows"]}
    trained = {row["name"]: row["value"] for row in printed["rows"]}
    assert told["account-quarter AUC, pooled"] == pytest.approx(trained["auc"], abs=1e-3)


def test_a_wallet_is_counted_once_by_its_busiest_quarter() -> None:
    units = [AccountQuarter(*unit) for unit in (("a", "2019Q1"), ("a", "2019Q2"), ("b", "2019Q1"), ("c", "2019Q3"))]
    assert evaluate_fraud.busiest(units, np.array([3, 60, 51, 1], np.int64)).tolist() == [1, 2, 3]
    assert evaluate_fraud.busiest(units, np.array([60, 60, 51, 1], np.int64)).tolist() == [0, 2, 3]


def test_drift_of_the_newest_quarter_is_told(
    made: tuple[Path, dict[str, Any]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate_fraud, "FOLDER", made[0])
    asked = ["drift", "--data", str(folder), "--json", "--quarters"]
    result = CliRunner().invoke(evaluate, [*asked, "1"])
    assert result.exit_code == 0, result.output
    told = {row["name"]: row["value"] for row in json.loads(result.stdout.splitlines()[-1])["rows"]}
    units = {(row["account"], quarter(row["ts"])) for row in rows()[0]}
    late = sum(one == "2020Q1" for _, one in units)
    assert (told["account-quarters up to 2019Q4"], told["account-quarters from 2020Q1 to 2020Q1"]) == (
        len(units) - late,
        late,
    )
    assert min(value for name, value in told.items() if name.startswith("PSI")) >= 0
    assert told["features above 0.25"] <= told["features above 0.1"]
    assert "the history has 2 quarters" in str(CliRunner().invoke(evaluate, [*asked, "2"]).exception)


def test_trees_say_what_lightgbm_says_and_why() -> None:
    chance = np.random.default_rng(3)
    values = chance.normal(size=(800, 6))
    values[chance.random(values.shape) < 0.1] = np.nan
    flags = (np.nan_to_num(values[:, 0]) + np.nan_to_num(values[:, 1]) * np.isnan(values[:, 2]) > 0).astype(float)
    settings = {
        "objective": "binary",
        "verbose": -1,
        "max_depth": 5,
        "seed": 1,
        "num_threads": 1,
        "zero_as_missing": False,
    }
    trained = lightgbm.train(settings, lightgbm.Dataset(values, flags), 30)
    trees = Trees.of(fit._boosted(trained.dump_model()), "boosted")
    fresh = chance.normal(size=(300, 6))
    fresh[chance.random(fresh.shape) < 0.2] = np.nan
    assert np.abs(trees.sums(fresh) - trained.predict(fresh, raw_score=True)).max() < 1e-9
    told = np.asarray(trained.predict(fresh[:40], pred_contrib=True))[:, :-1]
    shapley = Shapley.of(trees)
    assert np.abs(shapley.adds(fresh[:40]) - told).max() < 1e-6
    assert np.array_equal(shapley.adds(fresh[7:8])[0], shapley.adds(fresh[:40])[7])


def test_the_flat_forest_is_scikit_learns() -> None:
    from sklearn.ensemble import IsolationForest

    values = np.random.default_rng(4).normal(size=(500, 5)).astype(np.float32)
    forest = IsolationForest(n_estimators=50, max_samples=256, random_state=2).fit(values)
    trees = Trees.of(fit.flattened(forest), "forest")
    mean = trees.sums(values.astype(float)) / 50
    scored = -(2.0 ** (-mean / fit._average_path(256)))
    assert np.abs(scored - forest.score_samples(values)).max() < 1e-6


def test_the_same_data_makes_the_same_model(history: tuple[list[Told], dict[str, Label]], small: None) -> None:
    """Byte for byte, so that a refit can be checked by whoever has its data."""
    now = datetime(2024, 1, 1, tzinfo=UTC)
    first, again = (training.train(*history, "1", "soba", now, lambda text: None).releases for _ in range(2))
    assert {name: one.manifest for name, one in first.items()} == {name: one.manifest for name, one in again.items()}
    assert {*first} == {"fraud", "past", *(f"{kind}-{fold}" for kind in ("fold", "past") for fold in range(FOLDS))}


def test_a_history_of_one_quarter_makes_no_models_of_the_past(
    history: tuple[list[Told], dict[str, Label]], small: None
) -> None:
    told, labels = history
    late = [one._replace(time=BEGIN + place) for place, one in enumerate(told)]
    made = training.train(late, labels, "1", "soba", datetime(2024, 1, 1, tzinfo=UTC), lambda text: None)
    assert {*made.releases} == {"fraud", *(f"fold-{fold}" for fold in range(FOLDS))}
    assert "past_auc" not in made.figures and made.figures["auc"] > 0.9


def test_too_little_history_is_told(history: tuple[list[Told], dict[str, Label]]) -> None:
    told, labels = history
    few = [one for one in told if not labels[one.account].fraud or int(one.account, 16) < 20]
    same = {account: Label(label.fraud, str(label.fraud)) for account, label in labels.items()}
    now = datetime(2024, 1, 1, tzinfo=UTC)
    for moves, known, words in (
        ([], labels, "fraud accounts with a history: only 0"),
        (few, labels, "fraud accounts with a history: only 10"),
        (told, same, "too few campaigns, in 1 of 5"),
    ):
        with pytest.raises(training.TooLittle, match=words):
            training.train(moves, known, "1", "soba", now, lambda text: None)


def test_where_blocks_tell_the_market_it_is_not_guessed(history: tuple[list[Told], dict[str, Label]]) -> None:
    """As in wallet.activity: features of history are then those of serving."""
    gas = 7 * 10**9
    told = [one._replace(market=gas) for one in history[0] if one.time // HOP_S == BEGIN // HOP_S + 1]
    replayed = replay(told, lambda account: lambda address: 0.0)
    windows: dict[str, Windows] = {}
    for one in told:
        windows.setdefault(one.account, Windows()).add(
            [moves_of(one.move, one.time, gas, Parties(lambda address: 0.0))]
        )
    for (account, _), seen in replayed.items():
        served = windows[account].scored
        assert served is not None and repr(of_profile(served)) == repr(of_profile(seen.profile))


def test_a_release_is_told_what_it_was_trained_on_without_another_word_of_it(
    made: tuple[Path, dict[str, Any]], folder: Path, tmp_path: Path
) -> None:
    """The model and what it says stay; the reference is that which training itself writes."""
    trained = unpack((made[0] / "fraud.release").read_bytes())
    arrays = read("npz", trained.artefact)
    bare = {name: array for name, array in arrays.items() if not name.startswith("reference_")}
    artefact = npz(bare)
    manifest = trained.manifest.model_copy(update={"version": "bare", "sha256": sha256(artefact).hexdigest()})
    shutil.copytree(made[0] / "unseen", tmp_path / "unseen")
    file = tmp_path / "fraud.release"
    file.write_bytes(pack(Release(manifest, artefact)))
    assert scorer(file).reference is None
    vectors = np.random.default_rng(2).normal(size=(50, len(FEATURES)))
    said, unusual = scorer(file).score(vectors), scorer(file).anomaly(vectors)

    told = CliRunner().invoke(train_app, ["reference", "--data", str(folder), "--out", str(tmp_path)])
    assert told.exit_code == 0, told.output
    after = unpack(file.read_bytes())
    assert after.manifest.version == "bare.1"
    now = scorer(file)
    assert (now.score(vectors).probability == said.probability).all()
    assert (now.anomaly(vectors) == unusual).all() and now.score(vectors).levels == said.levels
    rewritten = read("npz", after.artefact)
    assert rewritten.keys() == arrays.keys()
    assert all(np.array_equal(rewritten[name], arrays[name], equal_nan=True) for name in bare)
    edges, reference = rewritten["reference_edges"], now.reference
    assert reference is not None and np.allclose(edges, arrays["reference_edges"])
    assert np.abs(reference.counts - arrays["reference_counts"]).sum() <= 4, (
        "a score on an edge may fall on either side"
    )


def test_a_model_without_all_that_judge_its_own_accounts_is_told(
    made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "fraud.release").write_bytes((made[0] / "fraud.release").read_bytes())
    with pytest.raises(LocalError, match=r"fold-0\.release cannot be used"):
        evaluate_fraud.judges(past=False, folder=tmp_path)


@pytest.mark.parametrize("text", [b"address,label,group\n\xff\xfe,1,a\n", b"address,label,group\n" + b"x" * 140_000])
def test_a_file_that_is_no_table_of_labels_is_told(text: bytes, tmp_path: Path) -> None:
    file = tmp_path / fraud_data.LABELS
    file.write_bytes(text)
    with pytest.raises(LocalError, match=r"eth_labels\.csv cannot be read"):
        fraud_data.labels_of(tmp_path)
    with pytest.raises(LocalError, match=r"eth_labels\.csv cannot be read"):
        label_file.read(file, "desk", datetime.now(UTC))


def test_what_was_trained_is_kept_where_no_kafka_tells_what_serves(
    folder: Path, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Any:
        raise LocalError("no Kafka answers")

    monkeypatch.setattr(champion, "serving", away)
    told = CliRunner().invoke(train_app, ["fraud", "--data", str(folder), "--out", str(tmp_path), "--release"])
    assert isinstance(told.exception, LocalError) and "no Kafka answers" in str(told.exception)
    assert scorer(tmp_path / "fraud.release") and len(evaluate_fraud.judges(past=False, folder=tmp_path).folds) == FOLDS


def test_a_release_is_not_told_of_other_data(made: tuple[Path, dict[str, Any]], folder: Path, tmp_path: Path) -> None:
    for name in (fraud_data.TRANSACTIONS, fraud_data.TRANSFERS):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    labels = (folder / fraud_data.LABELS).read_text()
    (tmp_path / fraud_data.LABELS).write_text(labels.replace("g0-1", "g9-1"))
    told = CliRunner().invoke(train_app, ["reference", "--data", str(tmp_path), "--out", str(made[0])])
    assert isinstance(told.exception, LocalError) and "was not trained on" in str(told.exception)


@pytest.mark.parametrize(
    "name",
    ["boosted_left", "boosted_roots", "boosted_value", "cuts", "known", "behaviour_core", "behaviour_axes", "behaviour_middle",
     "behaviour_marks"],
)  # fmt: skip
def test_arrays_that_are_no_model_are_refused(made: tuple[Path, dict[str, Any]], name: str) -> None:
    release = unpack((made[0] / "fraud.release").read_bytes())
    arrays = read("npz", release.artefact)
    for broken in (np.array([LEAF, 5_000_000]), np.full_like(arrays[name], 5_000)[:-1]):
        with pytest.raises((ValueError, KeyError)):
            Scorer.of(release.manifest, {**arrays, name: broken})


def test_what_a_wallet_sent_to_itself_moves_nothing_as_in_the_stream(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    file = tmp_path / fraud_data.TRANSACTIONS
    table = [row for row in parquet.read_table(file).to_pylist() if row["direction"] == "out"]
    mine = {**table[0], "to": table[0]["from"], "is_error": 0}
    parquet.write_table(pa.Table.from_pylist([mine]), file)
    told = [one for one in fraud_data.history_of(tmp_path, lambda text: None) if one.move["kind"] == "transaction"]
    assert [one.move["direction"] for one in told] == ["self"]
    ((_, one),) = replay(told, lambda account: lambda address: 0.0).items()
    assert (one.profile.went.moves, one.profile.went.total, one.profile.went.numbers[ZERO]) == (1, 0.0, 1)


def test_a_move_of_history_is_a_move_of_the_stream() -> None:
    move = WalletMove(kind="transaction", direction="in", transaction_hash="0x" + "ab" * 32, value_wei="5", status=0)
    told = [Told(account(1), int(datetime(2020, 1, 1, tzinfo=UTC).timestamp()), move)]
    ((unit, one),) = replay(told, lambda account: lambda address: 0.0).items()
    assert (unit.quarter, one.transactions, one.profile.came.numbers[FAILED], one.profile.came.total) == (
        "2020Q1",
        1,
        1,
        0.0,
    )
