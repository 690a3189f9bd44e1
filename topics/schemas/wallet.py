"""What is kept of a wallet over blocks, as it lies in a row; `models.fraud.wallet` says how it comes about."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import BaseModel

from topics.schemas.fields import Uint64


class Kept(NamedTuple):
    """What one block said of a wallet, while it may still say something else."""

    number: int
    revision: int
    time: int
    """Unix seconds of the block."""
    more: int
    """Moves beyond those that count."""
    moves: str
    """Those that count, a line each."""


class Known(BaseModel, use_attribute_docstrings=True):
    """A base, folded in order of blocks, and the contributions of the last blocks, which are not folded yet."""

    number: Uint64
    """The newest block seen of the wallet."""
    folded: int = -1
    """The highest block of the base."""
    folded_revision: int = -1
    """The highest revision of a block of the base."""
    more: int = 0
    """Moves of the base's blocks beyond those that count."""
    window: int = 0
    """The number of the younger window of the base."""
    old: list[Any] | None = None
    """The profile of the older window (`models.fraud.packed`); left out where it is the younger one's."""
    young: list[Any] | None = None
    """The profile of the younger window; left out where nothing is folded."""
    kept: list[Kept] = []
    """By block, rising."""
