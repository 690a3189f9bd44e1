"""What the routes answer: health, metrics and the lookups."""

from __future__ import annotations

import random
import re
import threading
import time
from types import SimpleNamespace
from typing import Any, get_args

import httpx
import pytest
import redis

from agents import mev
from base.health import STUCK_S
from facade.middleware import PROBES
from facade.routes import health
from models.alerts import from_finding
from tables.readers import WORKERS_SEEN
from tables.registry import ALERTS, ALERTS_BY_CHAIN, BLOCKS, MEV, VERSION_DIGITS
from tables.rows import Pointer, Row
from tests.chaos.events import held
from tests.contract.facade import (
    ATTACKER,
    POOL,
    alert_row,
    beat,
    block_row,
    finding,
    hash_of,
    mev_row,
    new_chain,
    write,
)
from tests.unit.handled import Runtime, records
from topics.schemas.mev import Finding, Kind

pytestmark = pytest.mark.pipeline


@pytest.fixture
def seen(store: redis.Redis) -> redis.Redis:
    """Redis without any heartbeat."""
    store.delete(WORKERS_SEEN)
    return store


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> float:
    """The time by which the facade judges ages: it stands still, so that they are what a test says."""
    now = time.time()
    monkeypatch.setattr(health, "time", SimpleNamespace(time=lambda: now))
    return now


def test_no_worker_is_unhealthy(http: httpx.Client, seen: redis.Redis) -> None:
    answer = http.get("/api/python/health")
    assert answer.status_code == 503
    assert (answer.json()["status"], answer.json()["services"]) == ("unhealthy", {})


def test_health_is_that_of_real_heartbeats(http: httpx.Client, seen: redis.Redis, now: float) -> None:
    beat(seen, "DATA_PROCESSING.validate", now, started=now - 130, handled=7, failed=3)
    beat(seen, "BLOCKCHAIN_INTELLIGENCE", now, started=now - 3700)
    answer = http.get("/api/python/health")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "healthy")
    assert set(body["services"]) == {"DATA_PROCESSING", "BLOCKCHAIN_INTELLIGENCE"}
    service = body["services"]["DATA_PROCESSING"]
    assert (service["status"], service["healthy"], service["uptime"]) == ("healthy", True, "2m")
    assert service["uptime_seconds"] == 130 and service["success_rate"] == 0.7
    assert body["services"]["BLOCKCHAIN_INTELLIGENCE"]["uptime"] == "1h"


def test_one_failing_service_is_degraded_and_all_are_unhealthy(
    http: httpx.Client, seen: redis.Redis, now: float
) -> None:
    beat(seen, "DATA_PROCESSING.validate", now)
    beat(seen, "NLP_TRANSLATION", now, handled=6, failed=4)  # a success rate of 0.6
    answer = http.get("/api/python/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["services"]["NLP_TRANSLATION"]["status"] == "unhealthy"
    beat(seen, "DATA_PROCESSING.validate", now - 91)  # three checks missed; older, so its row is refused
    seen.zadd(WORKERS_SEEN, {"DATA_PROCESSING.validate:test": now - 91})
    seen.delete(*seen.keys("workers:*validate*"))  # as the row expires
    answer = http.get("/api/python/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "unhealthy")
    gone = answer.json()["services"]["DATA_PROCESSING"]
    assert gone["healthy"] is False and gone["missed_checks"] == 3


def test_a_service_with_a_missing_part_is_degraded(http: httpx.Client, seen: redis.Redis, now: float) -> None:
    beat(seen, "DATA_PROCESSING.validate", now)
    beat(seen, "DATA_PROCESSING", now - 100)
    body = http.get("/api/python/health").json()
    assert body["status"] == body["services"]["DATA_PROCESSING"]["status"] == "degraded"
    assert body["services"]["DATA_PROCESSING"]["parts"] == {
        "DATA_PROCESSING": "unhealthy",
        "DATA_PROCESSING.validate": "healthy",
    }


@pytest.mark.parametrize(
    ("idle", "lag", "status"),
    [
        (3600, 0, "healthy"),  # nothing to do
        (STUCK_S - 1, 5, "healthy"),
        (STUCK_S + 1, 5, "unhealthy"),
    ],
)
def test_a_worker_that_beats_but_does_nothing_is_unhealthy(
    http: httpx.Client, seen: redis.Redis, now: float, idle: float, lag: int, status: str
) -> None:
    beat(seen, "DATA_PROCESSING.validate", now, idle=idle, lag=lag)
    assert http.get("/api/python/health").json()["status"] == status


@pytest.mark.parametrize(("in_hand", "status"), [(STUCK_S - 1, "healthy"), (STUCK_S + 1, "unhealthy")])
def test_a_worker_whose_batch_or_restore_hangs_is_unhealthy(
    http: httpx.Client, seen: redis.Redis, now: float, in_hand: float, status: str
) -> None:
    beat(seen, "DATA_PROCESSING.validate", now, busy=in_hand)
    assert http.get("/api/python/health").json()["status"] == status


def test_a_worker_that_is_gone_and_replaced_is_left_out(http: httpx.Client, seen: redis.Redis, now: float) -> None:
    part = "DATA_PROCESSING.validate"

    def told() -> dict[str, Any]:
        service: dict[str, Any] = http.get("/api/python/health").json()["services"]["DATA_PROCESSING"]
        return service

    beat(seen, part, now - 91, handled=1, failed=9, lag=100, instance="gone")
    assert (told()["status"], told()["workers"], told()["lag"], told()["failed"]) == ("unhealthy", 0, 100, 9)
    beat(seen, part, now, handled=5, lag=2, instance="new")
    assert (told()["status"], told()["workers"], told()["lag"], told()["failed"]) == ("healthy", 1, 2, 0)
    # One that still beats is listed, whatever it does: its records wait as well.
    beat(seen, part, now, idle=STUCK_S + 1, lag=40, instance="stuck")
    beat(seen, part, now - 89, handled=7, lag=3, instance="late")
    assert (told()["status"], told()["workers"], told()["lag"], told()["handled"]) == ("healthy", 2, 45, 12)
    # A part that nobody healthy has is missed, whoever does the others.
    beat(seen, "DATA_PROCESSING", now - 91, lag=1, instance="other")
    assert (told()["status"], told()["lag"]) == ("degraded", 46)


def test_an_old_heartbeat_does_not_make_a_worker_stuck(http: httpx.Client, seen: redis.Redis, now: float) -> None:
    beat(seen, "ML_MODELS", now - 60, lag=5)  # it was at work when it last beat
    assert http.get("/api/python/health").json()["status"] == "healthy"


def test_a_service_taken_out_of_use_is_forgotten(http: httpx.Client, seen: redis.Redis, now: float) -> None:
    beat(seen, "DATA_PROCESSING.validate", now)
    beat(seen, "FRAUD_DETECTION", now - 601)
    assert set(http.get("/api/python/health").json()["services"]) == {"DATA_PROCESSING"}


def test_metrics_have_the_names_of_the_contract(http: httpx.Client) -> None:
    http.get("/api/mev")
    http.get("/api/blocks/x")
    text = http.get("/metrics").text
    service = 'service="BLOCKCHAIN_INTELLIGENCE"'
    assert f'python_services_requests_total{{endpoint="/api/mev",{service}}}' in text
    assert f"python_services_request_latency_seconds_count{{{service}}}" in text
    assert f"python_services_requests_success_total{{{service}}}" in text
    assert 'python_services_requests_failed_total{service="DATA_PROCESSING"}' in text
    assert "# HELP soba_dead_letters_total" in text


def test_probes_are_not_counted_as_requests(http: httpx.Client) -> None:
    for path in ("/health", "/ready", "/metrics", "/api/python/health", "/health"):
        http.get(path)
    counted = re.findall(r'python_services_requests_total\{endpoint="([^"]*)"', http.get("/metrics").text)
    assert "/api/python/health" in counted and PROBES.isdisjoint(counted)


def test_ready(http: httpx.Client) -> None:
    answer = http.get("/ready")
    assert (answer.status_code, answer.json()["checks"]) == (200, {"redis": "ok", "kafka": "ok"})


def test_a_block(http: httpx.Client, store: redis.Redis) -> None:
    chain = new_chain()
    write(store, block_row(chain, 7))
    data = http.get(f"/api/blocks/7?chainId={chain}").json()["data"]
    assert (data["number"], data["chain_id"], data["events"]) == (7, chain, {"swap": 2})
    assert http.get(f"/api/blocks/7?chain_id={chain}").json()["data"] == data  # snake_case is taken too
    assert http.get(f"/api/blocks/8?chainId={chain}").status_code == 404


def test_an_unchanged_answer_is_not_sent_again(http: httpx.Client, store: redis.Redis) -> None:
    chain = new_chain()
    write(store, mev_row(chain, 7, []))
    path = f"/api/mev/blocks/7?chainId={chain}"
    tag = http.get(path).headers["etag"]
    for known in (tag, f'"other", W/{tag}', "*"):
        answer = http.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    write(store, mev_row(chain, 7, [finding(chain, 7)], version=2))
    changed = http.get(path, headers={"If-None-Match": tag})
    assert changed.status_code == 200 and changed.headers["etag"] != tag


def test_a_lookup_waits_for_its_row(http: httpx.Client, store: redis.Redis) -> None:
    chain = new_chain()
    began = time.monotonic()
    assert http.get(f"/api/blocks/7?chainId={chain}&wait=300").status_code == 404
    assert time.monotonic() - began >= 0.3
    later = threading.Timer(0.3, write, (store, block_row(chain, 7)))
    later.start()
    began = time.monotonic()
    answer = http.get(f"/api/blocks/7?chainId={chain}&wait=30000")
    took = time.monotonic() - began
    later.join()
    assert answer.status_code == 200 and took < 29  # it was the row that ended the wait, not the limit


def test_findings_of_a_transaction(http: httpx.Client, store: redis.Redis) -> None:
    chain = new_chain()
    write(store, mev_row(chain, 7, [finding(chain, 7, 0), finding(chain, 7, 1), finding(chain, 7, 2, "retracted")]))
    for place in range(3):  # front, victim, back
        data = http.get(f"/api/mev/transactions/{hash_of(7010 + place).upper()}?chainId={chain}").json()["data"]
        assert [one["id"] for one in data["findings"]] == [f"{chain}:7:1"]
    assert http.get(f"/api/mev/transactions/{hash_of(7020)}?chainId={chain}").status_code == 404


@pytest.mark.parametrize("kind", get_args(Kind))
def test_findings_of_every_kind_are_looked_up(http: httpx.Client, store: redis.Redis, kind: Kind) -> None:
    """By each transaction, by block, by who had a part, by pool, as alert, and taken back."""
    chain = new_chain()
    one, gone = finding(chain, 7, kind=kind), finding(chain, 7, 1, "retracted", kind=kind)
    other = finding(chain, 8, kind=next(name for name in get_args(Kind) if name != kind))
    alert = from_finding(one)
    pointer = Pointer(ALERTS_BY_CHAIN, str(chain), 7)
    write(
        store, mev_row(chain, 7, [one, gone]), mev_row(chain, 8, [other]), Row(ALERTS, alert.id, 1, alert, (pointer,))
    )

    def found(path: str, **filters: str) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = http.get(path, params={"chainId": chain, **filters}).json()["data"]["findings"]
        return told

    wanted = one.model_dump(mode="json", exclude_none=True)
    for hash in one.named():
        assert found(f"/api/mev/transactions/{hash}") == [wanted]
    assert found("/api/mev/blocks/7") == [wanted, gone.model_dump(mode="json", exclude_none=True)]
    assert found("/api/mev", kind=kind) == found("/api/mev", kind=kind, pool=POOL) == [wanted]
    assert [told["id"] for told in found("/api/mev", address=ATTACKER)] == [other.id, one.id]
    for party in one.parties():
        assert wanted in found("/api/mev", address=party)
    assert found("/api/mev", address="0x" + "dd" * 20) == []  # the builder
    listed = http.get("/api/alerts", params={"chainId": chain, "kind": f"mev.{kind}"}).json()["data"]["alerts"]
    assert [(told["id"], told["text"]) for told in listed] == [(alert.id, alert.text)]


def test_what_is_over_two_blocks_is_found_by_either(http: httpx.Client, store: redis.Redis) -> None:
    chain = new_chain()
    told = {"chain_id": chain, "revision": 1}
    blocks = [held(place).model_copy(update={**told, "number": 6 + place}) for place in range(3)]
    result = Runtime(mev.AGENT).run(records(blocks))
    write(store, *result.rows)
    first, second = (Finding.model_validate_json(output.value) for output in result.outputs)

    def found(path: str, **filters: str) -> list[str]:
        data = http.get(path, params={"chainId": chain, **filters}).json()["data"]
        return [one["id"] for one in data["findings"]]

    by_block = [found(f"/api/mev/blocks/{number}") for number in (6, 7, 8)]
    assert by_block == [[first.id], [first.id, second.id], [second.id]]
    for one in (first, second):
        assert all(found(f"/api/mev/transactions/{hash}") == [one.id] for hash in one.named())
        assert found("/api/mev", address=one.attackers[0]) == [one.id]
    assert found("/api/mev") == found("/api/mev", pool=first.pools[0]) == [second.id, first.id]


def test_a_row_that_an_older_schema_wrote_counts_as_absent(http: httpx.Client, store: redis.Redis) -> None:
    """It is written anew when its block changes; until then it must not make a 500 of every page that it stands in."""
    chain = new_chain()
    write(store, mev_row(chain, 7, [finding(chain, 7)]), mev_row(chain, 8, [finding(chain, 8)]), block_row(chain, 7))
    for table in (MEV, BLOCKS):
        store.set(table.row_key(f"{chain}:7"), b"0" * VERSION_DIGITS + b'{"chain_id": 1}')
    assert http.get(f"/api/blocks/7?chainId={chain}").status_code == 404
    assert http.get(f"/api/mev/blocks/7?chainId={chain}").status_code == 404
    found = http.get(f"/api/mev?chainId={chain}").json()["data"]["findings"]
    assert [one["block_number"] for one in found] == [8]


def test_an_index_that_is_out_of_date_does_no_harm(http: httpx.Client, store: redis.Redis) -> None:
    chain = new_chain()
    write(store, mev_row(chain, 7, [finding(chain, 7)]))
    write(store, mev_row(chain, 7, [], version=2))  # the next revision finds nothing: the index still points here
    assert http.get(f"/api/mev/transactions/{hash_of(7000)}?chainId={chain}").status_code == 404
    assert http.get(f"/api/mev?chainId={chain}&address={ATTACKER}").json()["data"]["findings"] == []
    assert http.get(f"/api/mev/blocks/7?chainId={chain}").json()["data"]["findings"] == []


def test_pages_hold_each_finding_once(http: httpx.Client, store: redis.Redis) -> None:
    chain = new_chain()
    rows = [mev_row(chain, number, [finding(chain, number, at) for at in range(3)]) for number in range(1, 41)]
    random.shuffle(rows)
    write(store, *rows)
    found, cursor, pages = [], "", 0
    while True:
        data = http.get("/api/mev", params={"chainId": chain, "limit": 7, "cursor": cursor}).json()["data"]
        assert data["count"] == len(data["findings"]) <= 7
        found += [one["id"] for one in data["findings"]]
        pages += 1
        if pages == 3:  # new blocks at the top move nothing further down
            write(store, mev_row(chain, 99, [finding(chain, 99)]))
        cursor = data["cursor"]
        if cursor is None:
            break
    assert found == [f"{chain}:{number}:{at}" for number in range(40, 0, -1) for at in range(3)]
    assert pages == 18


def test_filters_narrow_together(http: httpx.Client, store: redis.Redis) -> None:
    chain = new_chain()
    other = finding(chain, 2, timestamp=2_000).model_copy(update={"attackers": ["0x" + "ee" * 20], "roles": []})
    write(store, mev_row(chain, 1, [finding(chain, 1, timestamp=1_000)]), mev_row(chain, 2, [other]))
    write(store, mev_row(chain, 3, [finding(chain, 3, timestamp=None)]))

    def blocks(**filters: str) -> list[int]:
        data = http.get("/api/mev", params={"chainId": chain, **filters}).json()["data"]
        return [one["block_number"] for one in data["findings"]]

    assert blocks() == [3, 2, 1]
    assert blocks(address=ATTACKER.upper().replace("0X", "0x")) == [3, 1]
    assert blocks(pool=POOL, address="0x" + "ee" * 20) == [2]
    assert blocks(pool=POOL) == blocks(pool="0x" + POOL[2:].upper()) == [3, 2, 1]
    assert blocks(kind="sandwich", since="1970-01-01T00:20:00Z") == [2]
    assert blocks(since="1000") == blocks(since="1960-01-01") == [2, 1]
    assert blocks(kind="sandwich") == [3, 2, 1]
    assert blocks(kind="", address="", pool="", since="") == [3, 2, 1]


def test_alerts(http: httpx.Client, store: redis.Redis) -> None:
    chain = new_chain()
    write(store, alert_row(chain, 1, "high", timestamp=1_000), alert_row(chain, 2, "low", timestamp=2_000))
    write(store, alert_row(chain, 3, "high", status="retracted", timestamp=3_000), alert_row(chain, 4, "medium"))

    def found(**filters: str) -> list[int]:
        data = http.get("/api/alerts", params={"chainId": chain, **filters}).json()["data"]
        return [alert["block_number"] for alert in data["alerts"]]

    assert found(lang="en") == [4, 2, 1]
    assert found(severity="high") == [1]
    assert found(kind="mev.sandwich") == [4, 2, 1]
    assert found(since="1000") == found(since="1960-01-01") == [2, 1]
    assert found(since="1970-01-01T00:20:00Z") == [2]  # 1200
    assert found(since="3000") == []
