"""What decoding knows of pools and tokens beforehand, what it would like to know, and how a node is asked for it.

Decoding itself asks nobody. It says what it missed (`Decoded.wanted`), each protocol file says as data which JSON-RPC requests
answer that and reads the answers (`QUESTIONS`), and whoever has a node sends them, keeps what is learnt in `Facts` and decodes
the block once more. The `pools` and `decimals` that a block file carries stand in for the same requests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from eth_hash.auto import keccak
from pydantic import BaseModel, Field

from topics.schemas.fields import Address
from topics.schemas.native import COINS, ZERO

Family = Literal[
    "token", "uniswap_v2", "uniswap_v3", "uniswap_v4", "curve", "compound_v2", "compound_v3", "morpho_blue"
]
"""What the subject of a question is, and so which protocol file knows how to ask."""

Decimals = Annotated[int, Field(ge=0, le=77)]
"""More than uint256 has digits is no token's `decimals()`."""


class PoolFacts(BaseModel):
    """What is known of a pool or market beforehand; null where nobody could tell."""

    protocol: Annotated[str, Field(max_length=59)]
    """Names on the wire have up to 64 characters, `_fork` included."""
    token0: Address | None = None
    token1: Address | None = None
    """Of a pool of two. A lending market has its loan token as `token0`, its collateral (Morpho) as `token1`."""
    tokens: tuple[Address, ...] = ()
    """Curve: coins by their number."""
    underlying: tuple[Address, ...] = ()
    """Curve: what TokenExchangeUnderlying numbers."""


@dataclass(slots=True)
class Facts:
    """Keys are addresses and pool ids in lower case. Whoever follows a chain keeps one of these over all its blocks."""

    pools: dict[str, PoolFacts] = field(default_factory=dict)
    decimals: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Something that decoding missed. It is its own cache key, for negative answers too."""

    family: Family
    subject: str
    """An address or a 32-byte pool id, lower case."""
    contract: str
    """Whose log it came up in: where a pool id is asked for."""


@dataclass(frozen=True, slots=True)
class Request:
    """One JSON-RPC request; `params` is ready to be encoded."""

    method: str
    params: list[Any]


Answers = Sequence[Any]
"""The `result` of each request in order; None where the node answered with an error, a call that reverted included."""


@dataclass(frozen=True, slots=True)
class Question:
    """How a family's facts are asked for, and what the answers say."""

    requests: Callable[[Wanted], list[Request]]
    """All of them can be sent at once."""
    read: Callable[[Wanted, Answers], PoolFacts | int | None]
    """A pool's facts, or a token's decimals; None where the answers make no sense: then there is nothing to know."""


def selector(signature: str) -> str:
    """The first four bytes of calldata of a function: `selector("token0()") == "0x0dfe1681"`."""
    return "0x" + keccak(signature.encode())[:4].hex()


def call(to: str, signature: str, *words: int | str) -> Request:
    """An eth_call of a function whose arguments are single words: integers, or hex with 0x."""
    packed = "".join(f"{one:064x}" if isinstance(one, int) else one[2:].rjust(64, "0") for one in words)
    return Request("eth_call", [{"to": to, "data": selector(signature) + packed}, "latest"])


def address_of(answer: Any) -> str | None:
    """The address that a call returned, lower case; None where it is no address or the zero address."""
    if isinstance(answer, str) and len(answer) == 66 and answer[2:26] == "0" * 24 and int(answer, 16):
        return "0x" + answer[26:].lower()
    return None


def number_of(answer: Any) -> int | None:
    """The unsigned word that a call returned."""
    return int(answer, 16) if isinstance(answer, str) and len(answer) == 66 else None


def native(token: str) -> str:
    """`token`, lower case; the native coin under the one name that decoding has for it, the zero address."""
    return ZERO if token in COINS else token
