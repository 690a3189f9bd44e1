"""The mev-block form: `"schema": "mev-block/1"`, transactions, logs as eth_getLogs gives them, and facts of pools.

Fields that the source did not know are null. Numbers of transactions are JSON integers or decimal strings, unlike in JSON-RPC.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, Required

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from ingest.parts import (
    Address,
    AnyAddress,
    Data,
    Hash,
    RawBlock,
    RawFacts,
    RawLog,
    facts_of,
    logs_of,
    selector,
    status_of,
    told_by_logs,
)
from topics.schemas.fields import Raw, Uint64

KNOWN_GAS = 2**63
"""From here on `gas_used` is no gas: 2^64 - 1 stands there where the traces did not tell."""

MevTransaction = TypedDict(
    "MevTransaction",
    {
        "hash": Required[Hash],
        "index": Required[Uint64],
        "from": Address | None,
        "to": Address | None,
        "value": Raw | None,
        "input_selector": Data | None,
        "status": Literal[0, 1] | None,
        "gas_used": Annotated[int, Field(strict=True, ge=0, lt=2**64)] | None,
        "effective_gas_price": Uint64 | None,
        "coinbase_transfer_wei": Raw | None,
    },
    total=False,
)


class MevBlock(RawFacts):
    """A block."""

    schema: Required[Literal["mev-block/1"]]
    chain_id: Required[Uint64]
    number: Required[Uint64]
    timestamp: NotRequired[Uint64 | None]
    miner: NotRequired[AnyAddress | None]
    base_fee_per_gas: NotRequired[Uint64 | None]
    block_hash: NotRequired[Hash | None]
    transactions: Required[list[MevTransaction]]
    logs: Required[list[RawLog]]


_BLOCK: TypeAdapter[MevBlock] = TypeAdapter(MevBlock)


def read(value: Any) -> RawBlock:
    """The block of a parsed JSON object, or of JSON itself (bytes), which costs less.

    Raises:
        pydantic.ValidationError: a field is not as the form has it.
    """
    raw = _BLOCK.validate_json(value) if isinstance(value, bytes) else _BLOCK.validate_python(value)
    header = {
        "chain_id": raw["chain_id"],
        "number": raw["number"],
        "hash": raw.get("block_hash"),
        "timestamp": raw.get("timestamp"),
        "base_fee": raw.get("base_fee_per_gas"),
        "miner": raw.get("miner"),
    }
    told_by_logs(header, raw["logs"])
    return RawBlock(
        header,
        list(map(_transaction, raw["transactions"])),
        logs_of(raw["logs"]),
        facts_of(raw),
        status_of(raw["logs"]),
    )


def _transaction(raw: MevTransaction) -> dict[str, Any]:
    gas = raw.get("gas_used")
    return {
        "hash": raw["hash"],
        "index": raw["index"],
        "from_address": raw.get("from"),
        "to_address": raw.get("to"),
        "value_wei": raw.get("value"),
        "gas_used": gas if gas is not None and gas < KNOWN_GAS else None,
        "gas_price_wei": raw.get("effective_gas_price"),
        "selector": selector(raw.get("input_selector")),
        "status": raw.get("status"),
        "coinbase_transfer_wei": raw.get("coinbase_transfer_wei"),
    }
