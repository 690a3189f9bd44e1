"""The OpenAPI document is complete, and what it says of answers is true.

The second is held for every request of these tests and of tests/pipeline: `serving` gives a client that checks its answers.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
import redis

from base.settings import Settings
from facade.errors import CODES
from facade.openapi import BARE, EVENT
from facade.routes.data import EXAMPLE
from facade.routes.mev import EXAMPLE as SUSPICION
from facade.routes.risk import EXAMPLE as SWAP
from tests.conftest import wait_for
from tests.contract.conformance import conforms, fits, resolved
from tests.contract.facade import (
    ATTACKER,
    alert_row,
    assessing,
    beat,
    block_row,
    finding,
    hash_of,
    mev_row,
    new_chain,
    ready,
    risk_row,
    validating,
    working,
    write,
)
from topics.schemas.alerts import KINDS
from topics.schemas.mev import Kind

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> Any:
    return http.get("/openapi.json").json()


def test_it_tells_of_codes_and_routes(http: httpx.Client, document: Any) -> None:
    asked = document["paths"]["/api/python/data/process-event-stream"]["post"]["requestBody"]["content"]
    assert "example" in asked["application/json"]
    named = {parameter["name"] for parameter in document["paths"]["/api/mev"]["get"]["parameters"]}
    assert named == {"chainId", "limit", "cursor", "kind", "address", "pool", "since"}
    kinds = {
        path: parameter["schema"]["enum"]
        for path in ("/api/mev", "/api/alerts")
        for parameter in document["paths"][path]["get"]["parameters"]
        if parameter["name"] == "kind"
    }
    assert kinds == {"/api/mev": [*get_args(Kind)], "/api/alerts": [*KINDS]}
    (wait,) = (p for p in document["paths"]["/api/blocks/{number}"]["get"]["parameters"] if p["name"] == "wait")
    assert (wait["schema"]["minimum"], wait["schema"]["maximum"]) == (0, 30_000)
    assert json.dumps(document).count('"security"') == len(document["paths"]) - len(BARE)
    listed = {route["path"] for route in http.get("/").json()["data"]["routes"]}
    assert listed == set(document["paths"])
    assert http.get("/docs").status_code == 404  # it would load scripts from elsewhere


def test_it_tells_of_the_fields_of_events(document: Any) -> None:
    for route in ("validate-blockchain-event", "process-event-stream"):
        told = document["paths"][f"/api/python/data/{route}"]["post"]["requestBody"]["content"]["application/json"]
        fits(document, told["schema"], told["example"], route)
    assert told["schema"]["properties"]["events"]["items"] == EVENT
    event = resolved(document, EVENT)
    assert {"swap", "transfer", "sync"} < event["discriminator"]["mapping"].keys()
    swap = resolved(document, {"$ref": event["discriminator"]["mapping"]["swap"]})
    assert {"transaction_hash", "token_in", "token_out"} < {*swap["required"]}
    assert swap["properties"]["gas_price"]["description"] == "Gwei."
    with pytest.raises((AssertionError, ValueError)):
        fits(document, told["schema"], {"events": [{**EXAMPLE, "token_in": 5}]}, "no token")


def test_it_tells_of_every_failure(document: Any) -> None:
    failure = document["components"]["schemas"]["Failure"]
    assert failure["properties"]["error"]["properties"]["code"]["enum"] == list(CODES)
    shown = {}
    for status, told in document["components"]["responses"].items():
        content = told["content"]["application/json"]
        for code, example in content["examples"].items():
            fits(document, content["schema"], example["value"], code)
            shown[code] = int(status)
    assert shown == {code: status for code, (status, _) in CODES.items()}


def test_every_reference_leads_somewhere_and_every_answer_has_a_form(document: Any) -> None:
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["responses"].keys() >= {"200", "403", "500"}
            for status, told in operation["responses"].items():
                content = resolved(document, told).get("content")
                assert status == "304" or (content and all(kind["schema"] for kind in content.values())), operation
    for reference in json.dumps(document).split('"$ref": "')[1:]:
        assert resolved(document, {"$ref": reference.partition('"')[0]})


def test_every_route_answers_as_it_says(busy: Settings, store: redis.Redis, document: Any, tmp_path: Path) -> None:
    chain, log = new_chain(), tmp_path / "validate.log"
    write(store, block_row(chain, 7), mev_row(chain, 7, [finding(chain, 7)]), alert_row(chain, 7))
    write(store, risk_row(chain, 9000))
    beat(store, "ML_MODELS", time.time())
    event = {**EXAMPLE, "chain_id": chain}
    detecting = working("chain", busy, tmp_path / "chain.log")
    # A question may be asked before its worker has begun.
    patient = busy.model_copy(update={"reply_timeout_s": 120.0})
    with detecting, validating(busy, log) as worker, assessing(busy, tmp_path) as other, ready(patient) as client:
        asked: dict[str, str | dict[str, Any]] = {
            "/": "",
            "/openapi.json": "",
            "/health": "",
            "/ready": "",
            "/metrics": "",
            "/api/python/health": "",
            "/api/blocks/{number}": f"/api/blocks/7?chainId={chain}",
            "/api/mev/transactions/{hash}": f"/api/mev/transactions/{hash_of(7000)}?chainId={chain}",
            "/api/mev/blocks/{number}": f"/api/mev/blocks/7?chainId={chain}",
            "/api/mev": f"/api/mev?chainId={chain}",
            "/api/alerts": f"/api/alerts?chainId={chain}",
            "/api/risk/transactions/{hash}": f"/api/risk/transactions/{hash_of(9000)}?chainId={chain}",
            "/api/risk/wallets/{address}": f"/api/risk/wallets/{ATTACKER}?chainId={chain}",
            "/api/python/fraud/assess-risk": {"transaction": SWAP},
            "/api/python/blockchain/detect-mev": SUSPICION,
            "/api/python/data/validate-blockchain-event": {"event": {**event, "unknown": 1, "gas_used": -1}},
            "/api/python/data/process-event-stream": {"events": [event, {"event_id": [1]}, None]},
        }
        assert asked.keys() == document["paths"].keys()
        for route, how in asked.items():
            answer = client.post(route, json=how) if isinstance(how, dict) else client.get(how or route)
            assert answer.status_code == 200, f"{route}: {answer.text}"
            if route not in (*BARE, "/openapi.json"):
                assert any(answer.json()["data"].values()), route  # not an empty list, which would prove little
        assert worker.poll() is other.poll() is None, log.read_text()[-3000:]
        assert wait_for(lambda: client.get("/api/python/health").json()["services"])


def test_an_answer_of_another_form_is_found(document: Any) -> None:
    good = {"success": True, "data": {"alerts": [], "count": 0, "cursor": None}, "timestamp": "2026-01-01T00:00:00Z"}
    request = httpx.Request("GET", "http://localhost/api/alerts")
    conforms(document, httpx.Response(200, json=good, request=request))
    for wrong in (
        {**good, "timestamp": "today"},
        {**good, "success": False},
        {**good, "more": 1},
        {**good, "data": {"alerts": [], "count": 0}},
        {**good, "data": {"alerts": [], "count": True, "cursor": None}},
        {**good, "data": {"alerts": [{}], "count": 1, "cursor": None}},
    ):
        with pytest.raises((AssertionError, ValueError)):
            conforms(document, httpx.Response(200, json=wrong, request=request))
    with pytest.raises(AssertionError, match="does not name"):
        conforms(document, httpx.Response(202, json=good, request=request))
