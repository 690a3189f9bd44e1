"""The trivial model that tests the life cycle of models: a weighted sum, from JSON or npz, and an agent that serves it."""

from __future__ import annotations

import io
import itertools
import json
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from agents.agent import Agent, Output, Record, Result, Rows
from models.releases import Models, Served
from topics.registry import Topic
from topics.releases import pack
from topics.schemas.models import Decides, Feature, Format, Manifest, Release, Window

FEATURES = (Feature(name="n", version=1), Feature(name="one", version=2))
CREATED = datetime(2024, 6, 1, tzinfo=UTC)
NEVER = datetime(2199, 1, 1, tzinfo=UTC)
DATA, OTHER_DATA = sha256(b"data").hexdigest(), sha256(b"other data").hexdigest()


def load(manifest: Manifest, content: Any) -> Callable[[int], float]:
    """The weighted sum of n and 1; tried once, as the life cycle asks for."""
    values: dict[str, Callable[[int], float]] = {"n": float, "one": lambda n: 1.0}
    weights = [float(weight) for weight in content["weights"]]

    def score(n: int) -> float:
        pairs = zip(manifest.features, weights, strict=True)
        return sum(values[feature.name](n) * weight for feature, weight in pairs)

    score(1)
    return score


def release(version: str, name: str = "linear", **changes: Any) -> Release:
    """A release that scores n as n * `weight`; `changes` are fields of the manifest, or its `artefact`."""
    auc, weight = changes.pop("auc", 0.9), changes.pop("weight", 1.0)
    form: Format = changes.get("format", "json")
    artefact = changes.pop("artefact", None) or (json_of if form == "json" else npz_of)([weight, 0.0])
    fields: dict[str, Any] = {
        "name": name,
        "version": version,
        "format": form,
        "sha256": sha256(artefact).hexdigest(),
        "data_hash": DATA,
        "window": Window(first=CREATED - timedelta(days=90), last=CREATED - timedelta(days=1)),
        "metrics": {"auc": auc},
        "decides": Decides(metric="auc", higher_is_better=True),
        "created": CREATED,
        "expires": NEVER,
        "made_by": "soba 0.1.0",
        "features": list(FEATURES),
        **changes,
    }
    return Release(Manifest(**fields), artefact)


def json_of(weights: Sequence[float]) -> bytes:
    """The weights as JSON."""
    return json.dumps({"weights": list(weights)}).encode()


def npz_of(weights: Any) -> bytes:
    """The weights as npz."""
    with io.BytesIO() as file:
        np.savez(file, weights=np.array(weights))
        return file.getvalue()


def served(folder: Path, name: str = "linear", form: Format = "json") -> Served:
    """What an agent says of the model, with a shipped release in `folder`."""
    shipped = folder / f"{name}.release"
    shipped.write_bytes(pack(release("shipped", name, format=form)))
    return Served(name, form, FEATURES, load, shipped)


class Number(BaseModel):
    """What the agent takes."""

    n: int


def numbers(name: str) -> Topic:
    """What the agent reads."""
    return Topic(f"{name}.numbers", "n", Number, ("tests",), ("scorer",), "Numbers.", dead_letters=True)


def scores(name: str) -> Topic:
    """What the agent writes."""
    return Topic(f"{name}.scores", "n", dict, ("scorer",), ("tests",), "Their scores.")


def scorer(one: Served) -> Agent:
    """An agent that scores numbers and says by which model, and in which batch."""

    batches = itertools.count()

    def handle(batch: Sequence[Record], rows: Rows, models: Models) -> Result:
        said, place = [], f"{os.getpid()}/{next(batches)}"
        for record in batch:
            model = models[one.name]  # anew for each record, so that a test sees whether one batch ever sees two
            value = {
                "n": record.value.n,
                "score": model.loaded(record.value.n),
                "model": model.id,
                "stale": model.stale,
                "batch": place,
            }
            said.append(Output(scores(one.name).name, str(record.value.n).encode(), json.dumps(value).encode()))
        return Result(outputs=said)

    return Agent("scorer", numbers(one.name), handle, models=(one,))
