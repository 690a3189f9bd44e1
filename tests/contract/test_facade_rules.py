"""The rules of every route: envelopes, codes, ids, keys, limits."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import httpx
import pytest
import redis

from base.settings import ROOT, Settings
from facade.context import connect
from facade.errors import CODES
from facade.keys import STORE, Keys, is_loopback
from tests.contract.facade import new_chain, serving

pytestmark = pytest.mark.pipeline
T = TypeVar("T")

OPEN = ("/health", "/ready", "/metrics", "/api/python/health")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def failed(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    """The error of an answer that must be this failure in the contract's envelope."""
    body = answer.json()
    assert (answer.status_code, body["success"], body["error"]["code"]) == (status, False, code), body
    assert set(body) == {"success", "error", "timestamp"}
    assert set(body["error"]) == {"code", "message", "details", "request_id"}
    assert body["error"]["request_id"] == answer.headers["x-request-id"]
    assert CODES[code][0] == status
    error: dict[str, object] = body["error"]
    return error


def test_a_success_is_an_object_in_the_envelope(http: httpx.Client) -> None:
    body = http.get("/api/mev").json()
    assert body["success"] is True and set(body) == {"success", "data", "timestamp"}
    assert isinstance(body["data"], dict)
    assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None


@pytest.mark.parametrize("raw", [b'{"event"', b"", b"\xff\xfe", b'{"event": NaN}', b'{"event": 1} x'])
def test_a_body_that_is_not_json_is_malformed(http: httpx.Client, raw: bytes) -> None:
    failed(http.post("/api/python/data/validate-blockchain-event", content=raw), 400, "malformed_json")


def test_a_missing_field_is_named_with_what_was_expected(http: httpx.Client) -> None:
    error = failed(http.post("/api/python/data/process-event-stream", json={"event": {}}), 422, "invalid_request")
    assert error["details"] == [
        {"field": "events", "fault": "Field required", "expected": "a value; the field is required"}
    ]


def test_a_wrong_field_is_named(http: httpx.Client) -> None:
    error = failed(http.post("/api/python/data/process-event-stream", json={"events": 3}), 422, "invalid_request")
    assert error["details"] == [
        {"field": "events", "fault": "Input should be a valid list", "expected": "a valid list"}
    ]
    error = failed(http.post("/api/python/data/process-event-stream", json=[1]), 422, "invalid_request")
    assert error["details"][0]["field"] == "body"  # type: ignore[index]


@pytest.mark.parametrize(
    ("path", "field", "expected"),
    [
        ("/api/blocks/latest", "number", "a valid integer"),
        ("/api/blocks/-1", "number", "at least 0"),
        ("/api/mev?limit=0", "limit", "at least 1"),
        ("/api/mev?since=yesterday", "since", "RFC 3339 or unix"),
        ("/api/mev?cursor=abc", "cursor", "`cursor` of an earlier page"),
        ("/api/alerts?severity=dire", "severity", "'info', 'low', 'medium', 'high' or 'critical'"),
        ("/api/alerts?lang=de", "lang", "one of: en"),
        ("/api/blocks/1?wait=soon", "wait", "a valid integer"),
        ("/api/blocks/1?chainId=x", "chainId", "a valid integer"),
    ],
)
def test_a_wrong_parameter_is_named(http: httpx.Client, path: str, field: str, expected: str) -> None:
    (detail,) = failed(http.get(path), 422, "invalid_request")["details"]  # type: ignore[misc, attr-defined]
    assert detail["field"] == field and expected in detail["expected"], detail


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
    for wrong in ("two words", "x" * 129, "ä".encode()):
        answer = http.get("/api/mev", headers={"X-Request-ID": wrong})  # type: ignore[dict-item]
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


def test_a_traceparent_is_taken_made_and_checked(http: httpx.Client) -> None:
    assert http.get("/health", headers={"traceparent": TRACE}).headers["traceparent"] == TRACE
    for wrong in ("", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", TRACE.upper()):
        made = http.get("/health", headers={"traceparent": wrong}).headers["traceparent"]
        assert made != wrong and re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", made)


def test_a_request_is_logged_with_its_id(http: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "soba.facade"):
        http.get("/api/mev", headers={"X-Request-ID": "logged-1"})
    (line,) = [record for record in caplog.records if getattr(record, "request_id", None) == "logged-1"]
    assert line.getMessage() == "GET /api/mev 200" and line.__dict__["duration_ms"] > 0


def test_a_fault_of_ours_tells_nothing(http: httpx.Client, store: redis.Redis) -> None:
    chain = new_chain()
    from tables.registry import BLOCKS

    store.set(BLOCKS.row_key(f"{chain}:1"), "0" * 20 + "{secret", px=60_000)
    answer = http.get(f"/api/blocks/1?chainId={chain}")
    failed(answer, 500, "internal")
    assert "secret" not in answer.text and "Error" not in answer.text and "pydantic" not in answer.text


def test_cors_is_for_the_configured_origins(busy: Settings) -> None:
    with serving(busy.model_copy(update={"cors_origins": ("https://app.example",)})) as client:
        asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        answer = client.options("/api/mev", headers=asked)
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert client.options("/api/mev", headers={**asked, "Origin": "https://other.example"}).status_code == 400
        seen = client.get("/api/nothing", headers={"Origin": "https://app.example"})
        assert seen.status_code == 404 and seen.headers["access-control-allow-origin"] == "https://app.example"
        assert "X-Request-ID" in seen.headers["access-control-expose-headers"]


def test_open_mode_ignores_any_authorization(http: httpx.Client) -> None:
    assert http.get("/api/mev", headers={"Authorization": "Bearer whatever"}).status_code == 200


def with_keys(settings: Settings, work: Callable[[Keys], Awaitable[T]]) -> T:
    """Work on the store of keys."""

    async def inside() -> T:
        client = connect(settings)
        try:
            return await work(Keys(settings, client))
        finally:
            await client.aclose()

    return asyncio.run(inside())


@pytest.fixture
def kept(busy: Settings, store: redis.Redis) -> Iterator[Callable[..., str]]:
    """Makes keys in Redis; they are gone afterwards."""

    def make(name: str, *scopes: str, expires: timedelta = timedelta(days=1)) -> str:
        until = datetime.now(UTC) + expires
        return with_keys(busy, lambda keys: keys.create(name, scopes, until))  # type: ignore[arg-type]

    yield make
    store.delete(STORE)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_with_keys_every_route_but_the_exempt_needs_one(http: httpx.Client, kept: Callable[..., str]) -> None:
    secret = kept("reader", "read")  # the first key closes the facade at once
    for path in OPEN:
        assert http.get(path).status_code != 401, path
    for path in ("/api/mev", "/api/alerts", "/api/blocks/1", "/api/mev/blocks/1", "/api/mev/transactions/0x1"):
        answer = http.get(path)
        failed(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        failed(http.get(path, headers=bearer(secret + "x")), 401, "unauthorized")
        failed(http.get(path, headers={"Authorization": f"Basic {secret}"}), 401, "unauthorized")
        assert http.get(path, headers=bearer(secret)).status_code in (200, 404)
    # The key is looked at before the body is read.
    failed(http.post("/api/python/data/process-event-stream", content=b"{"), 401, "unauthorized")


def test_a_scope_is_needed(http: httpx.Client, kept: Callable[..., str]) -> None:
    reader, writer, admin = kept("r", "read"), kept("w", "write"), kept("a", "admin")
    path = "/api/python/data/process-event-stream"
    error = failed(http.post(path, json={"events": []}, headers=bearer(reader)), 403, "forbidden")
    assert error["details"] == {"needed": "write", "held": ["read"]}
    assert http.post(path, json={"events": []}, headers=bearer(writer)).status_code == 200
    failed(http.get("/api/mev", headers=bearer(writer)), 403, "forbidden")
    assert http.post(path, json={"events": []}, headers=bearer(admin)).status_code == 200


def test_expired_and_revoked_keys_open_nothing(http: httpx.Client, kept: Callable[..., str], busy: Settings) -> None:
    expired = kept("old", "read", expires=timedelta(seconds=-1))
    failed(http.get("/api/mev", headers=bearer(expired)), 401, "unauthorized")
    secret = kept("young", "read")
    assert http.get("/api/mev", headers=bearer(secret)).status_code == 200
    assert with_keys(busy, lambda keys: keys.revoke("young"))
    failed(http.get("/api/mev", headers=bearer(secret)), 401, "unauthorized")
    failed(http.get("/api/mev"), 401, "unauthorized")  # without a live key the facade is still not open


def test_only_the_hash_of_a_key_is_stored(kept: Callable[..., str], store: redis.Redis) -> None:
    secret = kept("hashed", "read")
    ((hashed, stored),) = store.hgetall(STORE).items()
    assert len(hashed) == 64 and secret.encode() not in hashed + stored


def test_keys_of_the_environment(busy: Settings) -> None:
    given = Settings(_env_file=None, **{**busy.model_dump(), "api_keys": ("first-key",)})
    with serving(given) as client:
        failed(client.get("/api/mev"), 401, "unauthorized")
        assert client.get("/api/mev", headers=bearer("first-key")).status_code == 200


@pytest.mark.parametrize(
    ("host", "is_one"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)],
)
def test_loopback(host: str, is_one: bool) -> None:
    assert is_loopback(host) is is_one


def test_it_refuses_to_serve_others_without_a_key(child_env: dict[str, str]) -> None:
    environment = {**child_env, "SOBA_HOST": "0.0.0.0"}
    argv = [sys.executable, "-m", "console", "serve"]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, timeout=60)
    assert done.returncode == 2 and b"refusing to serve 0.0.0.0 without an API key" in done.stderr


def test_the_rate_limit_is_by_caller_and_route(busy: Settings, store: redis.Redis, kept: Callable[..., str]) -> None:
    one, two = kept("one", "read"), kept("two", "read")
    strict = busy.model_copy(update={"rate_limit_per_minute": 3})
    try:
        with serving(strict) as client, serving(strict) as replica:
            left = [client.get("/api/mev", headers=bearer(one)).headers["ratelimit-remaining"] for _ in range(2)]
            left.append(replica.get("/api/mev", headers=bearer(one)).headers["ratelimit-remaining"])
            assert left == ["2", "1", "0"]
            refused = client.get("/api/mev", headers=bearer(one))
            failed(refused, 429, "rate_limited")
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert refused.headers["ratelimit-limit"] == "3"
            assert refused.headers["ratelimit-policy"] == "3;w=60"
            assert client.get("/api/mev", headers=bearer(two)).status_code == 200
            assert client.get("/api/alerts", headers=bearer(one)).status_code == 200
            assert [client.get(path).status_code for path in OPEN * 2].count(429) == 0
            (name,) = [key for key in store.keys("rate:key:one:*") if b"/api/mev" in key]
            assert 0 < store.pttl(name) <= 60_000
    finally:
        for key in store.keys("rate:key:*"):
            store.delete(key)


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
        assert client.get("/ready").json()["checks"] == {"redis": "unreachable", "kafka": "ok"}
        assert client.get("/api/python/health").status_code == 503
        assert client.get("/health").status_code == 200


def test_without_a_worker_a_question_times_out(busy: Settings) -> None:
    with serving(busy.model_copy(update={"reply_timeout_s": 1.0})) as client:
        answer = client.post("/api/python/data/validate-blockchain-event", json={"event": {}})
        failed(answer, 503, "timeout")
        assert int(answer.headers["retry-after"]) > 0


def test_the_openapi_document_tells_of_codes_and_routes(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    assert document["components"]["schemas"]["Failure"]["properties"]["error"]["properties"]["code"]["enum"] == list(
        CODES
    )
    asked = document["paths"]["/api/python/data/process-event-stream"]["post"]["requestBody"]["content"]
    assert "example" in asked["application/json"]
    named = {parameter["name"] for parameter in document["paths"]["/api/mev"]["get"]["parameters"]}
    assert named == {"chainId", "limit", "cursor", "kind", "address", "pool", "since"}
    assert json.dumps(document).count('"security"') == len(document["paths"]) - len(OPEN)
    listed = {route["path"] for route in http.get("/").json()["routes"]}
    assert listed == set(document["paths"])
    assert http.get("/docs").status_code == 404  # it would load scripts from elsewhere
