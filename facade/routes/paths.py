"""Identifiers in paths and queries: of the right form, in any case, and in lower case from here on."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from pydantic import BeforeValidator

from topics.schemas import fields


def _lowered(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


AnyCase = BeforeValidator(_lowered)

BlockNumber = Annotated[int, Path(ge=0, lt=2**63, description="The block's number", examples=[17000000])]
Hash = Annotated[fields.Hash, AnyCase, Path(description="A transaction's hash, in any case")]
Address = Annotated[fields.Address, AnyCase]
PoolId = Annotated[fields.PoolId, AnyCase]
