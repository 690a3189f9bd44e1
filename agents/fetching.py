"""Faust's consumer, which looks again sooner: as it comes, a stream that is behind stands still for up to a second and a half.

That is so wherever a partition has more than a stream takes at once, and the causes are waits that nothing ends:
- Faust asks aiokafka for what the partitions have whose streams are not full, for up to a second, and where all are full sleeps
  for one. A stream that has room again meanwhile is not heard of.
- While records of one partition wait to be taken, aiokafka asks the broker for those of the others alone. Are there none, the
  broker answers after 1.5 s, which Faust asks of it, and until then the first partition is asked for nothing more.
"""

from __future__ import annotations

from typing import Any

from faust.transport.drivers import aiokafka

WAIT_S = 0.1
"""How long each of these may take. Half of it would cost a worker that has nothing to do one percent of a core more."""


class _Thread(aiokafka.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = int(WAIT_S * 1000)  # until it starts, when its fetcher is made
        return consumer


class _Consumer(aiokafka.Consumer):
    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def _wait_next_records(self, timeout: float) -> Any:
        if self.flow_active and not self._get_active_partitions():
            await self.sleep(WAIT_S)
            return {}, set()
        return await super()._wait_next_records(min(timeout, WAIT_S))


def look_sooner(app: Any) -> None:
    """Have the Faust `app` read with such a consumer."""
    app.transport.Consumer = _Consumer
