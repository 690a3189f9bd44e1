"""Raw blocks to block envelopes: every log through one dictionary look-up, and a count of what became no event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from ingest.build import EVENTS, build
from ingest.facts import Wanted
from ingest.parts import RawBlock
from ingest.pools import Pools
from ingest.protocols import BY_TOPIC
from ingest.protocols.base import Context, Fields, Undecoded
from ingest.raw import explain, parse
from ingest.tokens import DECIMALS, NATIVE_DECIMALS, units
from topics.schemas.chain import Block, Event, Header, Transaction


@dataclass(frozen=True, slots=True)
class Decoded:
    """An envelope; by reason, how many of its logs became no event; and what a node could tell to better it.

    Transactions and events are what their JSON holds: fields as their schemas have them, and none that is null.
    """

    header: Header
    transactions: list[dict[str, Any]]
    events: list[Fields]
    undecoded: Counter[str] = field(default_factory=Counter)
    wanted: tuple[Wanted, ...] = ()
    """What the facts did not hold: pools, then tokens, in order of the logs (`ingest.protocols.requests` asks for it)."""

    @property
    def block(self) -> Block:
        """The envelope's model, built anew each time."""
        transactions = [build(Transaction, one) for one in self.transactions]
        events: list[Event] = [build(EVENTS[one["event_type"]], one) for one in self.events]
        return build(Block, {**self.header.__dict__, "transactions": transactions, "events": events})


def decode(data: bytes, where: str = "block") -> Decoded:
    """Decode one raw block; `where` names it in errors.

    Raises:
        Malformed: it is not in a form that `ingest.raw` takes.
    """
    return assemble(parse(data, where), where)


def assemble(raw: RawBlock, where: str = "block") -> Decoded:
    """The envelope of a parsed block, revision 0.

    Raises:
        Malformed: its header has a value outside what the wire's schema allows.
    """
    try:
        header = Header.model_validate({**raw.header, "status": raw.status})
    except ValidationError as error:
        raise explain(error, where) from None
    pools = Pools(header.chain_id, raw.facts, raw.logs)
    context = Context(header.chain_id, pools)
    decimals = Decimals(raw.facts.decimals, DECIMALS.get(header.chain_id, NATIVE_DECIMALS))
    transactions = [{name: told for name, told in one.items() if told is not None} for one in raw.transactions]
    parties: dict[str, Fields] = {
        one["hash"]: {name: one[name] for name in ("from_address", "to_address") if name in one} for one in transactions
    }
    undecoded: dict[Undecoded, int] = dict.fromkeys(Undecoded, 0)
    events: list[Fields] = []
    for log in raw.logs:
        decoder = BY_TOPIC.get(log.topics[0]) if log.topics else None
        fields = Undecoded.UNKNOWN_TOPIC if decoder is None else decoder(log, context)
        if isinstance(fields, Undecoded):
            undecoded[fields] += 1
            continue
        hash = log.transaction_hash
        if "from_address" not in fields and hash in parties:
            fields.update(parties[hash])
        fields["transaction_hash"] = hash
        fields["transaction_index"] = log.transaction_index
        fields["log_index"] = log.log_index
        fields["contract_address"] = log.address
        if "token_in" in fields and "token_id" not in fields and (known := decimals.of(fields["token_in"])) is not None:
            fields["amount_in"] = units(fields["amount_in_raw"], known)
        if "token_out" in fields and (known := decimals.of(fields["token_out"])) is not None:
            fields["amount_out"] = units(fields["amount_out_raw"], known)
        events.append(fields)
    wanted = (*pools.wanted, *(Wanted("token", token, token) for token in decimals.unknown))
    reasons = Counter({reason.value: count for reason, count in undecoded.items() if count})
    return Decoded(header, transactions, events, reasons, wanted)


@dataclass(slots=True)
class Decimals:
    """Decimals of tokens: told with the block or by a node, or well known. Keeps those that are neither."""

    told: Mapping[str, int]
    usual: Mapping[str, int]
    unknown: dict[str, None] = field(default_factory=dict)

    def of(self, token: str) -> int | None:
        """Those of `token`, or None."""
        found = self.usual.get(token)
        if found is None:
            found = self.told.get(token)
            if found is None:
                self.unknown[token] = None
        return found
