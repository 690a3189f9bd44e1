"""Swap requests through a real worker: over Kafka and over HTTP, refused, repeated, looked up and alerted."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from confluent_kafka import Producer

from base.settings import Settings
from facade.routes.risk import EXAMPLE
from tables.registry import PROFILES
from tables.rows import Row
from tests.conftest import wait_for
from tests.contract.facade import assessing, failed, new_chain, serving, working, write
from tests.fraud import profile_row, wallet
from tests.pipeline.system import reading
from tests.unit.test_fraud_assess import SANCTIONED
from topics.admin import create
from topics.clients import producer

pytestmark = pytest.mark.pipeline
ASSESS = "/api/python/fraud/assess-risk"


@pytest.fixture(scope="module")
def away(settings: Settings) -> Settings:
    """A Redis of one's own, so that heartbeats of this worker are not for tests of health to find."""
    create(settings)
    address = f"{settings.redis_url.rpartition('/')[0]}/11"
    return settings.model_copy(update={"redis_url": address, "rate_limit_per_minute": 100_000})


@pytest.fixture(scope="module")
def http(away: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A facade, and behind it the worker that assesses and the one that makes alerts."""
    folder = tmp_path_factory.mktemp("fraud")
    alerting = working("language", away, folder / "language.log")
    with assessing(away, folder) as worker, alerting, serving(away) as client:
        wait_for(lambda: _ready(client, worker, folder / "worker.log"), 60)
        yield client


def _ready(client: httpx.Client, worker: subprocess.Popen[bytes], log: Path) -> bool:
    assert worker.poll() is None, log.read_text()[-3000:]
    return client.post(ASSESS, json={"transaction": EXAMPLE}).status_code == 200


@pytest.fixture
def store(away: Settings) -> Iterator[redis.Redis]:
    """Their Redis."""
    with redis.Redis.from_url(away.redis_url) as client:
        yield client


def address() -> str:
    """A wallet that is nobody else's."""
    return "0x" + uuid.uuid4().hex + "00" * 4


def ask(http: httpx.Client, **transaction: Any) -> dict[str, Any]:
    answer = http.post(ASSESS, json={"transaction": transaction})
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def test_the_documented_example_is_low(http: httpx.Client) -> None:
    data = ask(http, **EXAMPLE)
    assert (data["risk_level"], data["alerts"], data["is_suspicious"], data["source"]) == ("low", [], False, "fresh")
    assert data["unknown"].keys() == {"fromAddress", "toAddress"} and data["evidence"] == 0


def test_what_profiles_know_is_used_and_looked_up(http: httpx.Client, store: redis.Redis) -> None:
    sender, receiver, chain, hash = address(), address(), new_chain(), "0x" + uuid.uuid4().hex * 2
    row = profile_row(receiver, wallet(20), chain, level="high")
    write(store, Row(PROFILES, f"{chain}:{receiver}", 1, row))
    data = ask(http, fromAddress=sender, toAddress=receiver, amount="2", txHash=hash, chainId=chain)
    assert (data["risk_level"], data["sender"]["level"], data["receiver"]["evidence"]) == ("critical", "low", 20)
    assert data["receiver"]["reasons"] and data["model"] == "fraud/tiny"
    said = {key: value for key, value in data.items() if key not in ("source", "latency_ms")}

    found = http.get(f"/api/risk/transactions/{hash}?chainId={chain}").json()["data"]
    assert found == {"chain_id": chain, "transaction_hash": hash, "assessments": [said]}
    of_sender = http.get(f"/api/risk/wallets/{sender}?chainId={chain}").json()["data"]
    assert (of_sender["profile"], of_sender["assessments"]) == (None, [said])
    of_receiver = http.get(f"/api/risk/wallets/{receiver.upper().replace('X', 'x')}?chainId={chain}").json()["data"]
    assert (of_receiver["profile"]["risk_level"], of_receiver["profile"]["moves"]) == ("high", 20)
    listed = f"/api/alerts?chainId={chain}&kind=risk.request&since={time.time() - 60}"
    (alert,) = wait_for(lambda: http.get(listed).json()["data"]["alerts"], 30)
    assert (alert["severity"], alert["entity"], alert["source"]) == ("critical", f"{chain}:{receiver}", said["id"])


def test_nothing_known_is_not_found(http: httpx.Client) -> None:
    failed(http.get(f"/api/risk/wallets/{address()}"), 404, "not_found")
    failed(http.get("/api/risk/transactions/0x" + uuid.uuid4().hex * 2), 404, "not_found")
    failed(http.get("/api/risk/wallets/0x12"), 422, "invalid_request")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": -5}, "transaction.amount"),
        ({"amount": "much"}, "transaction.amount"),
        ({"amount": None}, "transaction.amount"),
        ({"fromAddress": None}, "transaction.fromAddress"),
        ({"fromAddress": "0x12"}, "transaction.fromAddress"),
        ({"timestamp": "tomorrow"}, "transaction.timestamp"),
        ({"timestamp": "2199-01-01T00:00:00Z"}, "transaction.timestamp"),
        ({"slippage": 50}, "transaction.slippage"),
        ({"slippage": "0.5"}, "transaction.slippage"),
        ({"routeLength": 0}, "transaction.routeLength"),
        ({"gasPrice": 10**12}, "transaction.gasPrice"),
        ({"contractInteraction": 1}, "transaction.contractInteraction"),
        ({"tokenPair": "ETH/ETH"}, "transaction.tokenPair"),
        ({"chainId": -1}, "transaction.chainId"),
    ],
)
def test_bad_input_is_refused_by_field(http: httpx.Client, change: dict[str, Any], field: str) -> None:
    told = failed(http.post(ASSESS, json={"transaction": {**EXAMPLE, **change}}), 422, "invalid_request")
    assert [one["field"] for one in told["details"]] == [field]
    assert all(one["fault"] and one["expected"] is not None for one in told["details"])


@pytest.mark.parametrize("body", [{}, {"transaction": None}, {"transaction": []}, {"transaction": 5}, [], "x"])
def test_what_is_no_transaction_is_refused(http: httpx.Client, body: Any) -> None:
    failed(http.post(ASSESS, json=body), 422, "invalid_request")


def test_a_repeated_question_is_answered_from_its_row(http: httpx.Client) -> None:
    headers, body = {"X-Request-ID": uuid.uuid4().hex}, {"transaction": {"fromAddress": address(), "amount": 1}}
    first, again = (http.post(ASSESS, json=body, headers=headers).json()["data"] for _ in range(2))
    assert (first["source"], again["source"]) == ("fresh", "cached")
    changing = ("source", "latency_ms")
    assert {k: v for k, v in first.items() if k not in changing} == {
        k: v for k, v in again.items() if k not in changing
    }


def test_an_array_in_kafka_is_scored_and_what_is_none_set_aside(http: httpx.Client, away: Settings) -> None:
    sender, chain = address(), new_chain()
    fit = {"fromAddress": sender, "toAddress": SANCTIONED, "amount": 1, "chainId": chain}
    bad = {"fromAddress": sender, "amount": -1, "chainId": chain}
    with reading(away, "risk.scores", "swap.requests.dlq", "alerts") as reader:
        client = Producer(producer(away))
        client.produce("swap.requests", json.dumps([fit, bad]).encode(), sender.encode())
        assert client.flush(15) == 0
        found: dict[str, Any] = {}

        def all_there() -> bool:
            for message in reader.consume(100, timeout=0.2):
                value = json.loads(message.value() or b"null")
                if value.get("chain_id", value.get("chainId")) == chain:
                    found[str(message.topic())] = value
            return len(found) == 3

        wait_for(all_there, 30)
    assert found["swap.requests.dlq"] == bad
    assert (found["risk.scores"]["risk_level"], found["alerts"]["severity"]) == ("critical", "critical")
    assert found["risk.scores"]["id"].endswith(":0")
    listed = http.get(f"/api/risk/wallets/{SANCTIONED}?chainId={chain}").json()["data"]["assessments"]
    assert listed == [found["risk.scores"]]
