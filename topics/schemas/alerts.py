"""Alerts: what a person should know, as data first and English text second."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel

from topics.schemas import mev
from topics.schemas.fields import Uint64

RISK = "risk.request"
KINDS = (*(f"mev.{kind}" for kind in get_args(mev.Kind)), RISK)
"""Every kind of alert: one for each kind of finding, and that of swap requests."""


class Alert(BaseModel, use_attribute_docstrings=True):
    """One value of alerts. `kind` and `args` are what the language agents translate; `text` is their English rendering."""

    id: str
    kind: str
    args: dict[str, str | int | list[str]]
    severity: Literal["info", "low", "medium", "high", "critical"]
    entity: str
    """What the alert is about: `chain_id:block_number`, an address, a pair."""
    text: str
    chain_id: Uint64
    block_number: Uint64 | None = None
    block_timestamp: Uint64 | None = None
    """Unix seconds; left out where the block's time is unknown."""
    processed_at: float | None = None
    """Unix seconds; of what stands in no block."""
    revision: Uint64
    status: Literal["provisional", "final", "retracted"]
    source: str
    """The id of the result it was made from."""
