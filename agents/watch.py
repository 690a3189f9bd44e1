"""watch: how far the wallets that are served are from those of training, in metrics, read from the table `drift`.

A service of the worker whose agent counts them. What it tells is of the whole system, so it does not matter which worker is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import numpy as np
import redis.asyncio
from mode import Service
from redis.exceptions import RedisError

from agents.agent import Agent, Partitioned
from agents.outlet import Outlet, Stopped
from agents.trouble import Troubles
from base import metrics
from base.settings import Settings
from models.fraud.drift import ENOUGH
from models.fraud.scorer import FRAUD, Scorer
from tables import readers
from tables.registry import DRIFT

EVERY_S = 30.0
DAYS = 7


def watching(agents: Iterable[Agent | Partitioned], settings: Settings, outlet: Outlet) -> Watch | None:
    """The service, where one of these agents counts wallets."""
    return Watch(settings, outlet) if any(isinstance(one, Agent) and DRIFT in one.own for one in agents) else None


class Watch(Service):
    """Looks every half minute."""

    def __init__(self, settings: Settings, outlet: Outlet) -> None:
        super().__init__()
        self._outlet = outlet
        self._troubles = Troubles(settings)
        self._redis = redis.asyncio.Redis.from_url(settings.redis_url, socket_timeout=5, socket_connect_timeout=5)

    async def on_start(self) -> None:
        """Begin to look."""
        self.add_future(self._watch())

    async def on_stop(self) -> None:
        """Let go of Redis."""
        await self._redis.aclose()

    async def _watch(self) -> None:
        while not self.should_stop:
            try:
                await self.look()
                self._troubles.over("the watch over drift")
            except (RedisError, OSError) as error:
                self._troubles.note("the watch over drift", error)
            except Stopped:
                return
            await self.sleep(EVERY_S)

    async def look(self) -> None:
        """Set the metrics by what is counted now.

        Raises:
            RedisError, OSError: Redis does not answer.
            Stopped: the worker stops before it knows its models.
        """
        model = (await asyncio.to_thread(self._outlet.models))[FRAUD.name]
        scorer: Scorer = model.loaded
        rows = await readers.drift(self._redis, FRAUD.name, model.manifest.version, DAYS)
        wallets = sum(row.wallets for row in rows)
        metrics.MODEL_PSI_WALLETS.labels(FRAUD.name).set(wallets)
        if scorer.reference is None or wallets < ENOUGH:
            metrics.MODEL_PSI.clear()
            return
        counts = np.sum([row.counts for row in rows], axis=0)
        for name, index in zip(scorer.reference.names, scorer.reference.psi(counts), strict=True):
            metrics.MODEL_PSI.labels(FRAUD.name, name).set(round(float(index), 4))
