"""Identifiers in paths. Their form is not checked: one that is abbreviated or wrong is simply not in the table."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

BlockNumber = Annotated[int, Path(ge=0, lt=2**63, description="The block's number", examples=[17000000])]
Hash = Annotated[str, Path(max_length=256, description="A transaction's hash, in any case")]
