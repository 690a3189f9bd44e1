"""A tiny fraud model, made on the spot: who is paid by many is a fraud, and who calls contracts is not ordinary."""

from __future__ import annotations

import io
from hashlib import sha256
from typing import Any
from zlib import crc32

import numpy as np

from models.fraud.packed import LAYOUT, pack
from models.fraud.profile import IN, OUT, Move, Profile
from models.fraud.scorer import FRAUD, Scorer
from models.fraud.wallet import evidence
from models.releases import load
from tables.registry import ProfileRow
from tests.fraud import behaviours
from tests.linear import CREATED, DATA, NEVER
from topics.schemas.models import Decides, Feature, Manifest, Release, Window

USED = ("in_peers", "in_moves", "out_calls", "out_moves")
FAMOUS = "0x" + "fa" * 20
CUTS = (0.3, 0.6, 0.9)


def _stump(prefix: str, feature: int, threshold: float, low: float, high: float) -> dict[str, Any]:
    """One split: `low` where the feature is not above the threshold or not known, else `high`."""
    return {
        f"{prefix}_feature": [feature, -1, -1],
        f"{prefix}_threshold": [threshold, 0.0, 0.0],
        f"{prefix}_left": [1, 1, 2],
        f"{prefix}_right": [2, 1, 2],
        f"{prefix}_missing_left": [True, True, True],
        f"{prefix}_value": [0.0, low, high],
        f"{prefix}_cover": [100.0, 90.0, 10.0],
        f"{prefix}_roots": [0],
    }


def arrays() -> dict[str, Any]:
    """What the release holds: a probability of 0.05, or 0.7 from ten wallets that paid on."""
    return {
        **_stump("boosted", 0, float(np.log10(11)), -2.0, 2.0),
        **_stump("forest", 2, 0.5, 9.0, 3.0),
        "known": [-2.0, 2.0],
        "calibrated": [0.05, 0.7],
        "ordinary": np.linspace(1.0, 12.0, 100),
        **behaviours(len(USED)),
        "famous": np.array([crc32(FAMOUS.encode())], np.int64),
        "wallets": np.array([7], np.int64),
        "cuts": list(CUTS),
    }


def release(version: str = "tiny", **changes: Any) -> Release:
    """The model as it is released; `changes` are fields of its manifest."""
    with io.BytesIO() as file:
        content: Any = {name: np.asarray(value) for name, value in arrays().items()}
        np.savez(file, **content)
        artefact = file.getvalue()
    fields: dict[str, Any] = {
        "name": FRAUD.name,
        "version": version,
        "format": "npz",
        "sha256": sha256(artefact).hexdigest(),
        "data_hash": DATA,
        "window": Window(first=CREATED, last=CREATED),
        "metrics": {"auc": 0.9},
        "decides": Decides(metric="auc", higher_is_better=True),
        "created": CREATED,
        "expires": NEVER,
        "made_by": "soba 0.1.0",
        "features": [Feature(name=name, version=1) for name in USED],
        **changes,
    }
    return Release(Manifest(**fields), artefact)


def scorer() -> Scorer:
    """The model as it serves."""
    loaded: Scorer = load(release(), FRAUD).loaded
    return loaded


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
    return Move(time, side, peer, value, 21_000, 21_000, 1.0, 2, "0x", False, 0.0)


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
    return ProfileRow(**about, layout=LAYOUT, moves=evidence(profile), young=pack(profile))
