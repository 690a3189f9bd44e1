"""The models that a worker serves: those that come with Soba at first, then each release of model.releases as it comes.

No batch is handled before all releases are known (`agents.compacted`): a worker that starts never serves an older model than it
did before. A release that must not be served changes nothing; it is told in log, metric and heartbeat.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from confluent_kafka import Message

from agents.agent import Agent, Partitioned
from agents.compacted import Compacted, News
from agents.outlet import Outlet
from base import metrics
from base.settings import Settings
from models.releases import Model, Models, Refused, Served, is_expired, load
from tables.registry import ModelRow
from topics.registry import MODEL_RELEASES
from topics.releases import NotARelease, moment, unpack

log = logging.getLogger("soba.releases")


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


def serving(agents: Iterable[Agent | Partitioned], settings: Settings, outlet: Outlet) -> Releases | None:
    """The models that these agents serve, which their outlet gives them from now on; None where they serve none."""
    served = {one.name: one for agent in agents if isinstance(agent, Agent) for one in agent.models}
    if not served:
        return None
    releases = Releases(served, settings, outlet)
    outlet.models = releases.current
    return releases


class Releases(Compacted):
    """The models of one worker. One thread reads and loads; `current` may be called by any."""

    def __init__(self, served: Mapping[str, Served], settings: Settings, outlet: Outlet) -> None:
        super().__init__(MODEL_RELEASES, settings, outlet)
        self._served = served
        self._models: Models = {}
        for one in served.values():
            self._serve(shipped(one))

    def current(self) -> Models:
        """The models that serve now; what is released later does not change it. At first it waits until all releases are known.

        Raises:
            Stopped: the worker stops meanwhile.
        """
        self.known()
        return self._models

    def wanted(self, key: str) -> bool:
        """Whether it is the name of a model of this worker, and not of an earlier version."""
        return key in self._served

    def take(self, news: News) -> None:
        """Serve what was released last."""
        for name, messages in news.items():
            self._take(name, messages)

    def tick(self) -> None:
        """Mark what has expired meanwhile."""
        now = datetime.now(UTC)
        for name, model in self._models.items():
            if not model.stale and is_expired(model.manifest, now):
                self._serve(model, self.activity.models[name].refused)

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

    def _serve(self, model: Model, refused: str | None = None) -> None:
        """Put a model in place of the one before it, for all batches that begin from now on."""
        manifest, before = model.manifest, self._models.get(model.manifest.name)
        model = replace(model, stale=is_expired(manifest, datetime.now(UTC)))
        if model.stale and (before is None or before.id != model.id or not before.stale):
            log.warning("%s has expired: it goes on, its results marked stale, until another is released", model.id)
        self._models = {**self._models, manifest.name: model}
        self.activity.models[manifest.name] = ModelRow(
            name=manifest.name, version=manifest.version, stale=model.stale, refused=refused
        )
        if before is not None and before.manifest.version != manifest.version:
            metrics.MODEL_VERSION.remove(manifest.name, before.manifest.version)
        metrics.MODEL_VERSION.labels(manifest.name, manifest.version).set(1)
        metrics.MODEL_EXPIRES.labels(manifest.name).set(manifest.expires.timestamp())
