"""Who may use the facade: keys and scopes, open mode on this machine alone, and how often."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import httpx
import pytest
import redis

from base.settings import ROOT, Settings
from facade import limits
from facade.app import create_app
from facade.context import connect
from facade.keys import STORE, Keys, is_loopback
from facade.openapi import BARE
from facade.routes import ROUTERS
from tests.conftest import wait_for
from tests.contract.facade import failed, serving

pytestmark = pytest.mark.pipeline
T = TypeVar("T")

OPEN = sorted(BARE)


def test_open_mode_ignores_any_authorization(http: httpx.Client) -> None:
    assert http.get("/api/mev", headers={"Authorization": "Bearer whatever"}).status_code == 200


@pytest.mark.parametrize("host", ["localhost:3000", "LOCALHOST", "127.0.0.1", "127.0.0.1:80", "[::1]:3000"])
def test_open_mode_answers_to_loopback_names(http: httpx.Client, host: str) -> None:
    assert http.get("/api/mev", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:3000", "localhost.evil.example", "[", "10.0.0.1", ""])
def test_open_mode_answers_to_no_other_name(http: httpx.Client, host: str) -> None:
    for path in ("/api/mev", "/", "/openapi.json", "/api/nothing", *OPEN):
        failed(http.get(path, headers={"Host": host}), 403, "forbidden")


def test_in_open_mode_other_pages_change_nothing(http: httpx.Client, busy: Settings) -> None:
    path = "/api/python/data/process-event-stream"

    def post(client: httpx.Client, origin: str) -> httpx.Response:
        # As a form or fetch of any page sends it, without a preflight.
        return client.post(path, content=b'{"events": []}', headers={"Origin": origin, "Content-Type": "text/plain"})

    own = str(http.base_url).rstrip("/")
    assert post(http, own).status_code == 200
    for other in ("https://evil.example", "null", "http://localhost:1", "http://127.0.0.1", f"{own}.evil.example", ""):
        failed(post(http, other), 403, "forbidden")
    assert http.get("/api/mev", headers={"Origin": "https://evil.example"}).status_code == 200  # it cannot read this
    with serving(busy.model_copy(update={"cors_origins": ("https://app.example",)})) as client:
        assert post(client, "https://app.example").status_code == 200
        refused = post(client, "https://evil.example")
        failed(refused, 403, "forbidden")
        assert "access-control-allow-origin" not in refused.headers


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


def routes_of(settings: Settings) -> list[tuple[str, str]]:
    """Methods and paths of all that is there, in the OpenAPI document or not."""
    app = create_app(settings)
    aside = [route for route in app.routes if hasattr(route, "path")]  # such as FastAPI's own, which ask for no key
    assert aside == []
    return [(method, route.path) for router in ROUTERS for route in router.routes for method in route.methods]  # type: ignore[attr-defined]


def test_with_keys_every_route_but_the_exempt_needs_one(
    http: httpx.Client, kept: Callable[..., str], busy: Settings
) -> None:
    secret = kept("reader", "read")  # the first key closes the facade at once
    for path in OPEN:
        assert http.get(path).status_code != 401, path
    routes = [one for one in routes_of(busy) if one[1] not in BARE]
    assert len(routes) >= 9 and {("GET", "/"), ("GET", "/openapi.json")} <= set(routes)
    for method, route in routes:
        path = re.sub(r"{\w+}", "1", route)
        answer = http.request(method, path)
        failed(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        failed(http.request(method, path, headers=bearer(secret + "x")), 401, "unauthorized")
        failed(http.request(method, path, headers={"Authorization": f"Basic {secret}"}), 401, "unauthorized")
        passed = http.request(method, path, headers=bearer(secret))
        assert passed.status_code != 401 and "ratelimit-limit" in passed.headers, path
    # Who has a key may come by way of a proxy and from any page.
    away = {**bearer(secret), "Host": "soba.example", "Origin": "https://page.example"}
    assert http.get("/api/mev", headers=away).status_code == 200
    assert http.get("/health", headers={"Host": "soba.example"}).status_code == 200
    asked = http.post("/api/python/data/process-event-stream", json={"events": []}, headers=away)
    assert failed(asked, 403, "forbidden")["details"]  # the scope, not the page
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
    assert len(hashed) == 64 and secret not in f"{hashed!r}{stored!r}"


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
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, timeout=180)
    assert done.returncode == 2 and b"refusing to serve 0.0.0.0 without an API key" in done.stderr


def test_it_ends_where_its_port_is_taken(child_env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        argv = [sys.executable, "-m", "console", "serve"]
        environment = {**child_env, "SOBA_PORT": str(port)}
        done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, timeout=180)
    assert done.returncode == 2, done.stderr
    assert b"cannot serve on 127.0.0.1:%d: it is in use; choose another port" % port in done.stderr


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


@pytest.fixture
def unlimited(store: redis.Redis) -> Iterator[None]:
    """Nobody has used up anything, before and after."""

    def forget() -> None:
        for key in store.keys("rate:*"):
            store.delete(key)

    forget()
    yield
    forget()


def test_keys_cannot_be_tried_without_end(busy: Settings, kept: Callable[..., str], unlimited: None) -> None:
    right = bearer(kept("right", "read"))
    strict = busy.model_copy(update={"rate_limit_per_minute": 3})
    with serving(strict) as client, serving(strict) as replica:
        # On whichever route, with a wrong key or with none.
        failed(client.get("/api/mev", headers=bearer("guess-1")), 401, "unauthorized")
        failed(client.get("/api/alerts"), 401, "unauthorized")
        assert client.get("/api/mev", headers=right).status_code == 200
        failed(replica.get("/api/mev", headers=bearer("guess-3")), 401, "unauthorized")
        for caller in (bearer("guess-4"), right, {}):  # a right one would be told apart
            refused = client.get("/api/mev", headers=caller) if caller else client.get("/api/mev")
            failed(refused, 429, "rate_limited")
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert (refused.headers["ratelimit-limit"], refused.headers["ratelimit-remaining"]) == ("3", "0")
        failed(replica.get("/api/mev", headers=right), 429, "rate_limited")
        elsewhere = {**right, "X-Forwarded-For": "192.0.2.7"}  # as a proxy on this machine says it
        assert client.get("/api/mev", headers=elsewhere).status_code == 200
        assert client.get("/health").status_code == 200


def test_who_tried_too_many_keys_may_go_on_later(
    busy: Settings, kept: Callable[..., str], unlimited: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WINDOW_MS", 1_000)
    right = bearer(kept("right", "read"))
    with serving(busy.model_copy(update={"rate_limit_per_minute": 3})) as client:
        wait_for(lambda: client.get("/api/mev", headers=bearer("guess")).status_code == 429)
        wait_for(lambda: client.get("/api/mev", headers=right).status_code == 200)


def test_a_route_may_have_a_limit_of_its_own(busy: Settings, unlimited: None) -> None:
    limits = {"/api/blocks/{number}": 2, "/api/mev": 5}
    with serving(busy.model_copy(update={"rate_limit_per_minute": 3, "rate_limits": limits})) as client:
        told = [client.get(f"/api/blocks/{number}") for number in range(3)]  # one route, whatever the number
        assert [answer.status_code for answer in told] == [404, 404, 429]
        assert told[0].headers["ratelimit-policy"] == "2;w=60"
        assert client.get("/api/mev").headers["ratelimit-limit"] == "5"
        assert client.get("/api/alerts").headers["ratelimit-limit"] == "3"


@pytest.mark.parametrize("route", ["/api/nothing", "/health"])
def test_a_limit_for_no_route_is_refused(child_env: dict[str, str], route: str) -> None:
    environment = {**child_env, "SOBA_RATE_LIMITS": f'{{"{route}": 5}}'}
    argv = [sys.executable, "-m", "console", "serve"]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, timeout=180)
    assert done.returncode == 2 and b"SOBA_RATE_LIMITS" in done.stderr and route.encode() in done.stderr
