"""What the MEV detectors find."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from topics.schemas.fields import Address, Hash, PoolId, Raw, Token, Uint64

Kind = Literal["sandwich"]
"""Every kind of finding: the one list of them."""


class TokenAmount(BaseModel):
    """An amount of one token in base units; negative is a loss."""

    token: Token
    amount_raw: Raw


class Loss(BaseModel):
    """What a victim received less than without the front, in base units of the token it bought."""

    transaction_hash: Hash
    pool: PoolId
    token: Token
    amount_raw: Raw


class Finding(BaseModel, use_attribute_docstrings=True):
    """One MEV bundle in one block: a value of mev.findings.

    `id` is the same in every revision of the block, so the newest `revision` of an id is its state. `provisional` comes from a
    partial block, `final` from a complete one, and `retracted` takes an earlier one back.
    """

    id: str
    chain_id: Uint64
    block_number: Uint64
    block_hash: Hash | None = None
    block_timestamp: Uint64 | None = None
    revision: Uint64
    status: Literal["provisional", "final", "retracted"]
    kind: Kind
    front: list[Hash]
    victims: list[Hash]
    back: list[Hash]
    attackers: list[Address]
    pools: list[PoolId]
    protocols: list[str]
    profit: list[TokenAmount]
    losses: list[Loss] = []
    confidence: Annotated[float, Field(ge=0, le=1)]
    evidence: list[str]
    model: str
