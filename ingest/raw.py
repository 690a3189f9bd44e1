"""The two forms in which a raw block may arrive, and the one form that the decoder takes.

1. **mev-block**: an object with `"schema": "mev-block/1"`, its `transactions`, `logs` (as eth_getLogs gives them) and
   `pools` and `decimals`, which stand in for eth_call. Fields that the source did not know are null.
2. **JSON-RPC**: an object with `block` (eth_getBlockBy*), and `receipts` (eth_getBlockReceipts) or `logs` (eth_getLogs)
   or both, each bare or wrapped as `{"jsonrpc": "2.0", "id": 1, "result": ...}`; `chain_id` where no transaction tells
   it; `pools` and `decimals` as above, optional.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from base.wording import wording
from ingest.facts import Decimals, Facts, PoolFacts
from topics.schemas.fields import Address, Hash, Raw, Uint64

UNKNOWN_GAS = 2**64 - 1
Quantity = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{1,64}$")]
"""A JSON-RPC number: hex with 0x. The decoder parses it, so that only what is used costs time."""
Data = Annotated[str, StringConstraints(pattern=r"^0x([0-9a-fA-F]{2})*$")]
"""Bytes as hex with 0x, two digits each."""

NAMED = 5
"""How many faults a message names."""


class Malformed(ValueError):
    """A raw block that is not in a form we take. The message names each field and the fix."""


class Rpc(BaseModel):
    """Fields in camel case, as nodes send them; those we do not use are passed over."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore")


class Log(Rpc):
    """One log, as eth_getLogs and receipts give it."""

    address: Address
    topics: Annotated[list[Hash], Field(max_length=4)]
    data: Data
    transaction_hash: Hash
    transaction_index: Quantity
    log_index: Quantity
    block_number: Quantity | None = None
    block_hash: Hash | None = None
    block_timestamp: Quantity | None = None
    removed: bool = False


class Receipt(Rpc):
    """One receipt of eth_getBlockReceipts."""

    transaction_hash: Hash
    transaction_index: Quantity
    from_: Annotated[Address | None, Field(alias="from")] = None
    to: Address | None = None
    status: Quantity | None = None
    gas_used: Quantity | None = None
    effective_gas_price: Quantity | None = None
    logs: list[Log] = []


class RpcTransaction(Rpc):
    """One transaction of a block read with its transactions in full."""

    hash: Hash
    transaction_index: Quantity
    from_: Annotated[Address | None, Field(alias="from")] = None
    to: Address | None = None
    value: Quantity | None = None
    gas: Quantity | None = None
    gas_price: Quantity | None = None
    input: Data | None = None
    chain_id: Quantity | None = None


class RpcBlock(Rpc):
    """The result of eth_getBlockByNumber or eth_getBlockByHash."""

    number: Quantity
    hash: Hash | None = None
    parent_hash: Hash | None = None
    timestamp: Quantity | None = None
    base_fee_per_gas: Quantity | None = None
    miner: Address | None = None
    transactions: list[Hash | RpcTransaction] = []


class RpcBundle(BaseModel):
    """The JSON-RPC form, unwrapped."""

    block: RpcBlock
    receipts: list[Receipt] | None = None
    logs: list[Log] | None = None
    chain_id: Uint64 | None = None
    pools: dict[Address | Hash, PoolFacts] = {}
    decimals: dict[Address, Decimals] = {}


class MevTransaction(BaseModel):
    """A transaction of a mev-block; unlike in JSON-RPC, numbers are JSON integers or decimal strings."""

    hash: Hash
    index: Uint64
    from_: Annotated[Address | None, Field(alias="from")] = None
    to: Address | None = None
    value: Raw | None = None
    input_selector: str | None = None
    status: Literal[0, 1] | None = None
    gas_used: int | None = None
    """2^64 - 1 where the traces did not tell."""
    effective_gas_price: Uint64 | None = None
    coinbase_transfer_wei: Raw | None = None


class MevBlock(BaseModel):
    """The mev-block form."""

    schema_: Annotated[Literal["mev-block/1"], Field(alias="schema")]
    chain_id: Uint64
    number: Uint64
    timestamp: Uint64 | None = None
    miner: Address | None = None
    base_fee_per_gas: Uint64 | None = None
    block_hash: Hash | None = None
    transactions: list[MevTransaction]
    logs: list[Log]
    pools: dict[Address | Hash, PoolFacts] = {}
    decimals: dict[Address, Decimals] = {}


@dataclass(frozen=True, slots=True)
class RawBlock:
    """A raw block whatever form it came in: header and transactions as the envelope has them, logs as they came.

    Hex is lower case in header and transactions.
    """

    header: dict[str, Any]
    transactions: list[dict[str, Any]]
    logs: list[Log]
    facts: Facts
    """What came with the block. A source that knows more puts its own here: `dataclasses.replace(raw, facts=mine)`."""


def explain(error: ValidationError, where: str) -> Malformed:
    """The first faults of `error`, each with its field, what stood there and what should."""
    lines = [str(wording(fault)) for fault in error.errors(include_url=False)[:NAMED]]
    more = error.error_count() - len(lines)
    return Malformed(f"{where}: " + "\n  ".join(lines) + (f"\n  and {more} more" if more > 0 else ""))


def parse(data: bytes, where: str = "block") -> RawBlock:
    """Read one raw block in either form.

    Raises:
        Malformed: it is not JSON, in neither form, or a field is not as its form has it.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"{where}: not JSON ({error}); give one JSON object in UTF-8") from None
    if not isinstance(value, dict):
        raise Malformed(f"{where}: a {type(value).__name__} where an object with `schema` or `block` is wanted")
    try:
        if "schema" in value:
            return _from_mev(MevBlock.model_validate(value))
    except ValidationError as error:
        raise explain(error, where) from None
    if "block" in value:
        return parse_rpc(value, where)
    raise Malformed(f'{where}: neither `schema` ("mev-block/1") nor `block` is there; add the one whose form this is')


def parse_rpc(value: dict[str, Any], where: str = "block") -> RawBlock:
    """Read the JSON-RPC form, once JSON is parsed: `block`, `receipts` or `logs` or both, `chain_id`.

    Raises:
        Malformed: as `parse` does.
    """
    parts = {name: _unwrap(part, name, where) for name, part in value.items()}
    try:
        return _from_rpc(RpcBundle.model_validate(parts), where)
    except ValidationError as error:
        raise explain(error, where) from None


def _unwrap(part: Any, name: str, where: str) -> Any:
    if not isinstance(part, dict) or "jsonrpc" not in part:
        return part
    if part.get("result") is None:
        raise Malformed(f"{where}: {name}: the node answered {part.get('error', 'null')}; ask it again for this block")
    return part["result"]


def _from_mev(raw: MevBlock) -> RawBlock:
    header = {
        "chain_id": raw.chain_id,
        "number": raw.number,
        "hash": _lower(raw.block_hash),
        "timestamp": raw.timestamp,
        "base_fee": raw.base_fee_per_gas,
        "miner": _lower(raw.miner),
    }
    transactions: list[dict[str, Any]] = [
        {
            "hash": one.hash.lower(),
            "index": one.index,
            "from_address": _lower(one.from_),
            "to_address": _lower(one.to),
            "value_wei": one.value,
            "gas_used": None if one.gas_used == UNKNOWN_GAS else one.gas_used,
            "gas_price_wei": one.effective_gas_price,
            "selector": _selector(one.input_selector),
            "status": one.status,
            "coinbase_transfer_wei": one.coinbase_transfer_wei,
        }
        for one in raw.transactions
    ]
    return RawBlock(header, transactions, raw.logs, _facts(raw))


def _from_rpc(raw: RpcBundle, where: str) -> RawBlock:
    if raw.receipts is None and raw.logs is None:
        raise Malformed(f"{where}: neither `receipts` nor `logs` is there; add eth_getBlockReceipts or eth_getLogs")
    block = raw.block
    full = [one for one in block.transactions if isinstance(one, RpcTransaction)]
    chain_id = raw.chain_id or next((number(one.chain_id) for one in full if one.chain_id), None)
    if chain_id is None:
        raise Malformed(f"{where}: chain_id: no transaction tells it; add it beside `block`, such as 1")
    header = {
        "chain_id": chain_id,
        "number": number(block.number),
        "hash": _lower(block.hash),
        "parent_hash": _lower(block.parent_hash),
        "timestamp": number(block.timestamp),
        "base_fee": number(block.base_fee_per_gas),
        "miner": _lower(block.miner),
    }
    transactions: dict[str, dict[str, Any]] = {}
    for index, one in enumerate(block.transactions):
        if isinstance(one, str):
            transactions[one.lower()] = {"hash": one.lower(), "index": index}
            continue
        hash = one.hash.lower()
        transactions[hash] = {
            "hash": hash,
            "index": number(one.transaction_index),
            "from_address": _lower(one.from_),
            "to_address": _lower(one.to),
            "value_wei": None if one.value is None else str(int(one.value, 16)),
            "gas_limit": number(one.gas),
            "gas_price_wei": number(one.gas_price),
            "selector": _selector(one.input),
        }
    for receipt in raw.receipts or ():
        hash = receipt.transaction_hash.lower()
        held = transactions.setdefault(hash, {"hash": hash})
        held["index"] = number(receipt.transaction_index)
        held["from_address"] = held.get("from_address") or _lower(receipt.from_)
        held["to_address"] = held.get("to_address") or _lower(receipt.to)
        held["status"] = number(receipt.status)
        held["gas_used"] = number(receipt.gas_used)
        held["gas_price_wei"] = number(receipt.effective_gas_price) or held.get("gas_price_wei")
    logs = raw.logs if raw.receipts is None else [log for receipt in raw.receipts for log in receipt.logs]
    return RawBlock(header, sorted(transactions.values(), key=lambda one: int(one["index"])), logs or [], _facts(raw))


def _facts(raw: MevBlock | RpcBundle) -> Facts:
    return Facts(
        {pool.lower(): facts for pool, facts in raw.pools.items()},
        {token.lower(): decimals for token, decimals in raw.decimals.items()},
    )


def number(quantity: str | None) -> int | None:
    """The value of a JSON-RPC quantity, or None."""
    return None if quantity is None else int(quantity, 16)


def _selector(data: str | None) -> str | None:
    """The first four bytes of calldata; None where it holds fewer than four but some."""
    if data is None or 2 < len(data) < 10:
        return None
    return data[:10].lower()


def _lower(text: str | None) -> str | None:
    return text.lower() if text else text
