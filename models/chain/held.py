"""One block as it is put together: its elements in normal form, how they are told apart and ordered, and its bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import le
from typing import Any, Literal

import orjson

from models.chain.rules import AMOUNT_FIELDS

Element = dict[str, Any]
"""An event or transaction in normal form (`topics.schemas.normal`)."""
Identity = tuple[str, int | str]
BlockId = tuple[int, int]

HEADER_FIELDS = ("hash", "parent_hash", "timestamp", "base_fee", "miner")
_DECIMAL_FIELDS = frozenset((*AMOUNT_FIELDS, "amount_in", "amount_out", "gas_price", "sqrt_price_x96"))
_NOT_CONTENT = frozenset(
    ("event_id", "observed_at", "chain_id", "block_number", "block_hash", "transaction_index", "timestamp")
)
_LAST = 2**62
"""Absent indexes sort behind all others."""


@dataclass(slots=True)
class Held:
    """One block as far as it is known. While it is unchanged since it was last emitted, its events are kept only as bytes."""

    chain_id: int
    number: int
    status: Literal["complete", "partial", "removed"] = "partial"
    revision: int = -1
    header: dict[str, Any] = field(default_factory=dict)
    rejected: int = 0
    transactions: dict[str, Element] = field(default_factory=dict)
    events: dict[Identity, Element] = field(default_factory=dict)
    emitted: bytes | None = None
    """The value last written to chain.blocks; None before the first."""
    earlier: list[bytes] = field(default_factory=list)
    """Emitted values of earlier revisions that are not yet in `named`."""
    named: set[str] = field(default_factory=set)
    """Pairs and wallets that earlier revisions named: the next views must name them too."""
    packed: bool = False
    """Whether `events` and `transactions` are only in `emitted`."""
    counted: bool = False
    """Whether it is one of those whose number decides what is too late; a restored block is not before its record is read again."""
    first_offset: int = -1
    """The first record that is not yet in `emitted`; -1 when there is none."""
    opened_at: float = 0.0
    changed_at: float = 0.0

    @property
    def id(self) -> BlockId:
        """(chain id, number)."""
        return self.chain_id, self.number

    @property
    def open(self) -> bool:
        """Whether something of it is not in chain.blocks yet."""
        return self.first_offset >= 0

    def block(self) -> dict[str, Any]:
        """It as an envelope: events by (transaction index, log index), absent indexes last, in order of arrival."""
        return {
            "chain_id": self.chain_id,
            "number": self.number,
            "status": self.status,
            "revision": self.revision,
            **{name: self.header[name] for name in HEADER_FIELDS if name in self.header},
            "rejected": self.rejected,
            "transactions": sorted(self.transactions.values(), key=_index),
            "events": _in_order(list(self.events.values())),
        }

    def pack(self, value: bytes) -> None:
        """Note that `value` is what chain.blocks will hold; keep the block as those bytes."""
        if self.emitted is not None:
            self.earlier.append(self.emitted)
        self.emitted, self.first_offset = value, -1
        self.repack()

    def unpack(self) -> None:
        """Have `events` and `transactions` again after `pack`."""
        if self.packed and self.emitted is not None:
            block = orjson.loads(self.emitted)
            self.events = dict(zip(identities(block["events"]), block["events"], strict=True))
            self.transactions = {transaction["hash"]: transaction for transaction in block["transactions"]}
            self.packed = False

    def repack(self) -> None:
        """Keep it as `emitted` alone again: nothing in it has changed."""
        self.packed, self.events, self.transactions = True, {}, {}


def _in_order(events: list[Element]) -> list[Element]:
    places = [(event.get("transaction_index", _LAST), event.get("log_index", _LAST)) for event in events]
    if all(map(le, places, places[1:])):  # as nearly every producer sends them
        return events
    return [events[number] for number in sorted(range(len(events)), key=places.__getitem__)]


def _index(transaction: Element) -> int:
    index: int = transaction["index"]
    return index


def identities(events: Iterable[Element]) -> list[Identity]:
    """What makes each event of a block itself: transaction and log index, else the event_id its producer gave it."""
    return [
        ("", event["event_id"])
        if (log_index := event.get("log_index")) is None
        else (event["transaction_hash"], log_index)
        for event in events
    ]


def same_content(one: Element, two: Element) -> bool:
    """Whether two events of one identity say the same; what only one of them knows is no contradiction."""
    if one["event_type"] != two["event_type"]:
        return False
    for name, left in one.items():
        right = two.get(name)
        if right is None or left == right or name in _NOT_CONTENT:
            continue
        if name not in _DECIMAL_FIELDS or Decimal(left) != Decimal(right):
            return False
    return True


def renew(held: Held) -> None:
    """Begin a removed block anew: another fork's block takes its number."""
    held.status, held.header, held.rejected = "partial", {}, 0


def strip(events: Iterable[Element], header: dict[str, Any]) -> None:
    """Take out of events what their envelope says."""
    timestamp = header.get("timestamp")
    for event in events:
        take = event.pop
        take("chain_id", None)
        take("block_number", None)
        take("block_hash", None)
        if timestamp is not None and event.get("timestamp") == timestamp:
            del event["timestamp"]


def by_hash(transactions: Sequence[Element]) -> dict[str, Element]:
    """Transactions by hash; the first wins."""
    found: dict[str, Element] = {}
    for transaction in transactions:
        found.setdefault(transaction["hash"], transaction)
    return found
