"""The models that a worker serves: those that come with Soba at first, then each release of model.releases as it comes.

A plain consumer reads the whole topic, as a service of the Faust worker: no group and no commits, so each worker process knows
every release. No batch is handled before the topic was read to its end once: a worker that starts never serves an older model than
it did before. A release that must not be served changes nothing; it is told in log, metric and heartbeat.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from mode import Service

from agents.runtime import Outlet, Stopped, leave
from base import metrics
from base.exits import EXIT_FAILING
from base.settings import Settings
from models.releases import Model, Models, Refused, Served, is_expired, load
from tables.registry import ModelRow
from topics import clients
from topics.registry import MODEL_RELEASES
from topics.releases import NotARelease, moment, unpack

log = logging.getLogger("soba.releases")

TICK_S = 0.25
AGAIN_S = 5.0
"""Until the topic is looked for again where it, or Kafka, is away."""


def accept(value: bytes, served: Served, at: datetime) -> Model:
    """The model behind a record of model.releases that was released at `at`.

    Its age is judged by the time of the record, so that a worker which starts later comes to the same.

    Raises:
        Refused: it must not be served.
    """
    try:
        release = unpack(value)
    except NotARelease as error:
        raise Refused("malformed", str(error)) from error
    if is_expired(release.manifest, at):
        raise Refused("expired", f"it expired at {release.manifest.expires}, before it was released")
    return load(release, served)


def shipped(served: Served) -> Model:
    """The model that comes with Soba.

    Raises:
        OSError, NotARelease, Refused: it is missing or bad, which is our fault and a test's to find.
    """
    return load(unpack(served.shipped.read_bytes()), served)


class Releases(Service):
    """The models of one worker. One thread reads and loads; `current` may be called by any."""

    def __init__(self, served: Mapping[str, Served], settings: Settings, outlet: Outlet) -> None:
        super().__init__()
        self._served = served
        self._config = clients.consumer(
            settings, "soba.releases", **{"enable.partition.eof": True, "fetch.wait.max.ms": 500}
        )
        self._outlet = outlet
        self._activity = outlet.activity
        self._models: Models = {}
        self._known = threading.Event()
        """The topic was read to its end once, or is not there."""
        self._thread = threading.Thread(target=self._run, name="releases", daemon=True)
        for one in served.values():
            self._serve(shipped(one))
        self._activity.restoring[MODEL_RELEASES.name] = time.time()

    async def on_start(self) -> None:
        """Begin to read."""
        self._thread.start()

    async def on_stop(self) -> None:
        """Stop reading."""
        self._outlet.stopping.set()
        await asyncio.to_thread(self._thread.join)

    def current(self) -> Models:
        """The models that serve now; what is released later does not change it. At first it waits until all releases are known.

        Raises:
            Stopped: the worker stops meanwhile.
        """
        while not self._known.wait(TICK_S):
            if self._outlet.stopping.is_set():
                raise Stopped
        return self._models

    def _run(self) -> None:
        try:
            consumer = Consumer(self._config)
            try:
                self._follow(consumer)
            finally:
                consumer.close()
        except Exception as error:
            log.error("unforeseen", exc_info=error)
            leave(EXIT_FAILING, f"releases: {type(error).__name__}: {error}")

    def _follow(self, consumer: Consumer) -> None:
        partitions = self._partitions(consumer)
        consumer.assign([TopicPartition(MODEL_RELEASES.name, number, OFFSET_BEGINNING) for number in partitions])
        unread = set(partitions)
        passed: dict[str, list[Message]] = {}
        """What was released before the end was reached, by model: only the last of it that can be served is loaded."""
        while not self._outlet.stopping.is_set():
            self._mark_expired()
            message = consumer.poll(TICK_S)
            if message is None:
                continue
            if (error := message.error()) is not None:
                if error.fatal():
                    raise KafkaException(error)
                if error.code() != KafkaError._PARTITION_EOF:
                    log.warning("%s", error.str())
                    continue
                unread.discard(message.partition() or 0)
            elif (name := (message.key() or b"").decode(errors="replace")) in self._served:
                passed.setdefault(name, []).append(message)
            if not unread:
                for name, messages in passed.items():
                    self._take(name, messages)
                passed.clear()
                self._ready()

    def _partitions(self, consumer: Consumer) -> list[int]:
        """The topic's partitions, waited for: an older cluster may not have it until `soba topics create`."""
        told = False
        while not self._outlet.stopping.is_set():
            try:
                found = consumer.list_topics(timeout=10).topics.get(MODEL_RELEASES.name)
            except KafkaException as error:
                log.warning("%s", error.args[0].str())
            else:
                if found is not None and found.partitions:
                    return sorted(found.partitions)
                if not told:
                    log.warning("there is no topic %s; run `soba topics create`", MODEL_RELEASES.name)
                    told = True
                self._ready()
            self._mark_expired()
            self._outlet.stopping.wait(AGAIN_S)
        return []

    def _ready(self) -> None:
        self._activity.restoring.pop(MODEL_RELEASES.name, None)
        self._known.set()

    def _take(self, name: str, messages: Sequence[Message]) -> None:
        """Serve the last of these releases that can be served, as if they had been taken one after the other."""
        refused = None
        for message in reversed(messages):
            at, value = moment(message.timestamp()[1]), message.value()
            try:
                model = accept(value, self._served[name], at) if value else shipped(self._served[name])
            except Refused as error:
                where = f"{MODEL_RELEASES.name}/{message.partition()}/{message.offset()}"
                log.error("%s cannot serve as %s: %s", where, name, error)
                metrics.RELEASES_REFUSED.labels(name, error.reason).inc()
                refused = refused or str(error)
            else:
                log.info("%s serves, released at %s", model.id, at.isoformat(timespec="seconds"))
                self._serve(model, refused)
                return
        self._serve(self._models[name], refused)

    def _mark_expired(self) -> None:
        now = datetime.now(UTC)
        for name, model in self._models.items():
            if not model.stale and is_expired(model.manifest, now):
                self._serve(model, self._activity.models[name].refused)

    def _serve(self, model: Model, refused: str | None = None) -> None:
        """Put a model in place of the one before it, for all batches that begin from now on."""
        manifest, before = model.manifest, self._models.get(model.manifest.name)
        model = replace(model, stale=is_expired(manifest, datetime.now(UTC)))
        if model.stale and (before is None or before.id != model.id or not before.stale):
            log.warning("%s has expired: it goes on, its results marked stale, until another is released", model.id)
        self._models = {**self._models, manifest.name: model}
        self._activity.models[manifest.name] = ModelRow(
            name=manifest.name, version=manifest.version, stale=model.stale, refused=refused
        )
        if before is not None and before.manifest.version != manifest.version:
            metrics.MODEL_VERSION.remove(manifest.name, before.manifest.version)
        metrics.MODEL_VERSION.labels(manifest.name, manifest.version).set(1)
        metrics.MODEL_EXPIRES.labels(manifest.name).set(manifest.expires.timestamp())
