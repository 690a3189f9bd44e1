"""The life of a trained model, written once: what a worker may serve, and which of two models is the better one.

An agent says what it serves by a `Served`; the worker gives its handler a `Model` for each (docs/models/lifecycle.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from models.artefacts import Unreadable, npz, read
from topics.schemas.models import Feature, Format, Manifest, Release

Reason = Literal[
    "malformed", "wrong_name", "wrong_hash", "wrong_format", "wrong_features", "expired", "unreadable", "load_failed"
]
"""Why a release is refused; `malformed` is one that is none."""


class Refused(ValueError):
    """A release that must not be served. Its text is a sentence for people."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason


@dataclass(frozen=True, slots=True)
class Served:
    """A model that an agent serves.

    `load` makes of manifest and content (`models.artefacts.read`) what the handler calls. It should try that once: a model that
    raises here is refused, one that raises on records stops the worker.
    """

    name: str
    format: Format
    features: tuple[Feature, ...]
    """What the agent computes; a release may ask for some of it, in any order."""
    load: Callable[[Manifest, Any], Any]
    shipped: Path
    """The release that comes with Soba, and serves until there is another."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What a handler gets: the same for a whole batch."""

    manifest: Manifest
    loaded: Any
    """What the agent's `load` made."""
    stale: bool = False
    """Expired: it serves until there is another, and its results say so."""

    @property
    def id(self) -> str:
        """What results call it."""
        return self.manifest.id


Models = Mapping[str, Model]
"""The models of an agent, by name."""


def load(release: Release, served: Served) -> Model:
    """The release as a model that serves.

    Raises:
        Refused: it is not what its manifest says, or not what the agent can use.
    """
    manifest = release.manifest
    if manifest.name != served.name:
        raise Refused("wrong_name", f"it is a release of {manifest.name}, not of {served.name}")
    if (got := sha256(release.artefact).hexdigest()) != manifest.sha256:
        raise Refused("wrong_hash", f"its artefact has the sha256 {got}, its manifest says {manifest.sha256}")
    if manifest.format != served.format:
        raise Refused("wrong_format", f"it is {manifest.format}; {served.name} is served from {served.format}")
    if unknown := [str(feature) for feature in manifest.features if feature not in served.features]:
        raise Refused("wrong_features", f"it takes what this Soba does not compute: {', '.join(unknown)}")
    try:
        content = read(manifest.format, release.artefact)
    except Unreadable as error:
        raise Refused("unreadable", f"its artefact is {error}") from error
    try:
        return Model(manifest, served.load(manifest, content))
    except Exception as error:  # whatever it is, the model that serves goes on
        raise Refused("load_failed", f"it cannot be loaded: {type(error).__name__}: {error}") from error


def amended(release: Release, version: str, arrays: Mapping[str, Any]) -> Release:
    """The npz of a release with more arrays, or others in their place, under another name: a version never changes."""
    artefact = npz({**read("npz", release.artefact), **arrays})
    changes = {"version": version, "sha256": sha256(artefact).hexdigest()}
    return Release(release.manifest.model_copy(update=changes), artefact)


def is_expired(manifest: Manifest, at: datetime) -> bool:
    """Whether it is beyond its time. Nothing expired is released; what expires while it serves goes on, as stale."""
    return manifest.expires <= at


@dataclass(frozen=True, slots=True)
class Comparison:
    """A challenger against the champion: whether it may take its place, and why, in words."""

    passes: bool
    said: str


def compare(challenger: Manifest, champion: Manifest) -> Comparison:
    """A challenger replaces a champion only when it is not worse out of sample: in the metric that decides, on the same data.

    The champion's figure on the challenger's data is its own where both were measured on one data, else the one that the
    challenger's manifest tells `beside` its own.
    """
    decides = champion.decides
    if challenger.decides != decides:
        ways = [f"{one.metric} ({_direction(one.higher_is_better)})" for one in (challenger.decides, decides)]
        return Comparison(False, f"judged by {ways[0]}, while {champion.id} is judged by {ways[1]}")
    if challenger.data_hash == champion.data_hash:
        held: float | None = champion.figure
    else:
        held = challenger.beside.get(champion.version, {}).get(decides.metric)
    if held is None:
        missing = f"its manifest tells no {decides.metric} of {champion.version} beside its own"
        return Comparison(False, f"measured on other data than {champion.id}, and {missing}")
    passes = challenger.figure >= held if decides.higher_is_better else challenger.figure <= held
    figures = f"{decides.metric} {challenger.figure:g} against {held:g} of {champion.id}"
    return Comparison(passes, f"{figures} on the same data ({_direction(decides.higher_is_better)})")


def _direction(higher_is_better: bool) -> str:
    return "higher is better" if higher_is_better else "lower is better"
