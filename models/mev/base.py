"""What every detector shares: how a finding is named and made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from topics.schemas.chain import Block
from topics.schemas.mev import Finding

Detector = Callable[[Block], list[Finding]]
"""A pure function of one block. The block is not removed; findings come in block order."""


def status(block: Block) -> Literal["provisional", "final"]:
    """What a finding of `block` is: nothing can be added to a complete block."""
    return "final" if block.status == "complete" else "provisional"


def unix_time(block: Block) -> int | None:
    """The block's time in unix seconds, or None where it is unknown or no time."""
    return block.timestamp if block.timestamp is not None and block.timestamp >= 0 else None
