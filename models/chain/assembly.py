"""One partition of chain.events as a set of blocks: merge what comes, tell what changed, know what is still open.

The content of a block is a fold over the records that changed it, in order of offset, and nothing else: not the clock, not how
records were batched. Therefore a revision (the offset of the last such record) always means the same bytes, and a restart that
restores closed blocks and reads on from the lowest open offset ends where an undisturbed run does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from heapq import heappush, heappushpop
from typing import Any, Literal

from models.chain.rules import AMOUNT_FIELDS
from topics.schemas.chain import Block, Transaction

HELD_BLOCKS = 512
"""Blocks of a chain that late events can still change; a reorg deeper than this has not been seen on a major chain."""
ASSEMBLED_EVENTS = 5_000
"""Events that a block may be assembled of: at 2 kB, which no event exceeds, well below what chain.blocks takes."""
SWEEP = 32
"""How many blocks beyond the held ones may wait to be forgotten together."""
QUIET_S = 2.0
OPEN_S = 5.0

Identity = tuple[str, int | str]
BlockId = tuple[int, int]
Verdict = Literal["new", "duplicate", "conflicting_duplicate", "other_fork", "too_late", "too_large", "replayed"]

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
    transactions: dict[str, Transaction] = field(default_factory=dict)
    events: dict[Identity, Any] = field(default_factory=dict)
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

    def ordered(self) -> list[Any]:
        """Its events by (transaction index, log index), absent indexes last, in order of arrival."""
        return sorted(
            self.events.values(),
            key=lambda e: (
                _LAST if e.transaction_index is None else e.transaction_index,
                _LAST if e.log_index is None else e.log_index,
            ),
        )

    def fields(self) -> dict[str, Any]:
        """Its header as it goes into an envelope."""
        return {
            "chain_id": self.chain_id,
            "number": self.number,
            "status": self.status,
            "revision": self.revision,
            **{name: self.header[name] for name in HEADER_FIELDS if name in self.header},
            "rejected": self.rejected,
            "transactions": [{k: v for k, v in t.__dict__.items() if v is not None} for t in self._sent()],
        }

    def block(self) -> Block:
        """It as an envelope model; its parts are valid already, so nothing is checked again."""
        return Block.model_construct(**{**self.fields(), "transactions": self._sent(), "events": self.ordered()})

    def _sent(self) -> list[Transaction]:
        return sorted(self.transactions.values(), key=lambda transaction: transaction.index)

    def pack(self, value: bytes) -> None:
        """Note that `value` is what chain.blocks will hold; keep the block as those bytes."""
        if self.emitted is not None:
            self.earlier.append(self.emitted)
        self.emitted, self.first_offset = value, -1
        self.repack()

    def unpack(self) -> None:
        """Have `events` and `transactions` again after `pack`."""
        if self.packed and self.emitted is not None:
            block = Block.model_validate_json(self.emitted)
            self.events = {identity(event): event for event in block.events}
            self.transactions = {t.hash: t for t in block.transactions}
            self.packed = False

    def repack(self) -> None:
        """Keep it as `emitted` alone again: nothing in it has changed."""
        self.packed, self.events, self.transactions = True, {}, {}


def identity(event: Any) -> Identity:
    """What makes an event of a block itself: transaction and log index, else the event_id its producer gave it."""
    if event.log_index is not None:
        return event.transaction_hash, event.log_index
    return "", event.event_id


def same_content(one: Any, two: Any) -> bool:
    """Whether two events of one identity say the same; what only one of them knows is no contradiction."""
    a, b = one.__dict__, two.__dict__
    if a["event_type"] != b["event_type"]:
        return False
    for name, left in a.items():
        right = b.get(name)
        if left is None or right is None or left == right or name in _NOT_CONTENT:
            continue
        if name not in _DECIMAL_FIELDS or Decimal(left) != Decimal(right):
            return False
    return True


class Assembly:
    """The blocks of one partition."""

    def __init__(self) -> None:
        self.blocks: dict[BlockId, Held] = {}
        self.heads: dict[int, int] = {}
        """The highest number seen, by chain."""
        self.open: dict[BlockId, Held] = {}
        self._top: dict[int, list[int]] = {}
        """The `HELD_BLOCKS` highest numbers seen, by chain, as a heap: a set that grows by record, however records are batched."""
        self._restored: dict[BlockId, int] = {}
        """Revisions of blocks that a restart found in chain.blocks, held or not."""
        self._unknown_below: dict[int, int] = {}
        """By chain, the number below which blocks may be in chain.blocks that a restart has not read."""
        self._unpacked: dict[BlockId, Held] = {}
        """Closed blocks that were unpacked to look into them."""

    # Restoring

    def restore(self, chain_id: int, number: int, revision: int, value: bytes, committed: int) -> None:
        """Take back a value of chain.blocks, in the order they stand there; reading goes on at offset `committed`."""
        key = (chain_id, number)
        self._restored[key] = max(revision, self._restored.get(key, -1))
        held = self.blocks.get(key)
        if held is None:
            held = self.blocks[key] = Held(*key)
        elif revision < held.revision:  # a zombie's late copy of an older revision
            held.earlier.append(value)
            return
        elif held.emitted is not None and revision > held.revision:
            held.earlier.append(held.emitted)
        held.revision, held.packed, held.emitted = revision, True, value
        if revision < committed and not held.counted:
            self._count(held)
        self.heads[chain_id] = max(number, self.heads.get(chain_id, number))

    def restored(self, whole: bool) -> Iterator[Held]:
        """After the last `restore`: the newest `HELD_BLOCKS` of each chain, headers read from their values; the rest let go.

        `whole` is whether there was nothing in chain.blocks before what was restored. Where there was, a block below those
        restored cannot be told from one that is there already: begun anew it would lose what it had.
        """
        if not whole:
            for chain_id, number in self.blocks:
                self._unknown_below[chain_id] = min(number, self._unknown_below.get(chain_id, number))
        for key in [key for key in self.blocks if self._below(key)]:
            del self.blocks[key]
        for held in self.blocks.values():
            block = Block.model_validate_json(held.emitted or b"")
            held.status, held.rejected = block.status, block.rejected
            held.header = {name: value for name in HEADER_FIELDS if (value := getattr(block, name)) is not None}
            yield held

    # Merging

    def event(self, event: Any, chain_id: int, number: int, offset: int, now: float) -> Verdict:
        """Merge one event in normal form that came outside a complete envelope."""
        held, verdict = self._open_for(chain_id, number, event.block_hash, offset)
        if held is None:
            return verdict
        self._unpack(held)
        key = identity(event)
        known = held.events.get(key)
        if known is not None:
            return "duplicate" if same_content(known, event) else "conflicting_duplicate"
        if len(held.events) >= ASSEMBLED_EVENTS:
            return "too_large"
        self._renew_if_removed(held)
        header = held.header
        if header.get("hash") is None and event.block_hash is not None:
            header["hash"] = event.block_hash
        if header.get("timestamp") is None and event.timestamp is not None:
            header["timestamp"] = event.timestamp
        _strip(event, header)
        held.events[key] = event
        self._changed(held, offset, now)
        return "new"

    def complete(
        self, chain_id: int, number: int, header: dict[str, Any], transactions: Sequence[Transaction],
        events: Sequence[Any], rejected: int, offset: int, now: float,
    ) -> tuple[Verdict, list[int]]:  # fmt: skip
        """Take a complete envelope: it replaces what was assembled. Returns its verdict and the places of conflicting events."""
        held, verdict = self._open_for(chain_id, number, None, offset)
        if held is None:
            return verdict, []
        found: dict[Identity, Any] = {}
        conflicts = []
        for index, event in enumerate(events):
            known = found.setdefault(identity(event), event)
            if known is not event and not same_content(known, event):
                conflicts.append(index)
            _strip(event, header)
        self._unpack(held)
        transactions_by_hash = _by_hash(transactions)
        before = (held.status, held.header, held.rejected, held.transactions, held.events)
        after = ("complete", header, rejected + len(conflicts), transactions_by_hash, found)
        if before == after:
            return "duplicate", conflicts
        held.status, held.header, held.rejected = "complete", header, rejected + len(conflicts)
        held.transactions, held.events = transactions_by_hash, found
        self._changed(held, offset, now)
        return "new", conflicts

    def partial(
        self, chain_id: int, number: int, header: dict[str, Any], transactions: Sequence[Transaction],
        events: Sequence[Any], rejected: int, offset: int, now: float,
    ) -> tuple[Verdict, list[int]]:  # fmt: skip
        """Merge an envelope that does not say it is complete. Returns its verdict and the places of conflicting events."""
        held, verdict = self._open_for(chain_id, number, header.get("hash"), offset)
        if held is None:
            return verdict, []
        self._unpack(held)
        if len(held.events) + len(events) > ASSEMBLED_EVENTS:
            return "too_large", []
        conflicts, changed = [], self._renew_if_removed(held) or held.revision < 0
        for name, value in header.items():
            if name not in held.header:
                held.header[name] = value
                changed = True
        for name, transaction in _by_hash(transactions).items():
            if name not in held.transactions:
                held.transactions[name] = transaction
                changed = True
        for index, event in enumerate(events):
            known = held.events.setdefault(identity(event), event)
            if known is event:
                _strip(event, held.header)
                changed = True
            elif not same_content(known, event):
                conflicts.append(index)
        if not changed:  # sent again, and what was refused of it counted the first time
            return "duplicate", conflicts
        held.rejected += rejected + len(conflicts)
        self._changed(held, offset, now)
        return "new", conflicts

    def removed(self, chain_id: int, number: int, block_hash: str | None, offset: int, now: float) -> Verdict:
        """Take a block back, unless another fork's block is held."""
        held, verdict = self._open_for(chain_id, number, None, offset)
        if held is None:
            return verdict
        known = held.header.get("hash")
        if known is not None and block_hash is not None and known != block_hash:
            return "other_fork"
        if held.status == "removed":
            return "duplicate"
        self._unpack(held)
        held.status, held.rejected, held.events, held.transactions = "removed", 0, {}, {}
        if block_hash is not None:
            held.header["hash"] = block_hash
        self._changed(held, offset, now)
        return "new"

    # Closing

    def closing(self, now: float) -> list[Held]:
        """At the end of a batch: the open blocks that close now, oldest first."""
        for held in self._unpacked.values():
            if not held.open:
                held.repack()
        self._unpacked.clear()
        return sorted(
            (
                held
                for held in self.open.values()
                if held.status != "partial"
                or held.number < self.heads[held.chain_id]
                or now - held.changed_at >= QUIET_S
                or now - held.opened_at >= OPEN_S
            ),
            key=lambda held: (held.revision, held.chain_id, held.number),
        )

    def closed(self, held: Held, value: bytes) -> None:
        """`value` is the block's envelope for chain.blocks."""
        held.pack(value)
        self.open.pop(held.id, None)
        self._let_go()

    def floor(self) -> int | None:
        """The lowest offset of a record in a still open block; None when none is open."""
        return min((held.first_offset for held in self.open.values()), default=None)

    # Inside

    def _open_for(self, chain_id: int, number: int, block_hash: str | None, offset: int) -> tuple[Held | None, Verdict]:
        key = (chain_id, number)
        held = self.blocks.get(key)
        if held is not None and not held.counted:
            self._count(held)
        if offset <= self._restored.get(key, -1):
            return None, "replayed"
        if self._below(key):  # whether it is still held or not: when it is forgotten depends on batches
            return None, "too_late"
        if held is None:
            held = self.blocks[key] = Held(*key)
            self._count(held)
            if number > self.heads.get(chain_id, -1):
                self.heads[chain_id] = number
        elif block_hash is not None:
            known = held.header.get("hash")
            # A removed block's own fork is gone; any other may follow it.
            if known is not None and (known == block_hash) == (held.status == "removed"):
                return None, "other_fork"
        return held, "new"

    def _unpack(self, held: Held) -> None:
        if held.packed:
            held.unpack()
            self._unpacked[held.id] = held

    def _count(self, held: Held) -> None:
        held.counted = True
        top = self._top.setdefault(held.chain_id, [])
        if len(top) < HELD_BLOCKS:
            heappush(top, held.number)
        else:
            heappushpop(top, held.number)

    def _below(self, key: BlockId) -> bool:
        """Whether a block is lower than `HELD_BLOCKS` others of its chain, or than all that a restart could read of it."""
        top = self._top.get(key[0], [])
        return (len(top) == HELD_BLOCKS and key[1] < top[0]) or key[1] < self._unknown_below.get(key[0], -1)

    def _renew_if_removed(self, held: Held) -> bool:
        if held.status != "removed":
            return False
        held.status, held.header, held.rejected = "partial", {}, 0
        return True

    def _changed(self, held: Held, offset: int, now: float) -> None:
        held.revision, held.changed_at = offset, now
        if not held.open:
            held.first_offset, held.opened_at = offset, now
            self.open[held.id] = held

    def _let_go(self) -> None:
        """Forget closed blocks below the held ones, once they are worth a sweep."""
        if len(self.blocks) > sum(len(top) for top in self._top.values()) + SWEEP:
            for key in [key for key, held in self.blocks.items() if not held.open and self._below(key)]:
                del self.blocks[key]


def _strip(event: Any, header: dict[str, Any]) -> None:
    """Take out of an event what its envelope says, and what no schema knows."""
    if event.__pydantic_extra__:
        event.__pydantic_extra__.clear()
    fields = event.__dict__
    fields["chain_id"] = fields["block_number"] = fields["block_hash"] = None
    if fields["timestamp"] == header.get("timestamp"):
        fields["timestamp"] = None


def _by_hash(transactions: Sequence[Transaction]) -> dict[str, Transaction]:
    """Transactions by hash, without what no schema knows; the first wins."""
    found: dict[str, Transaction] = {}
    for transaction in transactions:
        if transaction.__pydantic_extra__:
            transaction.__pydantic_extra__.clear()
        found.setdefault(transaction.hash, transaction)
    return found
