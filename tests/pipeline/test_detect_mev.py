"""Questions about MEV over HTTP, answered by the real chain worker."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
import redis

from base.settings import Settings
from facade.routes.mev import EXAMPLE
from tests.conftest import wait_for
from tests.contract.facade import failed, finding, hash_of, mev_row, new_chain, serving, working, write
from topics.admin import create
from topics.schemas.mev import Kind

pytestmark = pytest.mark.pipeline
DETECT = "/api/python/blockchain/detect-mev"


@pytest.fixture(scope="module")
def away(settings: Settings) -> Settings:
    """A Redis of one's own, so that heartbeats of this worker are not for tests of health to find."""
    create(settings)
    address = f"{settings.redis_url.rpartition('/')[0]}/12"
    return settings.model_copy(update={"redis_url": address, "rate_limit_per_minute": 100_000})


@pytest.fixture(scope="module")
def http(away: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A facade, and behind it the worker that answers."""
    log = tmp_path_factory.mktemp("chain") / "worker.log"
    with working("chain", away, log) as worker, serving(away) as client:
        wait_for(lambda: _ready(client, worker, log), 120)
        yield client


def _ready(client: httpx.Client, worker: subprocess.Popen[bytes], log: Path) -> bool:
    assert worker.poll() is None, log.read_text()[-3000:]
    return client.post(DETECT, json=EXAMPLE).status_code == 200


@pytest.fixture
def store(away: Settings) -> Iterator[redis.Redis]:
    """Their Redis."""
    with redis.Redis.from_url(away.redis_url) as client:
        yield client


def ask(http: httpx.Client, **question: Any) -> dict[str, Any]:
    answer = http.post(DETECT, json=question)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    assert (data["source"], data["latency_ms"] > 0, bool(data["evidence"])) == ("fresh", True, True)
    return data


def test_amounts_and_times_are_answered_with_little_confidence(http: httpx.Client) -> None:
    data = ask(http, **EXAMPLE)
    assert (data["is_mev"], data["mev_type"], data["confidence"]) == (True, "sandwich", 0.4)
    assert "fromAddress" in data["unknown"] and data["model"] == "mev-patterns/1"
    assert ask(http, target_tx=EXAMPLE["targetTx"], surrounding_txs=EXAMPLE["surroundingTxs"])["confidence"] == 0.4
    alone = ask(http, targetTx={"amount": 1}, surroundingTxs=[])
    assert (alone["is_mev"], alone["mev_type"], alone["basis"]) == (False, None, "nothing")
    odd = ask(http, targetTx={"amount": 1, "mood": {"a": [[]]}})
    assert [one["field"] for one in odd["warnings"]] == ["targetTx.mood"]


@pytest.mark.parametrize("kind", get_args(Kind))
def test_what_the_mev_agent_found_is_said(http: httpx.Client, store: redis.Redis, kind: Kind) -> None:
    chain = new_chain()
    found = finding(chain, 7, kind=kind)
    write(store, mev_row(chain, 7, [found]))
    for hash in found.named():
        data = ask(http, targetTx={"hash": hash}, chainId=chain)
        assert (data["is_mev"], data["mev_type"], data["basis"], data["model"]) == (True, kind, "table", found.model)
        assert [one["id"] for one in data["findings"]] == [found.id] and data["role"] is not None
    looked = ask(http, targetTx={"hash": hash_of(1), "blockNumber": 7}, chainId=chain)
    assert (looked["is_mev"], looked["basis"], looked["confidence"]) == (False, "table", 0.9)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"targetTx": {"amount": -5}}, "targetTx.amount"),
        ({"targetTx": {"amount": "much"}}, "targetTx.amount"),
        ({"targetTx": {"amount": 1, "gas_price": -1}}, "targetTx.gas_price"),
        ({"targetTx": {"amount": 1, "timestamp": "tomorrow"}}, "targetTx.timestamp"),
        ({"targetTx": {}}, "targetTx"),
        ({"targetTx": None}, "targetTx"),
        ({"targetTx": [1]}, "targetTx"),
        ({"surroundingTxs": [{"amount": 1}, {"timestamp": 5}]}, "surroundingTxs.1"),
        ({"surroundingTxs": 5}, "surroundingTxs"),
        ({"surroundingTxs": [{"amount": 1}] * 1_001}, "surroundingTxs"),
        ({"chainId": -1}, "chainId"),
    ],
)
def test_bad_input_is_refused_by_field(http: httpx.Client, change: dict[str, Any], field: str) -> None:
    told = failed(http.post(DETECT, json={**EXAMPLE, **change}), 422, "invalid_request")
    assert [one["field"] for one in told["details"]] == [field]
    assert all(one["fault"] and one["expected"] is not None for one in told["details"])


@pytest.mark.parametrize("body", [{}, [], "x", 5])
def test_what_is_no_question_is_refused(http: httpx.Client, body: Any) -> None:
    failed(http.post(DETECT, json=body), 422, "invalid_request")


def test_a_full_body_and_a_repeated_one_are_answered(http: httpx.Client) -> None:
    around = [{"amount": at, "timestamp": 100, "from": uuid.uuid4().hex, "x" * 60: [at] * 60} for at in range(1_000)]
    assert len(ask(http, targetTx={"amount": 5, "timestamp": 101}, surroundingTxs=around)["warnings"]) == 50
    headers = {"X-Request-ID": uuid.uuid4().hex}
    first, again = (http.post(DETECT, json=EXAMPLE, headers=headers).json()["data"] for _ in range(2))
    assert {**first, "latency_ms": 0} == {**again, "latency_ms": 0}
