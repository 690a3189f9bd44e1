"""Addresses that operators list: values of the topic `lists`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from topics.schemas.fields import LowerAddress, Uint64
from topics.schemas.wallet import Level

ListName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9._-]{0,63}$")]
"""Without `:`, which ends it in keys."""
ANY_CHAIN = "*"


class Listed(BaseModel, frozen=True, use_attribute_docstrings=True):
    """An address on a list. The newest record of a key holds; an empty value takes the address off."""

    list: ListName
    address: LowerAddress
    """In lower case."""
    chain_id: Uint64 | None = None
    """None: on every chain."""
    severity: Level = "critical"
    """The least level of who is this address; one that is `low` is told and raises nothing."""
    source: Annotated[str, Field(max_length=500)] = ""
    """Who says so."""
    note: Annotated[str, Field(max_length=2_000)] = ""
    added_at: AwareDatetime

    @property
    def key(self) -> str:
        """The key of its record."""
        return key(self.list, self.chain_id, self.address)


def key(name: str, chain_id: int | None, address: str) -> str:
    """`list:chain_id:address`, `*` for every chain."""
    return f"{name}:{ANY_CHAIN if chain_id is None else chain_id}:{address}"
