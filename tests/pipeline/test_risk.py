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
from models.chain.gas import bin_of
from models.fraud.profile import IN
from models.fraud.wallet_rules import exposure, of_wallet
from tables.registry import GAS, PROFILES, GasRow
from tables.rows import Row
from tests.conftest import wait_for
from tests.contract.facade import assessing, failed, new_chain, serving, working, write
from tests.fraud import move, profile_row, wallet
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
        wait_for(lambda: _ready(client, worker, folder / "worker.log"), 120)
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
    listed = f"/api/alerts?chainId={chain}&kind=risk.request&since={time.time() - 600}"
    (alert,) = wait_for(lambda: http.get(listed).json()["data"]["alerts"])
    assert (alert["severity"], alert["entity"], alert["source"]) == ("critical", f"{chain}:{receiver}", said["id"])


def test_gas_is_held_against_its_day_on_its_chain(http: httpx.Client, store: redis.Redis) -> None:
    chain, day = new_chain(), 19_675
    row = GasRow(chain_id=chain, day=day, revision=20, bins={bin_of(12 * 10**9) or 0: 20})
    write(store, Row(GAS, f"{chain}:{day}", 20, row))
    told = {"fromAddress": address(), "amount": 1, "gasPrice": 150, "timestamp": day * 86_400 + 7}
    (alert,) = ask(http, **told, chainId=chain)["alerts"]
    assert (alert["code"], alert["severity"]) == ("gas_price", "medium") and "12 times what others paid" in alert[
        "message"
    ]
    assert ask(http, **told, chainId=new_chain())["alerts"] == []


def test_dealings_and_rules_of_a_row_are_told_of_the_wallet_and_of_its_requests(
    http: httpx.Client, store: redis.Redis
) -> None:
    sender, chain = address(), new_chain()
    profile = wallet(1)
    profile.move(move(IN, SANCTIONED, 1_700_100_000, 10**18)._replace(listed=f"ofac {SANCTIONED}"))
    said = {"alerts": of_wallet(profile, chain), "exposure": exposure(profile), "level": "high"}
    write(store, Row(PROFILES, f"{chain}:{sender}", 1, profile_row(sender, profile, chain, **said)))
    data = ask(http, fromAddress=sender, amount=1, chainId=chain)
    assert (data["risk_level"], [one["code"] for one in data["alerts"]]) == ("high", ["sender_exposed_to_listed"])
    assert data["sender"]["exposure"]["received"]["address"] == SANCTIONED and data["sender"]["lists"] == []
    told = http.get(f"/api/risk/wallets/{sender}?chainId={chain}").json()["data"]["profile"]
    assert [one["code"] for one in told["alerts"]] == ["exposed_to_listed"]
    assert told["exposure"] == data["sender"]["exposure"] and told["risk_level"] == "high"


def test_nothing_known_is_not_found(http: httpx.Client) -> None:
    error = failed(http.get(f"/api/risk/wallets/{SANCTIONED}?chainId={new_chain()}"), 404, "not_found")
    assert "assess-risk" in error["message"], "that is where lists are asked"
    failed(http.get("/api/risk/transactions/0x" + uuid.uuid4().hex * 2), 404, "not_found")
    failed(http.get("/api/risk/wallets/0x12"), 422, "invalid_request")


LOW, MIXED = "0x" + "ab" * 20, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
BAD: list[tuple[dict[str, Any], str]] = [
    ({"amount": -5}, "amount"),
    ({"amount": "-0.000001"}, "amount"),
    ({"amount": "much"}, "amount"),
    ({"amount": None}, "amount"),
    ({"amount": True}, "amount"),
    ({"amount": [1]}, "amount"),
    ({"amount": "0x10"}, "amount"),
    ({"amount": "NaN"}, "amount"),
    ({"amount": "1e999"}, "amount"),
    ({"amount": "9" * 200}, "amount"),
    ({"amount": 10**27}, "amount"),
    ({"amount": 10**40, "tokenPair": "SHIB/USDC"}, "amount"),
    ({"fromAddress": None}, "fromAddress"),
    ({"fromAddress": ""}, "fromAddress"),
    ({"fromAddress": "0x12"}, "fromAddress"),
    ({"fromAddress": LOW[:-1] + "g"}, "fromAddress"),
    ({"fromAddress": LOW + "00"}, "fromAddress"),
    ({"fromAddress": LOW[2:]}, "fromAddress"),
    ({"fromAddress": "vitalik.eth"}, "fromAddress"),
    ({"fromAddress": f" {LOW}"}, "fromAddress"),
    ({"fromAddress": "x" * 10_000}, "fromAddress"),
    ({"fromAddress": 7}, "fromAddress"),
    ({"toAddress": ""}, "toAddress"),
    ({"toAddress": "nobody"}, "toAddress"),
    ({"toAddress": MIXED[:-1] + "D"}, "toAddress"),
    ({"txHash": 7}, "txHash"),
    ({"txHash": "0x12 34"}, "txHash"),
    ({"timestamp": "tomorrow"}, "timestamp"),
    ({"timestamp": True}, "timestamp"),
    ({"timestamp": -5}, "timestamp"),
    ({"timestamp": 10**400}, "timestamp"),
    ({"timestamp": "2199-01-01T00:00:00Z"}, "timestamp"),
    ({"timestamp": 1_700_000_000_000}, "timestamp"),
    ({"slippage": 50}, "slippage"),
    ({"slippage": -0.1}, "slippage"),
    ({"slippage": "0.5"}, "slippage"),
    ({"slippage": True}, "slippage"),
    ({"routeLength": 0}, "routeLength"),
    ({"routeLength": -3}, "routeLength"),
    ({"routeLength": 10**9}, "routeLength"),
    ({"routeLength": 2.5}, "routeLength"),
    ({"routeLength": "3"}, "routeLength"),
    ({"gasPrice": 10**12}, "gasPrice"),
    ({"gasPrice": -1}, "gasPrice"),
    ({"gasPrice": "cheap"}, "gasPrice"),
    ({"contractInteraction": 1}, "contractInteraction"),
    ({"contractInteraction": "yes"}, "contractInteraction"),
    ({"tokenPair": "ETH/ETH"}, "tokenPair"),
    ({"tokenPair": ""}, "tokenPair"),
    ({"tokenPair": 5}, "tokenPair"),
    ({"tokenPair": "E" * 200}, "tokenPair"),
    ({"chainId": -1}, "chainId"),
    ({"chainId": "1"}, "chainId"),
    ({"chainId": 2**63}, "chainId"),
]
"""A change to the documented example that cannot be, and the field that is refused."""


@pytest.mark.parametrize(("change", "field"), BAD)
def test_bad_input_is_refused_by_field(http: httpx.Client, change: dict[str, Any], field: str) -> None:
    told = failed(http.post(ASSESS, json={"transaction": {**EXAMPLE, **change}}), 422, "invalid_request")
    assert [one["field"] for one in told["details"]] == [f"transaction.{field}"]
    assert all(one["fault"] and one["expected"] and one["code"] for one in told["details"])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": -5}, "amount_negative"),
        ({"toAddress": "nobody"}, "address_form"),
        ({"timestamp": "2199-01-01T00:00:00Z"}, "future_time"),
        ({"amount": None}, "wrong_type"),
        ({"slippage": 50}, "slippage_range"),
    ],
)
def test_a_refusal_has_the_codes_of_the_rules(http: httpx.Client, change: dict[str, Any], code: str) -> None:
    told = failed(http.post(ASSESS, json={"transaction": {**EXAMPLE, **change}}), 422, "invalid_request")
    assert [one["code"] for one in told["details"]] == [code]


def test_the_same_bad_input_in_kafka_is_set_aside_by_field(http: httpx.Client, away: Settings) -> None:
    """`http` is the worker; the last of the array is fit, so that all of it is through once that is scored."""
    sender, chain = address(), new_chain()
    requests = [{**EXAMPLE, **change} for change, _ in BAD]
    missing = [{key: value for key, value in EXAMPLE.items() if key != name} for name in ("fromAddress", "amount")]
    nothing: list[Any] = [None, 5, "x", [], [{}], {}]
    values = [*requests, *missing, *nothing, {"fromAddress": sender, "amount": 1, "chainId": chain}]
    wanted = [*(field for _, field in BAD), "fromAddress", "amount", *[""] * 5, "fromAddress"]
    with reading(away, "risk.scores", "swap.requests.dlq") as reader:
        client = Producer(producer(away))
        client.produce("swap.requests", json.dumps(values).encode(), sender.encode())
        assert client.flush(60) == 0
        letters: dict[int, tuple[str, str, Any]] = {}
        scored: list[Any] = []

        def all_there() -> bool:
            for message in reader.consume(100, timeout=0.2):
                said: Any = message.headers() or []
                headers = {name: told.decode() for name, told in said}
                value = json.loads(message.value() or b"null")
                if message.topic() == "risk.scores":
                    scored.extend([value] if value["chain_id"] == chain else [])  # twice, where the worker was put out
                elif message.key() == sender.encode():
                    letters[int(headers["dlq.index"])] = headers["dlq.field"], headers["dlq.reason"], value
            return bool(scored) and len(letters) == len(wanted)

        wait_for(all_there)
    assert [letters[place][0] for place in range(len(wanted))] == wanted
    assert [letters[place][2] for place in range(len(wanted))] == values[:-1]
    assert all(reason not in ("", "handler_error") for _, reason, _ in letters.values())


@pytest.mark.parametrize(
    ("change", "warned", "alerted"),
    [
        ({"fromAddress": "0x12...ab"}, {"abbreviated"}, {}),
        ({"toAddress": "0x12…ab"}, {"abbreviated"}, {}),
        ({"txHash": "0x12"}, {"abbreviated"}, {}),
        ({"tokenPair": "nonsense"}, {"unknown_pair"}, {}),
        ({"tokenPair": "FOO/BAR", "amount": 10**30}, {"unknown_pair"}, {}),
        ({"toAddress": None}, set(), {}),
        ({"toAddress": LOW}, set(), {"self_trade": "medium"}),
        ({"toAddress": LOW, "amount": 0}, {"amount_zero"}, {"self_trade": "medium"}),
        ({"amount": 0}, {"amount_zero"}, {}),
        ({"mood": "good", "nested": {"deep": [1]}}, {"unknown_field"}, {}),
        ({"toAddress": SANCTIONED, "fromAddress": "0x12...ab"}, {"abbreviated"}, {"receiver_listed": "critical"}),
    ],
)  # fmt: skip
def test_what_is_odd_is_answered_with_reasons_and_never_as_if_it_were_known(
    http: httpx.Client, change: dict[str, Any], warned: set[str], alerted: dict[str, str]
) -> None:
    whole = {"slippage": 0.005, "routeLength": 2, "gasPrice": 20, "timestamp": 1_700_000_000, "tokenPair": "ETH/USDC"}
    data = ask(http, **{"fromAddress": LOW, "toAddress": "0x" + "cd" * 20, "amount": "1.5", **whole, **change})
    assert data["unknown"].keys() == {"fromAddress", "toAddress"}
    assert {one["code"] for one in data["warnings"]} == warned
    assert {one["code"]: one["severity"] for one in data["alerts"]} == alerted
    assert data["evidence"] <= 1 and data["risk_level"] == next(iter(alerted.values()), "low")
    assert all(one["message"] for one in (*data["warnings"], *data["alerts"])) and all(data["unknown"].values())


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
        assert client.flush(60) == 0
        found: dict[str, Any] = {}

        def all_there() -> bool:
            for message in reader.consume(100, timeout=0.2):
                value = json.loads(message.value() or b"null")
                if isinstance(value, dict) and value.get("chain_id", value.get("chainId")) == chain:
                    found[str(message.topic())] = value
            return len(found) == 3

        wait_for(all_there)
    assert found["swap.requests.dlq"] == bad
    assert (found["risk.scores"]["risk_level"], found["alerts"]["severity"]) == ("critical", "critical")
    assert found["risk.scores"]["id"].endswith(":0")
    # Rows are written after what goes to topics.
    wallet = f"/api/risk/wallets/{SANCTIONED}?chainId={chain}"
    answer = wait_for(lambda: told if (told := http.get(wallet)).status_code == 200 else None)
    assert answer.json()["data"]["assessments"] == [found["risk.scores"]]
