"""Fraud made on the spot: a tiny model whose levels can be told by hand, random trees of any size, and wallets to score."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from agents.agent import Agent
from agents.app import WORKERS
from models.fraud import drift
from models.fraud.behaviour import AXES, NEIGHBOURS
from models.fraud.bitmaps import slot
from models.fraud.features import FEATURES
from models.fraud.packed import LAYOUT
from models.fraud.profile import IN, OUT, Move, Profile
from models.fraud.scorer import FRAUD
from models.fraud.trees import LEAF
from models.fraud.wallet import evidence
from models.fraud.windows import Windows
from models.releases import Model, Served, load
from tables.registry import ProfileRow
from tests import linear
from topics import releases
from topics.schemas.models import Release

Node = tuple[str, float, Any, Any]
"""A feature, the highest value that goes left, and what is on both sides: nodes, or what a leaf says."""


BACKWARDS = FEATURES[::-1]
"""The features in another order than an agent computes them: a release may take them in any."""
CUTS = (0.2, 0.45, 0.8)
PAID_BY_MANY: Node = ("in_peers", math.log10(11), -4.0, 2.0)
"""A fraud is who is paid by more than ten: 0.0, or 0.75."""


def arrays(prefix: str, trees: Sequence[Node], features: Sequence[str] = FEATURES) -> dict[str, Any]:
    """Trees as a release holds them; NaN goes left."""
    rows: list[tuple[int, float, int, int, bool, float, float]] = []
    roots = []

    def lay(node: Any) -> tuple[int, float]:
        place = len(rows)
        rows.append((LEAF, 0.0, place, place, True, 0.0, 1.0))
        if isinstance(node, tuple):
            feature, threshold, low, high = node
            (left, many), (right, more) = lay(low), lay(high)
            rows[place] = (features.index(feature), threshold, left, right, True, 0.0, many + more)
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


def release(boosted: Sequence[Node] = (), version: str = "tiny", **manifest: Any) -> Release:
    """By default, a wallet is low up to 2 moves, medium up to 4, high up to 6, and critical beyond; fields of its `manifest`."""
    found = {
        **arrays("boosted", boosted or [by_moves((2, -4.0), (4, -2.0), (6, 0.0), last=3.0)], BACKWARDS),
        **arrays("forest", [by_moves((3, 9.0), (5, 7.0), last=5.0)], BACKWARDS),
        "known": np.array([-4.0, 4.0]),
        "calibrated": np.array([0.0, 1.0]),
        "ordinary": np.array([4.0, 6.0, 8.0, 10.0]),
        **behaviours(len(FEATURES)),
        "famous": np.array([7, 9]),
        "wallets": np.array([3, 4]),
        "cuts": np.array(CUTS),
        **drift.fit(np.random.default_rng(1).normal(0.7, 0.7, (400, len(FEATURES))), np.linspace(0.0, 1.0, 400)),
    }
    with io.BytesIO() as file:
        np.savez(file, **found)
        artefact = file.getvalue()
    features = {feature.name: feature for feature in FRAUD.features}
    fields = {"format": "npz", "features": [features[name] for name in BACKWARDS], **manifest}
    return linear.release(version, FRAUD.name, artefact=artefact, **fields)


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
    shipped.write_bytes(releases.pack(release()))
    return replace(FRAUD, shipped=shipped)


def wallet(payers: int, first: int = 1_700_000_000, out: int = 0, value: int = 10**17, each: int = 3_600) -> Profile:
    """A wallet that was paid by so many others, the same value by each, and paid `out` times one other."""
    profile = Profile()
    for number in range(payers):
        profile.move(move(IN, f"0x{number:040x}", first + each * number, value))
    for number in range(out):
        profile.move(move(OUT, "0x" + "ee" * 20, first + each * payers + number, value))
    return profile


def move(side: Any, peer: str, time: int, value: int) -> Move:
    """A plain payment."""
    return Move(time, side, slot(peer), value, 21_000, 21_000, 1.0, 2, "0x", False, 0.0)


def profile_row(address: str, profile: Profile, chain_id: int = 1, **more: Any) -> ProfileRow:
    """A wallet's row that says this of it; judged by no model, but for `more`."""
    about = {
        "chain_id": chain_id,
        "address": address,
        "revision": 1,
        "number": 1,
        "level": "low",
        "model": "none",
        **more,
    }
    return ProfileRow(**about, layout=LAYOUT, moves=evidence(profile), base=Windows(0, None, profile).packed())
