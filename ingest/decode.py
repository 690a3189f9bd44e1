"""Raw blocks to block envelopes: every log through one dictionary look-up, and a count of what became no event."""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from ingest.facts import Wanted
from ingest.pools import Pools
from ingest.protocols import BY_TOPIC
from ingest.protocols.base import Context, Fields, Undecoded
from ingest.raw import Log, RawBlock, explain, number, parse
from ingest.tokens import DECIMALS, NATIVE_DECIMALS, units
from topics.schemas.chain import Block


@dataclass(frozen=True, slots=True)
class Decoded:
    """An envelope; by reason, how many of its logs became no event; and what a node could tell to better it."""

    block: Block
    undecoded: Counter[str] = field(default_factory=Counter)
    wanted: tuple[Wanted, ...] = ()
    """What the facts did not hold, in order of the logs (`ingest.protocols.requests` asks for it)."""


def decode(data: bytes, where: str = "block") -> Decoded:
    """Decode one raw block; `where` names it in errors.

    Raises:
        Malformed: it is not in a form that `ingest.raw` takes, or a value is outside what the wire's schema allows.
    """
    return assemble(parse(data, where), where)


def assemble(raw: RawBlock, where: str = "block") -> Decoded:
    """The envelope of a parsed block: `removed` when any of its logs says so, else `complete`; revision 0.

    Raises:
        Malformed: a value is outside what the wire's schema allows.
    """
    header = dict(raw.header)
    by_hash = {one["hash"]: one for one in raw.transactions}
    pools = Pools(header["chain_id"], raw.facts, raw.logs)
    context = Context(header["chain_id"], pools)
    decimals = ChainMap(raw.facts.decimals, DECIMALS.get(context.chain_id, {}), NATIVE_DECIMALS)
    undecoded: Counter[str] = Counter()
    events: list[Fields] = []
    for log in raw.logs:
        decoder = BY_TOPIC.get(log.topics[0].lower()) if log.topics else None
        fields = decoder(log, context) if decoder else Undecoded.UNKNOWN_TOPIC
        if isinstance(fields, Undecoded):
            undecoded[fields.value] += 1
        else:
            events.append(_event(log, fields, by_hash, decimals, pools.wanted))
        if header.get("timestamp") is None and log.block_timestamp is not None:
            header["timestamp"] = number(log.block_timestamp)
        if header.get("hash") is None and log.block_hash is not None:
            header["hash"] = log.block_hash.lower()
    events.sort(key=lambda event: (event["transaction_index"], event["log_index"]))
    status = "removed" if any(log.removed for log in raw.logs) else "complete"
    envelope = {**header, "status": status, "revision": 0, "transactions": raw.transactions, "events": events}
    try:
        return Decoded(Block.model_validate(envelope), undecoded, tuple(pools.wanted))
    except ValidationError as error:
        raise explain(error, where) from None


def _event(
    log: Log,
    fields: Fields,
    transactions: dict[str, dict[str, Any]],
    decimals: Mapping[str, int],
    wanted: dict[Wanted, None],
) -> Fields:
    """What every event of a log shares, around what its decoder made of it."""
    fields["transaction_hash"] = log.transaction_hash.lower()
    fields["transaction_index"] = int(log.transaction_index, 16)
    fields["log_index"] = int(log.log_index, 16)
    fields["contract_address"] = log.address.lower()
    if "from_address" not in fields:
        transaction = transactions.get(fields["transaction_hash"])
        if transaction is not None:
            fields["from_address"] = transaction.get("from_address")
            fields["to_address"] = transaction.get("to_address")
    for side in ("in", "out"):
        token = fields.get(f"token_{side}")
        if token is None:
            continue
        known = decimals.get(token)
        if known is not None:
            fields[f"amount_{side}"] = units(fields[f"amount_{side}_raw"], known)
        else:
            wanted[Wanted("token", token, token)] = None
    return fields
