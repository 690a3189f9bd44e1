"""The rules of every route: envelopes, codes, ids, and what works while a server is away."""

from __future__ import annotations

import logging
import re
from datetime import datetime

import httpx
import pytest

from base.settings import Settings
from tests.conftest import wait_for
from tests.contract.facade import failed, ready, serving

pytestmark = pytest.mark.pipeline

OPEN = ("/health", "/ready", "/metrics", "/api/python/health")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_success_is_an_object_in_the_envelope(http: httpx.Client) -> None:
    body = http.get("/api/mev").json()
    assert body["success"] is True and set(body) == {"success", "data", "timestamp"}
    assert isinstance(body["data"], dict)
    assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None


@pytest.mark.parametrize("raw", [b'{"event"', b"", b"\xff\xfe", b'{"event": NaN}', b'{"event": 1} x'])
def test_a_body_that_is_not_json_is_malformed(http: httpx.Client, raw: bytes) -> None:
    error = failed(http.post("/api/python/data/validate-blockchain-event", content=raw), 400, "malformed_json")
    assert error["message"].startswith("the body is not JSON (") and error["message"].endswith("send one JSON object")


def test_a_missing_field_is_named_with_what_was_expected(http: httpx.Client) -> None:
    error = failed(http.post("/api/python/data/process-event-stream", json={"event": {}}), 422, "invalid_request")
    assert error["details"] == [
        {
            "field": "events",
            "code": "missing_field",
            "fault": "it is missing",
            "expected": "a value (the field is required)",
        }
    ]
    assert error["message"] == "events: it is missing; give a value (the field is required)"


def test_a_wrong_field_is_named(http: httpx.Client) -> None:
    error = failed(http.post("/api/python/data/process-event-stream", json={"events": 3}), 422, "invalid_request")
    assert error["details"] == [
        {"field": "events", "code": "wrong_type", "fault": "3 is not a list", "expected": "a list: [...]"}
    ]
    error = failed(http.post("/api/python/data/process-event-stream", json=[1]), 422, "invalid_request")
    assert error["message"] == 'body: [1] is not an object; give an object such as {"name": "value"}'


@pytest.mark.parametrize(
    ("path", "field", "expected"),
    [
        ("/api/blocks/latest", "number", "a whole number"),
        ("/api/blocks/-1", "number", "at least 0"),
        ("/api/mev?address=0x12", "address", "0x and 40 hex digits"),
        ("/api/mev?pool=zz", "pool", "0x and 40 hex digits (its address) or 64 (its id)"),
        ("/api/mev/transactions/0x123...abc", "hash", "0x and 64 hex digits"),
        ("/api/mev/transactions/" + "ab" * 32, "hash", "0x and 64 hex digits"),
        ("/api/mev?limit=0", "limit", "at least 1"),
        ("/api/mev?since=yesterday", "since", "RFC 3339 or unix"),
        ("/api/mev?cursor=abc", "cursor", "`cursor` of an earlier page"),
        ("/api/alerts?severity=dire", "severity", "one of: info, low, medium, high, critical"),
        ("/api/alerts?kind=sandwich", "kind", "one of: mev.sandwich"),
        ("/api/mev?kind=banana", "kind", "one of: sandwich"),
        ("/api/mev?pols=", "pols", "one of: chainId, limit, cursor, kind, address, pool, since"),
        ("/api/blocks/7?chain=1", "chain", "one of: chainId, wait"),
        ("/api/alerts?lang=de", "lang", "one of: en"),
        ("/api/blocks/1?wait=soon", "wait", "a whole number"),
        ("/api/blocks/1?wait=30001", "wait", "at most 30000"),
        ("/api/blocks/1?chainId=x", "chainId", "a whole number"),
    ],
)
def test_a_wrong_parameter_is_named(http: httpx.Client, path: str, field: str, expected: str) -> None:
    error = failed(http.get(path), 422, "invalid_request")
    (detail,) = error["details"]
    assert detail["field"] == field and expected in detail["expected"], detail
    assert error["message"] == f"{field}: {detail['fault']}; give {detail['expected']}"
    assert "Input should" not in error["message"]


def test_a_body_over_one_mebibyte_is_too_large(http: httpx.Client) -> None:
    path = "/api/python/data/validate-blockchain-event"
    failed(http.post(path, content=b" " * (1024 * 1024 + 1)), 413, "too_large")
    pieces = (b" " * 65536 for _ in range(17))  # without a Content-Length
    failed(http.post(path, content=pieces), 413, "too_large")


def test_unknown_routes_and_methods_have_the_envelope_too(http: httpx.Client) -> None:
    failed(http.get("/api/nothing"), 404, "not_found")
    answer = http.delete("/api/mev")
    failed(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET"


def test_a_request_id_is_taken_made_and_checked(http: httpx.Client) -> None:
    assert http.get("/api/mev", headers={"X-Request-ID": "order-66"}).headers["x-request-id"] == "order-66"
    assert re.fullmatch(r"[0-9a-f]{32}", http.get("/api/mev").headers["x-request-id"])
    for wrong in (b"two words", b"x" * 129, "ä".encode()):
        answer = http.get("/api/mev", headers={b"X-Request-ID": wrong})
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


def test_a_traceparent_is_taken_made_and_checked(http: httpx.Client) -> None:
    assert http.get("/health", headers={"traceparent": TRACE}).headers["traceparent"] == TRACE
    for wrong in ("", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", TRACE.upper()):
        made = http.get("/health", headers={"traceparent": wrong}).headers["traceparent"]
        assert made != wrong and re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", made)


def test_a_request_is_logged_with_its_id(http: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    def lines() -> list[logging.LogRecord]:
        return [record for record in caplog.records if getattr(record, "request_id", None) == "logged-1"]

    with caplog.at_level(logging.INFO, "soba.facade"):
        http.get("/api/mev", headers={"X-Request-ID": "logged-1"})
        (line,) = wait_for(lines)  # it is written once the answer is sent
    assert line.getMessage() == "GET /api/mev 200" and line.__dict__["duration_ms"] > 0


def test_a_fault_of_ours_tells_nothing(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ValueError("secret")

    monkeypatch.setattr("tables.readers.row", broken)
    answer = http.get("/api/blocks/1")
    failed(answer, 500, "internal")
    assert "secret" not in answer.text and "Error" not in answer.text


def test_cors_is_for_the_configured_origins(busy: Settings) -> None:
    with serving(busy.model_copy(update={"cors_origins": ("https://app.example",)})) as client:
        asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        answer = client.options("/api/mev", headers=asked)
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert client.options("/api/mev", headers={**asked, "Origin": "https://other.example"}).status_code == 400
        seen = client.get("/api/nothing", headers={"Origin": "https://app.example"})
        assert seen.status_code == 404 and seen.headers["access-control-allow-origin"] == "https://app.example"
        assert "X-Request-ID" in seen.headers["access-control-expose-headers"]


def test_without_kafka_lookups_work_and_questions_are_unavailable(busy: Settings) -> None:
    with serving(busy.model_copy(update={"brokers": "127.0.0.1:1"})) as client:
        answer = client.post("/api/python/data/validate-blockchain-event", json={"event": {}})
        failed(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert client.get("/api/mev").status_code == 200
        ready = client.get("/ready")
        assert ready.status_code == 503
        assert ready.json()["checks"] == {"redis": "ok", "kafka": "unreachable"}
        health = client.get("/api/python/health")
        assert health.status_code == 503 and health.json()["status"] == "unhealthy"
        assert client.get("/health").status_code == 200


def test_without_redis_everything_is_unavailable(busy: Settings) -> None:
    with serving(busy.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})) as client:
        failed(client.get("/api/mev"), 503, "unavailable")
        wait_for(lambda: client.get("/ready").json()["checks"] == {"redis": "unreachable", "kafka": "ok"})
        assert client.get("/api/python/health").status_code == 503
        assert client.get("/health").status_code == 200


def test_without_a_worker_a_question_times_out(busy: Settings) -> None:
    with ready(busy.model_copy(update={"reply_timeout_s": 1.0})) as client:

        def ask() -> httpx.Response:
            return client.post("/api/python/data/validate-blockchain-event", json={"event": {}})

        ask()  # for which Kafka is asked where the topic lies, which may take all of the second
        answer = ask()
        failed(answer, 503, "timeout")
        assert int(answer.headers["retry-after"]) > 0
