"""A worker's pulse: its heartbeat row in Redis, and /health, /ready and /metrics on its own port."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from typing import Any
from uuid import uuid4

import redis.asyncio
from aiohttp import web
from mode import Service
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.exceptions import RedisError

from agents.outlet import Outlet, leave
from agents.patience import Patience
from agents.telling import Summary
from agents.trouble import Troubles
from base import health, metrics
from base.exits import EXIT_FAILING
from base.settings import Settings
from tables.readers import WORKERS_SEEN
from tables.registry import WORKERS, WorkerRow
from tables.rows import Row, stage

log = logging.getLogger("soba.pulse")

BEAT_S = 5.0


class Pulse(Service):
    """Beats every five seconds and answers probes, from the loop of the Faust app: a hung loop shows."""

    def __init__(self, service: str, app_id: str, port: int, settings: Settings, outlet: Outlet, app: Any) -> None:
        super().__init__()
        self._service = service
        self._app_id = app_id
        self._wanted_port = port if settings.worker_port is None else settings.worker_port
        self._host = settings.worker_host
        self._activity = outlet.activity
        self._outlet = outlet
        self._faust = app
        self._redis = redis.asyncio.Redis.from_url(settings.redis_url, socket_timeout=5, socket_connect_timeout=5)
        self._instance = uuid4().hex[:12]
        self._started_at = time.time()
        self._port = 0
        self._beaten_at = 0.0
        self._web: web.AppRunner | None = None
        self._summary = Summary(outlet.activity, time.monotonic())
        self._patience = Patience()
        self._troubles = Troubles(settings)

    async def on_start(self) -> None:
        """Open the port: the service's own, or a free one where that is taken."""
        site = web.Application()
        site.add_routes(
            [web.get("/health", self._health), web.get("/ready", self._ready), web.get("/metrics", self._metrics)]
        )
        self._web = web.AppRunner(site, access_log=None)
        await self._web.setup()
        listener = _listen(self._host, self._wanted_port)
        self._port = listener.getsockname()[1]
        await web.SockSite(self._web, listener).start()
        log.info("health and metrics at http://%s:%d", self._host, self._port)
        self.add_future(self._beat())
        # Faust's own monitor costs a tenth of its time a message, for figures that nobody reads: ours are in base/metrics.py.
        self._faust.sensors.remove(self._faust.monitor)

    async def on_stop(self) -> None:
        """Close the port and say goodbye, so that nobody waits for a worker that left in order."""
        if self._web is not None:
            await self._web.cleanup()
        try:
            key = f"{self._app_id}:{self._instance}"
            await self._redis.zrem(WORKERS_SEEN, key)
            await self._redis.delete(WORKERS.row_key(key))
        except (RedisError, OSError) as error:
            log.warning("no goodbye: %s", error)
        await self._redis.aclose()

    async def _beat(self) -> None:
        while not self.should_stop:
            self._measure_lag()
            self._activity.note_idle()
            try:
                async with self._redis.pipeline(transaction=False) as pipe:
                    row = self._row()
                    stage(pipe, [Row(WORKERS, f"{self._app_id}:{self._instance}", int(row.beat_at * 1000), row)])
                    pipe.zadd(WORKERS_SEEN, {f"{self._app_id}:{self._instance}": row.beat_at})
                    pipe.zremrangebyscore(WORKERS_SEEN, 0, row.beat_at - health.FORGOTTEN_S)
                    pipe.info("server")
                    *_, server = await pipe.execute()
                self._outlet.met(server["run_id"])  # now, not when somebody next waits for an answer
                self._beaten_at = row.beat_at
                self._troubles.over("the heartbeat")
            except (RedisError, OSError) as error:
                self._troubles.note("the heartbeat", error)
            self._summary.tell(time.monotonic())
            if why := self._patience.lost(self._activity, self._faust.rebalancing is not False):
                leave(EXIT_FAILING, f"for a minute {why}")
            await self.sleep(BEAT_S)

    def _row(self) -> WorkerRow:
        activity = self._activity
        return WorkerRow(
            service=self._service,
            app_id=self._app_id,
            instance=self._instance,
            pid=os.getpid(),
            port=self._port,
            started_at=self._started_at,
            beat_at=time.time(),
            progress_at=activity.progress_at,
            handled=activity.handled,
            failed=activity.failed,
            dead_letters=activity.dead_letters,
            lag=activity.lag,
            busy_since=activity.busy_since,
            models=list(activity.models.values()),
            lists=activity.lists,
        )

    def _measure_lag(self) -> None:
        """The lag of agents on Faust streams; those fed by batch consume measure their own."""
        behind: dict[str, int] = {}
        for agent in self._faust.agents.values():
            for name in agent.get_topic_names():
                behind[agent.name] = 0
                consumer = self._faust.consumer
                for where in consumer.assignment():
                    high, done = consumer.highwater(where), consumer._committed_offset.get(where)
                    if where.topic == name and high is not None:
                        behind[agent.name] += max(0, high - (done or 0))
        for name, lag in behind.items():
            self._activity.lags[name] = lag
            metrics.LAG.labels(name).set(lag)

    @property
    def _stuck(self) -> bool:
        now, activity = time.time(), self._activity
        return health.is_stuck(activity.lag, now - activity.progress_at, now - (activity.busy_since or now))

    async def _health(self, request: web.Request) -> web.Response:
        """Alive: this loop answers, and what waits is being done."""
        stuck = self._stuck
        body = {"status": "stuck" if stuck else "healthy", "service": self._service, "lag": self._activity.lag}
        return web.json_response(body, status=503 if stuck else 200)

    async def _ready(self, request: web.Request) -> web.Response:
        """Ready: partitions are assigned (or none are left over) and restored, and Redis heard us lately."""
        restoring, joining = sorted(self._activity.restoring), sorted(self._activity.joining)
        heard = time.time() - self._beaten_at < 3 * BEAT_S
        ready = heard and self._faust.rebalancing is False and not restoring and not joining
        return web.json_response(
            {"ready": ready, "joining": joining, "restoring": restoring}, status=200 if ready else 503
        )

    async def _metrics(self, request: web.Request) -> web.Response:
        body = await asyncio.to_thread(generate_latest)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _listen(host: str, port: int) -> socket.socket:
    """A listener on this port, or on a free one where it is taken.

    Raises:
        OSError: this machine has no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError:
        return socket.create_server((host, 0), family=family)
