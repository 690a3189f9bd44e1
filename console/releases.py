"""What model.releases holds, as one book, and how it is written to: for the commands of `soba models`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agents import app
from agents.agent import Agent
from agents.releases import accept, shipped
from base.settings import Settings
from console import compacted, records
from console.local.errors import LocalError
from models.releases import Model, Refused, Served
from topics.headers import Headers
from topics.registry import MODEL_RELEASES
from topics.releases import AT, Act, NotARelease, moment, unpack
from topics.schemas.models import Manifest, Release

KEPT = 5
"""Versions of a model that stay in the topic to roll back to, the one that serves among them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of model.releases."""

    value: bytes
    act: Act
    at: datetime
    release: Release | None
    """None where it is none, which `fault` explains."""
    fault: str = ""


@dataclass(slots=True)
class Book:
    """The newest record of each key."""

    serving: dict[str, Entry] = field(default_factory=dict)
    """By name."""
    earlier: dict[str, dict[str, Entry]] = field(default_factory=dict)
    """By name and version, also the version that serves."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a worker of this Soba serves that starts now."""

    model: Model
    entry: Entry | None
    """The release it comes from; None: it is the shipped one."""
    refused: str
    """Why the record under the model's name does not serve; empty where it does, or where there is none."""

    @property
    def manifest(self) -> Manifest:
        """Of the model."""
        return self.model.manifest


def served() -> dict[str, Served]:
    """Every model that agents of this Soba serve."""
    agents = [agent for worker in app.WORKERS.values() for agent in worker.agents()]
    return {one.name: one for agent in agents if isinstance(agent, Agent) for one in agent.models}


def known(name: str) -> Served:
    """The model called `name`.

    Raises LocalError when no agent serves it.
    """
    have = served()
    if name not in have:
        raise LocalError(f"no agent serves a model {name!r}; there are: {', '.join(have) or 'none yet'}")
    return have[name]


def book() -> tuple[Settings, Book]:
    """The topic as it stands now, and the settings that lead to it.

    Raises LocalError when no Kafka answers, or the topic is missing.
    """
    settings, found = compacted.book(MODEL_RELEASES.name)
    out = Book()
    for key, seen in found.items():
        name, _, version = key.partition(AT)
        place, key = (out.earlier.setdefault(name, {}), version) if version else (out.serving, name)
        place[key] = _entry(seen)
    return settings, out


def _entry(seen: records.Seen) -> Entry:
    release, fault = None, ""
    try:
        release = unpack(seen.value)
    except NotARelease as error:
        fault = str(error)
    return Entry(seen.value, Act.of(seen.headers), moment(seen.at_ms), release, fault)


def standing(one: Served, entry: Entry | None) -> Standing:
    """What serves of a model whose record this is."""
    refused = ""
    if entry is not None:
        try:
            return Standing(accept(entry.value, one, entry.at), entry, "")
        except Refused as error:
            refused = str(error)
    return Standing(shipped(one), None, refused)


def usable(value: bytes, one: Served) -> Manifest:
    """The manifest of a release that workers would take now.

    Raises LocalError when they would not.
    """
    try:
        return accept(value, one, datetime.now(UTC)).manifest
    except Refused as error:
        raise LocalError(f"workers would refuse it: {error}") from error


def put(settings: Settings, rows: Sequence[tuple[str, bytes | None, Headers]]) -> None:
    """Write records one after the other, each confirmed before the next; None deletes a key.

    Raises KafkaException when one is not confirmed.
    """
    compacted.put(settings, MODEL_RELEASES.name, rows, at_once=1)


def superseded(found: Book, name: str, version: str, champion: str) -> list[str]:
    """The keys of versions that have no place any more once `version` serves instead of `champion`: all but the newest `KEPT`."""
    others = [
        ((other == champion, entry.at), other)
        for other, entry in found.earlier.get(name, {}).items()
        if other != version
    ]
    return [f"{name}{AT}{other}" for _, other in sorted(others, reverse=True)[KEPT - 1 :]]
