"""Fraud models made on the spot: a tiny one whose levels can be told by hand, and random trees of any size."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from agents.agent import Agent
from agents.app import WORKERS
from models.fraud.behaviour import AXES, NEIGHBOURS
from models.fraud.features import FEATURES
from models.fraud.scorer import FRAUD
from models.fraud.trees import LEAF
from models.releases import Model, Served, load
from tests import linear
from topics.releases import pack
from topics.schemas.models import Release

Node = tuple[str, float, Any, Any]
"""A feature, the highest value that goes left, and what is on both sides: nodes, or what a leaf says."""


def arrays(prefix: str, trees: Sequence[Node]) -> dict[str, Any]:
    """Trees as a release holds them; NaN goes left."""
    rows: list[tuple[int, float, int, int, bool, float, float]] = []
    roots = []

    def lay(node: Any) -> tuple[int, float]:
        place = len(rows)
        rows.append((LEAF, 0.0, place, place, True, 0.0, 1.0))
        if isinstance(node, tuple):
            feature, threshold, low, high = node
            (left, many), (right, more) = lay(low), lay(high)
            rows[place] = (FEATURES.index(feature), threshold, left, right, True, 0.0, many + more)
        else:
            rows[place] = (LEAF, 0.0, place, place, True, float(node), 1.0)
        return place, rows[place][6]

    for tree in trees:
        roots.append(lay(tree)[0])
    names = ("feature", "threshold", "left", "right", "missing_left", "value", "cover")
    columns = zip(*rows, strict=True)
    return {f"{prefix}_{name}": np.array(column) for name, column in zip(names, columns, strict=True)} | {
        f"{prefix}_roots": np.array(roots)
    }


def behaviours(columns: int) -> dict[str, Any]:
    """One kind of behaviour, that of everybody, for a model of so many features."""
    found = {
        "middle": np.zeros(columns), "spread": np.ones(columns), "axes": np.zeros((columns, AXES)),
        "points": np.zeros((NEIGHBOURS, AXES), np.float32), "core": np.ones(NEIGHBOURS, np.float32),
        "cluster": np.zeros(NEIGHBOURS, np.int16), "reach": np.ones(1), "marks": np.array([[1, -2, 3]]), "ordinary": np.ones(5),
    }  # fmt: skip
    return {f"behaviour_{name}": array for name, array in found.items()}


def by_moves(*cuts: tuple[int, float], last: float) -> Node:
    """A tree by the number of moves: what it says up to each cut, and beyond the last."""
    (most, value), *rest = cuts
    return ("moves", math.log10(1 + most + 0.5), value, by_moves(*rest, last=last) if rest else last)


def release(boosted: Sequence[Node] = (), forest: Sequence[Node] = (), version: str = "tiny") -> Release:
    """By default, a wallet is low up to 2 moves, medium up to 4, high up to 6, and critical beyond."""
    found = {
        **arrays("boosted", boosted or [by_moves((2, -4.0), (4, -2.0), (6, 0.0), last=3.0)]),
        **arrays("forest", forest or [by_moves((3, 9.0), (5, 7.0), last=5.0)]),
        "known": np.array([-4.0, 4.0]),
        "calibrated": np.array([0.0, 1.0]),
        "ordinary": np.array([4.0, 6.0, 8.0, 10.0]),
        **behaviours(len(FEATURES)),
        "famous": np.array([7, 9]),
        "wallets": np.array([3, 4]),
        "cuts": np.array([0.2, 0.45, 0.8]),
    }
    with io.BytesIO() as file:
        np.savez(file, **found)
        artefact = file.getvalue()
    made = linear.release(version, "fraud", format="npz", artefact=artefact, features=list(FRAUD.features))
    return replace(made, manifest=made.manifest.model_copy(update={"sha256": sha256(artefact).hexdigest()}))


def grown(trees: int, depth: int, seed: int = 1) -> list[Node]:
    """Random trees, all splits about where values of features lie."""
    random = np.random.default_rng(seed)

    def grow(left: int) -> Any:
        if not left:
            return float(random.normal(0.0, 0.1))
        feature = FEATURES[random.integers(len(FEATURES))]
        return (feature, float(random.normal(0.7, 0.7)), grow(left - 1), grow(left - 1))

    return [grow(depth) for _ in range(trees)]


def model(made: Release | None = None) -> Model:
    """It, loaded."""
    return load(made or release(), FRAUD)


def serve_tiny(folder: Path) -> None:
    """Have this process's agents serve the tiny model, as if it came with Soba."""
    tiny = served(folder)
    for agent in WORKERS["fraud"].agents():
        if isinstance(agent, Agent) and FRAUD in agent.models:
            object.__setattr__(agent, "models", tuple(tiny if one == FRAUD else one for one in agent.models))


def served(folder: Path) -> Served:
    """What an agent says of it, with the tiny model in `folder`."""
    shipped = folder / "fraud.release"
    shipped.write_bytes(pack(release()))
    return replace(FRAUD, shipped=shipped)
