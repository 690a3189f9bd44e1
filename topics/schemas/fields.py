"""Field types that more than one schema uses.

Addresses and hashes keep the case they came in, because EIP-55 is a rule about that case; `models.chain.rules` checks it and
lowers them. Amounts travel as decimal strings, so that no amount passes through a float of ours: a JSON number is taken too,
but a JSON float has only 17 digits by the time any parser sees it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

Address = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{40}$")]
"""20 bytes of hex with 0x."""

LowerAddress = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{40}$")]
"""An address by which something is looked up."""

Hash = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{64}$")]
"""32 bytes of hex with 0x."""

Selector = Annotated[str, StringConstraints(pattern=r"^0x([0-9a-fA-F]{8})?$")]
"""First four bytes of calldata; `0x` where a transaction carries none."""

PoolId = Annotated[str, StringConstraints(pattern=r"^0x([0-9a-fA-F]{40}|[0-9a-fA-F]{64})$")]
"""A pool's address, or its 32-byte id where one contract holds many pools (Balancer V2, Uniswap V4)."""

Token = Annotated[str, StringConstraints(pattern=r"^\S+$", min_length=1, max_length=66)]
"""A token's symbol (`ETH`) or its address."""

Amount = Annotated[
    str,
    StringConstraints(pattern=r"^-?[0-9]{1,78}(\.[0-9]{1,78})?([eE][-+]?[0-9]{1,2})?$"),
    Field(coerce_numbers_to_str=True),
]
"""Decimal token units, as a decimal string; a JSON number is taken. Its sign is a rule's business, not the schema's."""

Raw = Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,78}$"), Field(coerce_numbers_to_str=True)]
"""Base units (uint256 fits 78 digits), as a decimal string; a JSON integer is taken."""

Uint64 = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
"""A non-negative integer that every consumer's 64-bit type can hold. `true`, `"5"` and `5.0` are not integers."""

Int64 = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
"""An integer that every consumer's 64-bit type, and orjson, can hold."""


def _seconds(value: Any) -> int:
    """Unix seconds of a time that is no integer."""
    if isinstance(value, float) and abs(value) < 2**63:
        return int(value)
    try:
        if isinstance(value, str) and _DATE(value):
            time = datetime.fromisoformat(value)
            return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    except ValueError:
        pass
    raise PydanticCustomError("time_form", "Input should be a time")


_DATE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d").match

Time = Annotated[
    Int64
    | Annotated[
        Any,
        AfterValidator(_seconds),
        WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "format": "date-time"}]}),
    ],
    Field(union_mode="left_to_right"),
]
"""Unix seconds, a fraction is cut off; RFC 3339 text is taken and becomes unix seconds, UTC where it names no zone."""

Flag = Annotated[int, Field(strict=True, ge=0, le=1)]
"""0 or 1. Not a Literal, which takes `true` for 1."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """What fits no schema, as JSON made of it: set aside in bulk, because catching an error costs more than validating many."""

    value: Any
