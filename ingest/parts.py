"""What a raw block is made of, whatever form it came in, and the types that all forms share.

Hex of the forms is lower case, as nodes send it. A block with other hex is lowered as a whole first (`lowered`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, StringConstraints, TypeAdapter
from typing_extensions import TypedDict

from ingest.facts import Decimals, Facts, PoolFacts

Address = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{40}$")]
Hash = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{64}$")]
AnyAddress = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{40}$", to_lower=True)]
"""One that is often given with its EIP-55 checksum; it is lowered."""
Quantity = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{1,64}$")]
"""A JSON-RPC number of up to 256 bits. The decoder parses it, so that only what is used costs time."""
Small = Annotated[str, StringConstraints(pattern=r"^0x0*([0-7]?[0-9a-f]{15}|[0-9a-f]{1,14})$")]
"""A JSON-RPC number below 2^63."""
Status = Annotated[str, StringConstraints(pattern=r"^0x0*[01]$")]
"""0x1 where a transaction did what it should, 0x0 where it failed."""
Data = Annotated[str, StringConstraints(pattern=r"^0x([0-9a-f]{2})*$")]
"""Bytes, two digits each."""


class RawLog(TypedDict):
    """One log, as eth_getLogs and receipts give it."""

    address: Address
    topics: Annotated[list[Hash], Field(max_length=4)]
    data: Data
    transactionHash: Hash
    transactionIndex: Small
    logIndex: Small
    removed: NotRequired[bool]
    blockHash: NotRequired[Any]
    """Of the first log alone it is used, and looked at; so is the next."""
    blockTimestamp: NotRequired[Any]


class OfBlock(TypedDict, total=False):
    """What a log says of its block, which nodes have begun to tell."""

    blockHash: Hash | None
    blockTimestamp: Small | None


class RawFacts(TypedDict, total=False):
    """What may come with a block of either form; it stands in for asking a node."""

    pools: dict[Address | Hash, PoolFacts]
    decimals: dict[Address, Decimals]


@dataclass(slots=True)
class Log:
    """One log, its numbers parsed."""

    address: str
    topics: list[str]
    data: str
    transaction_hash: str
    transaction_index: int
    log_index: int


@dataclass(frozen=True, slots=True)
class RawBlock:
    """A raw block whatever form it came in: header and transactions as the envelope has them, hex in lower case."""

    header: dict[str, Any]
    transactions: list[dict[str, Any]]
    logs: list[Log]
    facts: Facts
    """What came with the block. A source that knows more puts its own here: `dataclasses.replace(raw, facts=mine)`."""
    status: Literal["complete", "partial", "removed"] = "complete"


def logs_of(raws: Iterable[RawLog]) -> list[Log]:
    """The logs in order of their transactions."""
    logs = [
        Log(
            raw["address"],
            raw["topics"],
            raw["data"],
            raw["transactionHash"],
            int(raw["transactionIndex"], 16),
            int(raw["logIndex"], 16),
        )
        for raw in raws
    ]
    logs.sort(key=_PLACE)
    return logs


_PLACE = attrgetter("transaction_index", "log_index")


def told_by_logs(header: dict[str, Any], raws: Sequence[RawLog]) -> None:
    """Fill in what the header does not say of the block's time and hash, and the first of its logs does."""
    if raws:
        told = _OF_BLOCK.validate_python(raws[0])
        header["timestamp"] = number(told.get("blockTimestamp")) if header["timestamp"] is None else header["timestamp"]
        header["hash"] = header["hash"] or told.get("blockHash")


def lowered(value: Any) -> Any:
    """Parsed JSON with all of its hex in lower case, names of objects too."""
    if isinstance(value, str):
        return value.lower() if value.startswith("0x") else value
    if isinstance(value, dict):
        return {lowered(name): lowered(one) for name, one in value.items()}
    return [lowered(one) for one in value] if isinstance(value, list) else value


_OF_BLOCK: TypeAdapter[OfBlock] = TypeAdapter(OfBlock)


def status_of(raws: list[RawLog]) -> Literal["complete", "removed"]:
    """What the logs say of their block: it is removed when any of them is."""
    return "removed" if True in [raw.get("removed") for raw in raws] else "complete"


def facts_of(raw: RawFacts) -> Facts:
    """The facts that came with a block."""
    return Facts(raw.get("pools", {}), raw.get("decimals", {}))


def number(quantity: str | None) -> int | None:
    """The value of a JSON-RPC quantity, or None."""
    return None if quantity is None else int(quantity, 16)


def selector(data: str | None) -> str | None:
    """The first four bytes of calldata; None where it holds fewer than four but some."""
    if data is None or 2 < len(data) < 10:
        return None
    return data[:10]
