"""Trained models as data: what the manifest of a release says, and a release as it stands in model.releases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, FiniteFloat, StringConstraints, model_validator

ARTEFACT_BYTES = 12 * 1024 * 1024
"""The largest artefact."""
MANIFEST_BYTES = 1024 * 1024
"""The longest manifest: with it, the largest artefact still fits a record of model.releases."""

Format = Literal["json", "npz", "lightgbm", "onnx"]
"""Every form an artefact may have; none of them can hold code. `models.artefacts` reads them."""

ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9._-]{0,63}$")]
"""Without @, which stands between name and version in the keys of earlier releases."""
Version = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Figures = Annotated[dict[str, FiniteFloat], Field(min_length=1)]
"""Out-of-sample metrics by name."""


class Feature(BaseModel, frozen=True):
    """One input of a model: `version` changes whenever its definition does."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    version: Annotated[int, Field(strict=True, ge=1)]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class Window(BaseModel, frozen=True):
    """The time of the data that a model was trained on."""

    first: AwareDatetime
    last: AwareDatetime


class Decides(BaseModel, frozen=True):
    """The metric that decides which of two models is better."""

    metric: str
    higher_is_better: bool


class Manifest(BaseModel, frozen=True):
    """What is known of a trained model beside its bytes. Fields that are not known here are for later versions of Soba."""

    name: ModelName
    version: Version
    format: Format
    sha256: Sha256
    """Of the artefact."""
    data_hash: Sha256
    """Of the data on which `metrics` and `beside` were measured, out of sample."""
    window: Window
    metrics: Figures
    beside: dict[Version, Figures] = {}
    """The same metrics of other versions of the model on the same data: without them, only models of one data can be compared."""
    decides: Decides
    created: AwareDatetime
    expires: AwareDatetime
    """From then on its results are marked stale."""
    made_by: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """The version of Soba that trained it."""
    features: list[Feature]
    """In the order in which the artefact takes them."""
    notes: str = ""

    @model_validator(mode="after")
    def _fits_together(self) -> Manifest:
        if self.decides.metric not in self.metrics:
            raise ValueError(f"decides.metric: it is not measured; give one of metrics: {', '.join(self.metrics)}")
        if self.expires <= self.created:
            raise ValueError("expires: it is over when the model is made; give a time after created")
        if self.window.last < self.window.first:
            raise ValueError("window: it ends before it begins; give first before last")
        if len({feature.name for feature in self.features}) < len(self.features):
            raise ValueError("features: one is named twice; give each once")
        return self

    @property
    def id(self) -> str:
        """What results call their model: `fraud/2024-06-01`."""
        return f"{self.name}/{self.version}"

    @property
    def figure(self) -> float:
        """The metric that decides."""
        return self.metrics[self.decides.metric]


@dataclass(frozen=True, slots=True)
class Release:
    """A model as it is released: its manifest and its bytes."""

    manifest: Manifest
    artefact: bytes
