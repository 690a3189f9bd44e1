"""Follow a compacted topic by a plain consumer: what operators say of models, lists and the like, as it stands and as it changes.

A service of the Faust worker, without group and commits, so each worker process knows all of it. `known` waits until the topic was
read to its end once: a worker that starts never works by less than it knew before.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from mode import Service

from agents.outlet import Outlet, Stopped, leave
from base.exits import EXIT_FAILING
from base.settings import Settings
from topics import clients
from topics.registry import Topic

log = logging.getLogger("soba.compacted")

TICK_S = 0.25
AT_ONCE = 20_000
"""Records taken together, where so many are there."""
AGAIN_S = 5.0
"""Until the topic is looked for again where it, or Kafka, is away."""

News = Mapping[str, Sequence[Message]]
"""By key, what came since the last time, oldest first."""


class Compacted(Service, ABC):
    """One thread reads and calls `wanted`, `take` and `tick`; `known` may be called by any."""

    def __init__(self, topic: Topic, settings: Settings, outlet: Outlet) -> None:
        super().__init__()
        self.topic = topic.name
        self._config = clients.consumer(
            settings, f"soba.{self.topic}", **{"enable.partition.eof": True, "fetch.wait.max.ms": 500}
        )
        self._outlet = outlet
        self.activity = outlet.activity
        self._known = threading.Event()
        """The topic was read to its end once, or is not there."""
        self._thread = threading.Thread(target=self._run, name=self.topic, daemon=True)
        self.activity.restoring[self.topic] = time.time()

    @abstractmethod
    def wanted(self, key: str) -> bool:
        """Whether anything is to be known of this key."""

    @abstractmethod
    def take(self, news: News) -> None:
        """Take in what is new of wanted keys; at first, all that the topic holds of them."""

    def tick(self) -> None:
        """Called at least four times a second."""

    def read(self) -> None:
        """Begin to read, until the outlet is stopping."""
        self._thread.start()

    async def on_start(self) -> None:
        """Begin to read."""
        self.read()

    async def on_stop(self) -> None:
        """Stop reading."""
        self._outlet.stopping.set()
        await asyncio.to_thread(self._thread.join)

    def known(self) -> None:
        """Wait until all that the topic held at the start was taken.

        Raises:
            Stopped: the worker stops meanwhile.
        """
        while not self._known.wait(TICK_S):
            if self._outlet.stopping.is_set():
                raise Stopped

    def _run(self) -> None:
        try:
            consumer = Consumer(self._config)
            try:
                self._follow(consumer)
            finally:
                consumer.close()
        except Exception as error:
            log.error("unforeseen", exc_info=error)
            leave(EXIT_FAILING, f"{self.topic}: {type(error).__name__}: {error}")

    def _follow(self, consumer: Consumer) -> None:
        partitions = self._partitions(consumer)
        consumer.assign([TopicPartition(self.topic, number, OFFSET_BEGINNING) for number in partitions])
        unread = set(partitions)
        news: dict[str, list[Message]] = {}
        while not self._outlet.stopping.is_set():
            self.tick()
            if (first := consumer.poll(TICK_S)) is None:
                continue
            for message in (first, *consumer.consume(AT_ONCE - 1, timeout=0)):
                if (error := message.error()) is not None:
                    if error.fatal():
                        raise KafkaException(error)
                    if error.code() == KafkaError._PARTITION_EOF:
                        unread.discard(message.partition() or 0)
                    else:
                        log.warning("%s", error.str())
                elif self.wanted(key := (message.key() or b"").decode(errors="replace")):
                    news.setdefault(key, []).append(message)
            if not unread:
                if news:
                    self.take(news)
                    news = {}
                self._ready()

    def _partitions(self, consumer: Consumer) -> list[int]:
        """The topic's partitions, waited for: an older cluster may not have it until `soba topics create`."""
        told = False
        while not self._outlet.stopping.is_set():
            try:
                found = consumer.list_topics(timeout=10).topics.get(self.topic)
            except KafkaException as error:
                log.warning("%s", error.args[0].str())
            else:
                if found is not None and found.partitions:
                    return sorted(found.partitions)
                if not told:
                    log.warning("there is no topic %s; run `bin/soba topics create`", self.topic)
                    told = True
                self._ready()
            self.tick()
            self._outlet.stopping.wait(AGAIN_S)
        return []

    def _ready(self) -> None:
        self.activity.restoring.pop(self.topic, None)
        self._known.set()
