"""The JSON-RPC form: an object with `block` (eth_getBlockBy*), and `receipts` (eth_getBlockReceipts) or `logs` (eth_getLogs).

Both may be there; then logs are those of the receipts. `chain_id` is needed where no transaction tells it.
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, Required

from pydantic import Discriminator, Tag, TypeAdapter
from typing_extensions import TypedDict

from ingest.parts import (
    Address,
    AnyAddress,
    Data,
    Hash,
    Quantity,
    RawBlock,
    RawFacts,
    RawLog,
    Small,
    Status,
    facts_of,
    logs_of,
    number,
    selector,
    status_of,
    told_by_logs,
)
from topics.schemas.fields import Uint64

Receipt = TypedDict(
    "Receipt",
    {
        "transactionHash": Required[Hash],
        "transactionIndex": Required[Small],
        "from": Address | None,
        "to": Address | None,
        "status": Status | None,
        "gasUsed": Small | None,
        "effectiveGasPrice": Small | None,
        "logs": list[RawLog],
    },
    total=False,
)
RpcTransaction = TypedDict(
    "RpcTransaction",
    {
        "hash": Required[Hash],
        "transactionIndex": Required[Small],
        "from": Address | None,
        "to": Address | None,
        "value": Quantity | None,
        "gas": Small | None,
        "gasPrice": Small | None,
        "input": Data | None,
        "chainId": Small | None,
    },
    total=False,
)


class RpcBlock(TypedDict):
    """The result of eth_getBlockByNumber or eth_getBlockByHash."""

    number: Small
    hash: NotRequired[Hash | None]
    parentHash: NotRequired[Hash | None]
    timestamp: NotRequired[Small | None]
    baseFeePerGas: NotRequired[Small | None]
    miner: NotRequired[AnyAddress | None]
    transactions: NotRequired[
        list[
            Annotated[
                Annotated[Hash, Tag("hash")] | Annotated[RpcTransaction, Tag("object")],
                Discriminator(lambda value: "hash" if isinstance(value, str) else "object"),
            ]
        ]
    ]


class RpcBundle(RawFacts):
    """A block with its receipts or logs, unwrapped."""

    block: Required[RpcBlock]
    receipts: NotRequired[list[Receipt] | None]
    logs: NotRequired[list[RawLog] | None]
    chain_id: NotRequired[Uint64 | None]


class Lacking(Exception):
    """A part is missing that no schema asks for; the message says which."""


_BUNDLE: TypeAdapter[RpcBundle] = TypeAdapter(RpcBundle)


def read(value: Any) -> RawBlock:
    """The block of a parsed JSON object.

    Raises:
        pydantic.ValidationError: a field is not as the form has it.
        Lacking: there are neither receipts nor logs, or nothing tells the chain.
    """
    raw = _BUNDLE.validate_python(value)
    block, receipts, logs = raw["block"], raw.get("receipts"), raw.get("logs")
    if receipts is not None:
        logs = [log for receipt in receipts for log in receipt.get("logs", ())]
    if logs is None:
        raise Lacking("neither `receipts` nor `logs` is there; add eth_getBlockReceipts or eth_getLogs")
    transactions = _transactions(block, receipts or [])
    header = {
        "chain_id": _chain_id(block, raw.get("chain_id")),
        "number": number(block["number"]),
        "hash": block.get("hash"),
        "parent_hash": block.get("parentHash"),
        "timestamp": number(block.get("timestamp")),
        "base_fee": number(block.get("baseFeePerGas")),
        "miner": block.get("miner"),
    }
    told_by_logs(header, logs)
    return RawBlock(header, transactions, logs_of(logs), facts_of(raw), status_of(logs))


def _chain_id(block: RpcBlock, given: int | None) -> int:
    # 0 says nothing: some nodes give it where a transaction names no chain (before EIP-155, made by the chain itself).
    ids = (number(one.get("chainId")) for one in block.get("transactions", ()) if not isinstance(one, str))
    told = next(filter(None, ids), None)
    if told is None and given is None:
        raise Lacking("chain_id: no transaction tells it; add it beside `block`, such as 1")
    if told is not None and given is not None and told != given:
        raise Lacking(f"chain_id: its transactions are of {told}, not of {given}; give the right one, or none")
    return told or given or 0


def _transactions(block: RpcBlock, receipts: list[Receipt]) -> list[dict[str, Any]]:
    """In order of their index; what the block does not say of them, their receipts do."""
    found: dict[str, dict[str, Any]] = {}
    for index, one in enumerate(block.get("transactions", ())):
        if isinstance(one, str):
            found[one] = {"hash": one, "index": index}
            continue
        hash, value = one["hash"], one.get("value")
        found[hash] = {
            "hash": hash,
            "index": int(one["transactionIndex"], 16),
            "from_address": one.get("from"),
            "to_address": one.get("to"),
            "value_wei": None if value is None else str(int(value, 16)),
            "gas_limit": number(one.get("gas")),
            "gas_price_wei": number(one.get("gasPrice")),
            "selector": selector(one.get("input")),
        }
    for receipt in receipts:
        hash = receipt["transactionHash"]
        held = found.setdefault(hash, {"hash": hash})
        held["index"] = int(receipt["transactionIndex"], 16)
        held["from_address"] = held.get("from_address") or receipt.get("from")
        held["to_address"] = held.get("to_address") or receipt.get("to")
        held["status"] = number(receipt.get("status"))
        held["gas_used"] = number(receipt.get("gasUsed"))
        held["gas_price_wei"] = number(receipt.get("effectiveGasPrice")) or held.get("gas_price_wei")
    return sorted(found.values(), key=_index)


def _index(transaction: dict[str, Any]) -> int:
    return int(transaction["index"])
