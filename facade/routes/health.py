"""Liveness, readiness, metrics, and the health of the services by their workers' heartbeats."""

from __future__ import annotations

import time
from itertools import groupby
from typing import Any

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.responses import PlainTextResponse, Response

from base import health
from base.metrics import SERVICE_HEALTH
from facade.answers import Health, Live, Ready
from facade.context import Context, Here
from facade.errors import json_response, now
from tables.readers import Seen, workers
from tables.registry import WorkerRow

router = APIRouter()


@router.get("/health", responses={200: {"model": Live}}, summary="Whether this process lives")
async def live() -> Response:
    """Always 200: a restart helps only a process that does not answer at all."""
    return json_response({"status": "healthy", "timestamp": now()})


@router.get(
    "/ready",
    responses={200: {"model": Ready}, 503: {"model": Ready, "description": "Redis or Kafka is away"}},
    summary="Whether this process can serve: Redis and Kafka answer",
)
async def ready(here: Here) -> Response:
    """200, or 503 while one of the two is away."""
    checks = await _servers(here)
    status = 200 if all(checks.values()) else 503
    told = {name: "ok" if fine else "unreachable" for name, fine in checks.items()}
    headers = {} if status == 200 else {"Retry-After": "2"}
    return json_response(
        {"status": "ready" if status == 200 else "not ready", "checks": told, "timestamp": now()}, status, headers
    )


@router.get("/metrics", response_class=PlainTextResponse, summary="Prometheus metrics")
async def metrics() -> Response:
    """In Prometheus' text form."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@router.get(
    "/api/python/health",
    responses={200: {"model": Health}, 503: {"model": Health, "description": "Unhealthy"}},
    summary="The health of the services",
)
async def services(here: Here) -> Response:
    """503 only when unhealthy: no service is healthy, or Redis or Kafka cannot be reached."""
    checks, at = await _servers(here), time.time()
    seen = await workers(here.redis, at - health.FORGOTTEN_S) if checks["redis"] else []
    told = {name: _service(list(group), at) for name, group in groupby(seen, key=_service_of)}
    for name, service in told.items():
        SERVICE_HEALTH.labels(name).set(health.STATUS_VALUE[service["status"]])
    status = health.together(service["status"] for service in told.values())
    if not all(checks.values()):
        status = "unhealthy"
    body = {
        "status": status,
        "timestamp": now(),
        "services": told,
        "dependencies": {name: "healthy" if fine else "unhealthy" for name, fine in checks.items()},
    }
    failed = status == "unhealthy"
    return json_response(body, 503 if failed else 200, {"Retry-After": "5"} if failed else None)


def _service_of(worker: Seen) -> str:
    """`DATA_PROCESSING` of `DATA_PROCESSING.validate`."""
    return worker.app_id.partition(".")[0]


def _service(seen: list[Seen], at: float) -> dict[str, Any]:
    """One service by the last heartbeats of its workers, without those that are gone and replaced."""
    good = [worker.row for worker in seen if worker.row is not None and _is_healthy(worker.row, at)]
    served = {row.app_id for row in good}
    seen = [worker for worker in seen if worker.app_id not in served or not health.is_gone(at - worker.beat_at)]
    rows = [worker.row for worker in seen if worker.row is not None]
    parts = {worker.app_id: worker.app_id in served for worker in seen}
    status = health.together(parts.values())
    up_s = at - min(row.started_at for row in good) if good else 0.0
    age_s = at - max(worker.beat_at for worker in seen)
    handled, failed = sum(row.handled for row in rows), sum(row.failed for row in rows)
    return {
        "status": status,
        "healthy": status == "healthy",
        "uptime": health.uptime(up_s),
        "uptime_seconds": int(up_s),
        "workers": len(good),
        "parts": {name: "healthy" if fine else "unhealthy" for name, fine in sorted(parts.items())},
        "success_rate": round(health.success_rate(handled, failed), 4),
        "handled": handled,
        "failed": failed,
        "dead_letters": sum(row.dead_letters for row in rows),
        "lag": sum(row.lag for row in rows),
        "last_beat_seconds": round(age_s, 1),
        "missed_checks": health.missed_checks(age_s),
        "models": _models(good),
    }


def _models(rows: list[WorkerRow]) -> list[dict[str, Any]]:
    told = sorted({(model.name, model.version, model.stale) for row in rows for model in row.models})
    return [{"name": name, "version": version, "stale": stale} for name, version, stale in told]


def _is_healthy(row: WorkerRow, at: float) -> bool:
    # Both times are the worker's, so that neither its clock nor the age of its heartbeat makes it look stuck.
    busy_s = row.beat_at - (row.busy_since or row.beat_at)
    stuck = health.is_stuck(row.lag, row.beat_at - row.progress_at, busy_s)
    return health.is_healthy(at - row.beat_at, health.success_rate(row.handled, row.failed), stuck)


async def _servers(here: Context) -> dict[str, bool]:
    return {"redis": await _pings(here.redis), "kafka": await here.producer.reachable()}


async def _pings(redis: Redis) -> bool:
    try:
        return bool(await redis.ping())
    except (RedisError, OSError):
        return False
