"""MEV detectors, one file a kind. Each is a pure function of a block and one line of `DETECTORS`."""

from __future__ import annotations

from models.mev import sandwich
from models.mev.base import Detector
from models.mev.view import View
from topics.schemas.chain import Block
from topics.schemas.mev import Finding

DETECTORS: tuple[Detector, ...] = (sandwich.detect,)
"""In this order: each is told what those before it found, so that nothing is said twice."""


def detect(block: Block) -> list[Finding]:
    """All findings of `block`, by kind and then in block order; none where the block is removed."""
    if block.status == "removed":
        return []
    view = View(block)
    found: list[Finding] = []
    for detector in DETECTORS:
        found += detector(view, found)
    return found
