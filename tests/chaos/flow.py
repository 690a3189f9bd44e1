"""When probes come out at the end of the pipeline: how long a disturbance held it up."""

from __future__ import annotations

import threading
import time
from contextlib import closing, suppress
from typing import cast

import orjson
import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from redis.exceptions import RedisError

from base.settings import Settings
from tables.registry import ALERTS, MEV
from tests.chaos.load import Load
from topics.clients import consumer


class Flow(threading.Thread):
    """Notes when each probe has its alert in the topic, and its finding and its alert in the tables."""

    def __init__(self, settings: Settings, load: Load) -> None:
        super().__init__(daemon=True)
        self._settings = settings
        self._load = load
        self._closed = threading.Event()
        self.arrived: dict[int, list[tuple[float, int]]] = {chain: [] for chain in load.probes}
        """By probe chain: when each number was through first (unix seconds), in that order."""

    def close(self) -> None:
        """Stop looking."""
        self._closed.set()
        self.join()

    def run(self) -> None:
        """Watch until closed."""
        parts = range(self._settings.partitions)
        store = redis.Redis.from_url(self._settings.redis_url, socket_timeout=2, socket_connect_timeout=2)
        quick = {"reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 200}
        with closing(Consumer(consumer(self._settings, "flow", **quick))) as reader, closing(store):
            reader.assign([TopicPartition("alerts", part, OFFSET_BEGINNING) for part in parts])
            waiting: dict[tuple[int, int], str] = {}
            through: set[tuple[int, int]] = set()
            while not self._closed.is_set():
                for message in reader.consume(500, timeout=0.05):
                    if message.error() is None:
                        alert = orjson.loads(message.value() or b"{}")
                        name = alert["chain_id"], alert.get("block_number", 0)
                        if name[0] in self.arrived and name not in through:
                            waiting[name] = alert["id"]
                for name in self._written(store, waiting):
                    del waiting[name]
                    through.add(name)
                    self.arrived[name[0]].append((time.time(), name[1]))

    def _written(self, store: redis.Redis, waiting: dict[tuple[int, int], str]) -> list[tuple[int, int]]:
        """Those of `waiting` whose rows are there."""
        names = list(waiting)
        with suppress(RedisError, OSError), store.pipeline(transaction=False) as pipe:
            for chain, number in names:
                pipe.exists(ALERTS.row_key(waiting[chain, number]), MEV.row_key(f"{chain}:{number}"))
            return [name for name, there in zip(names, cast(list[int], pipe.execute()), strict=True) if there == 2]
        return []

    @property
    def last(self) -> float:
        """When something came through last, on the chain that has waited longest, and over HTTP."""
        ends = [chain[-1][0] if chain else 0.0 for chain in self.arrived.values()]
        return min(*ends, self._load.answers[-1][1] if self._load.answers else 0.0)

    def back(self, since: float) -> float | None:
        """When, on every probe chain, a probe sent after `since` was through, and an HTTP request begun after it answered."""
        times = [
            next((at for at, number in list(chain) if self._load.sent_at[number] > since), None)
            for chain in self.arrived.values()
        ]
        times.append(next((end for began, end in self._load.answers[-2000:] if began > since), None))
        return None if None in times else max(cast(list[float], times))

    def gap(self, since: float, until: float) -> float:
        """The longest time (s) that nothing came through a probe chain, touching that window."""
        longest = 0.0
        for chain in self.arrived.values():
            times = [at for at, _ in list(chain)]
            near = [b - a for a, b in zip(times, [*times[1:], time.time()], strict=True) if b > since and a < until]
            longest = max([longest, *near])
        return longest
