"""MEV detectors, one file a kind. Each is a pure function of a block and one line of `DETECTORS`."""

from __future__ import annotations

from models.mev import sandwich
from models.mev.base import Detector
from topics.schemas.chain import Block
from topics.schemas.mev import Finding

DETECTORS: tuple[Detector, ...] = (sandwich.detect,)


def detect(block: Block) -> list[Finding]:
    """All findings of `block`, by kind and then in block order; none where the block is removed."""
    if block.status == "removed":
        return []
    return [finding for detector in DETECTORS for finding in detector(block)]
