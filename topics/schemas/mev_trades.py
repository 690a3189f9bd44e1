"""The trades of one block in short: what a sandwich over two blocks is judged by when the block next to it comes.

A row of it is written for every block and seldom read, so it is small: names stand once, and what is of no use there is left out.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import BaseModel

from topics.schemas.fields import Hash, Raw, Uint64

Name = int
"""The place of an address, token or protocol in `BlockTrades.names`."""


class Sent(NamedTuple):
    """A transaction that traded or moved liquidity."""

    hash: str
    place: int
    """Its place among those of the block that did something in a pool or to a loan."""
    signer: Name | None
    called: Name | None
    gas_used: int | None
    gas_price_wei: int | None
    coinbase_transfer_wei: Raw | None
    personal: bool
    """Whether tokens of the signer's own were paid, or came to it."""
    told: bool
    """Whether it is the attacker's in a finding of its block."""


class Swapped(NamedTuple):
    """A swap, and the reserves that the pair told just before it; base units."""

    sent: int
    """The place of its transaction in `BlockTrades.transactions`."""
    token_in: Name
    token_out: Name
    amount_in_raw: Raw | None
    amount_out_raw: Raw | None
    sender: Name | None
    recipient: Name | None
    protocol: Name | None
    sqrt_price_x96: Raw | None = None
    liquidity: Raw | None = None
    reserve0_raw: Raw | None = None
    reserve1_raw: Raw | None = None


class Moved(NamedTuple):
    """Liquidity that was added or removed, or its fees taken."""

    sent: int
    event_type: Literal["mint", "burn", "collect"]


class BlockTrades(BaseModel):
    """A block's trades in pools where somebody traded who is no attacker in a finding of the block, all names in lower case.

    Nothing is kept of a removed block, nor of one with too many swaps.
    """

    chain_id: Uint64
    number: Uint64
    revision: Uint64
    status: Literal["complete", "partial", "removed"]
    hash: Hash | None = None
    parent_hash: Hash | None = None
    timestamp: Uint64 | None = None
    names: list[str] = []
    transactions: list[Sent] = []
    pools: dict[str, list[Swapped | Moved]] = {}
    """Pool → what happened in it, in order."""
