"""A refit with labels from the topic: better than what serves, it is released and a running worker swaps; worse, it is refused."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import orjson
import pytest
from confluent_kafka import Producer

from agents import app, profiles
from base.settings import Settings, get_settings
from console import fraud_data, fraud_topics, refit
from console.local.errors import LocalError
from models.fraud import fit
from tests import fraud
from tests.conftest import wait_for
from tests.contract.facade import assessing, new_chain
from tests.pipeline.conftest import Soba
from tests.pipeline.system import reading
from tests.unit.test_fraud_training import account, publish, rows, shrink
from topics.admin import create
from topics.clients import producer
from topics.partition import partition
from topics.releases import unpack

pytestmark = pytest.mark.pipeline


@pytest.fixture
def away(settings: Settings) -> Settings:
    """A Redis of one's own, so that heartbeats of this worker are not for tests of health to find."""
    create(settings)
    return settings.model_copy(update={"redis_url": f"{settings.redis_url.rpartition('/')[0]}/13"})


@pytest.fixture
def soba(
    soba: Soba, away: Settings, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Soba]:
    """Commands of a Soba with which the tiny model comes; whatever they released is taken back."""
    served: Any = SimpleNamespace(agents=lambda: [replace(profiles.AGENT, models=(fraud.served(tmp_path),))])
    monkeypatch.setitem(app.WORKERS, "fraud", served)
    monkeypatch.setenv("REDIS_URL", away.redis_url)
    monkeypatch.setenv("SOBA_DATA_DIR", str(tmp_path / "data"))
    get_settings.cache_clear()
    shrink(monkeypatch)
    yield soba
    soba("models", "rollback", "fraud", "--to", "tiny")


@pytest.fixture
def worker(away: Settings, tmp_path: Path) -> Iterator[Path]:
    """The worker `fraud` with the tiny model; its log."""
    log = tmp_path / "worker.log"
    with assessing(away, tmp_path):
        wait_for(lambda: _ready(log), 120)
        yield log


def _port(log: Path) -> str:
    found = re.search(r"health and metrics at http://127.0.0.1:(\d+)", log.read_text())
    return found[1] if found else ""


def _ready(log: Path) -> bool:
    try:
        return (
            bool(port := _port(log)) and httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False).status_code == 200
        )
    except httpx.HTTPError:
        return False


def serving(settings: Settings) -> str:
    """The model by which the worker assesses a request that is sent now."""
    chain = new_chain()
    value = {"fromAddress": account(1), "toAddress": account(2), "amount": 1, "chainId": chain}
    with reading(settings, "risk.scores") as reader:
        client = Producer(producer(settings))
        client.produce("swap.requests", json.dumps(value).encode(), account(1).encode())
        assert client.flush(60) == 0
        found: list[str] = []

        def told() -> bool:
            values = (orjson.loads(one.value() or b"null") for one in reader.consume(100, timeout=0.2))
            found.extend(one["model"] for one in values if one.get("chain_id") == chain)
            return bool(found)

        wait_for(told)
    return found[0]


def test_a_better_refit_is_released_and_a_worse_one_refused(
    soba: Soba, worker: Path, away: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "history"
    folder.mkdir()
    publish(folder)
    given = tmp_path / "labels.csv"
    (folder / fraud_data.LABELS).rename(given)  # what is known of the accounts comes by the topic alone
    assert soba("labels", "import", given)[0] == 0
    metrics = f"http://127.0.0.1:{_port(worker)}/metrics"
    wait_for(
        lambda: (
            'soba_fraud_outcomes{judged="unseen",label="fraud"} 60.0'
            in httpx.get(metrics, trust_env=False, timeout=60).text
        )
    )

    refitted = ("train", "fraud", "--data", folder, "--labels", "topic", "--history", "data", "--release")
    code, out, err = soba(*refitted, "--version", "better", "--json")
    assert (code, "released fraud/better in place of fraud/tiny: auc" in out) == (0, True), err
    assert "auc" in {row["name"] for row in json.loads(out.splitlines()[-1])["rows"]}
    manifest = unpack((tmp_path / "data" / "models" / "better" / "fraud.release").read_bytes()).manifest
    assert manifest.beside["tiny"]["auc"] < manifest.metrics["auc"]
    wait_for(lambda: serving(away) == "fraud/better")  # it is logged before it serves
    assert "fraud/better serves" in worker.read_text()

    monkeypatch.setattr(fit, "BOOSTING", {**fit.BOOSTING, "min_child_samples": 10_000})  # learns nothing
    code, _, err = soba(*refitted, "--version", "worse")
    assert (code, "not released: auc" in err, "of fraud/better on the same data" in err) == (1, True, True), err
    assert serving(away) == "fraud/better"

    # Of other data, where both are measured on the same accounts; those that `better` has learnt from by its folds.
    assert soba("labels", "add", account(0), "--label", "unknown")[0] == 0
    code, _, err = soba(*refitted, "--version", "worse-2")
    assert (code, "not released: auc" in err, "of fraud/better on the same data" in err) == (1, True, True), err
    last = unpack((tmp_path / "data" / "models" / "worse-2" / "fraud.release").read_bytes()).manifest
    assert last.data_hash != manifest.data_hash and last.beside["better"]["auc"] > last.metrics["auc"]

    code, out, _ = soba("models", "rollback", "fraud")
    assert (code, out.splitlines()[0]) == (0, "rolled back fraud from better to tiny")
    wait_for(lambda: serving(away) == "fraud/tiny")


def test_history_is_read_as_it_was_counted(soba: Soba, settings: Settings) -> None:
    """The newest revision of each block of a partition; nothing of removed ones, or of who is not labelled."""
    chain = new_chain()
    one, other = account(7), account(8)
    names = [f"{chain}:{address}" for address in (one, other)]

    def view(number: int, revision: int, wallets: dict[str, int], status: str = "complete") -> None:
        def moves(many: int) -> list[dict[str, Any]]:
            hashes = (f"0x{number:032x}{place:032x}" for place in range(many))
            return [
                {"kind": "transaction", "direction": "in", "transaction_hash": hash, "value_wei": "1"}
                for hash in hashes
            ]

        head = {
            "chain_id": chain,
            "number": number,
            "revision": revision,
            "status": status,
            "timestamp": 1_600_000_000 - number,
        }
        told = {**head, "median_gas_price_wei": 9, "wallets": {key: moves(many) for key, many in wallets.items()}}
        client = Producer(producer(settings))
        where = partition(names[0].encode(), settings.partitions)
        client.produce("wallet.activity", orjson.dumps(told), b"0", partition=where)
        assert client.flush(60) == 0

    view(1, 10, {names[0]: 3, names[1]: 1})
    view(1, 12, {names[0]: 2, names[1]: 0})
    view(1, 11, {names[0]: 5})
    view(2, 13, {names[0]: 20})
    view(3, 14, {names[0]: 1})
    view(3, 15, {names[0]: 0}, "removed")
    found = fraud_topics.history_of({names[0]})
    assert [(told.time, int(told.move["transaction_hash"][2:34], 16)) for told in found] == [
        *[(1_599_999_998, 2)] * 16,
        *[(1_599_999_999, 1)] * 2,
    ]
    assert {(told.account, told.market) for told in found} == {(names[0], 9)}
    assert {told.account for told in fraud_topics.history_of({*names})} == {names[0]}


def test_labels_of_files_and_topic_together(soba: Soba, tmp_path: Path) -> None:
    """The topic's hold; one that is unknown is not used."""
    folder = tmp_path / "history"
    folder.mkdir()
    publish(folder)
    soba("labels", "add", account(1), "--label", "ordinary", "--group", "mine")
    soba("labels", "add", account(3), "--label", "unknown")
    soba("labels", "add", account(5), "--label", "ordinary")
    quiet = list[str]().append
    with_files, alone = (refit.gather(folder, source, "data", quiet) for source in ("both", "data"))
    assert (with_files[1][account(1)].fraud, with_files[1][account(1)].group) == (False, "mine")
    assert with_files[1][account(5)] == alone[1][account(5)]._replace(fraud=False), "it stays in its campaign"
    assert alone[1][account(5)].group != account(5)
    assert alone[1][account(1)].fraud and account(3) in alone[1]
    assert account(3) not in {one.account for one in with_files[0]}
    with (folder / fraud_data.LABELS).open(newline="") as text:
        assert len(alone[1]) == len(list(csv.DictReader(text))) == len(rows()[2])
    with pytest.raises(LocalError, match="no folder is named"):
        refit.gather(None, "data", "data", quiet)
