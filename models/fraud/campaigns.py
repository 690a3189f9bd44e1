"""Labels of accounts, and the folds by which data is split: accounts of one campaign are never on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

FOLDS = 5


class Label(NamedTuple):
    """What is known of an account: fraud or not, and its campaign, by which data is split."""

    fraud: bool
    group: str


Labels = Mapping[str, Label]


def fold_of(group: str) -> int:
    """The fold of a campaign."""
    return int(sha256(f"fold:{group}".encode()).hexdigest()[:8], 16) % FOLDS
