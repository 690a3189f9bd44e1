"""One partition of chain.events as a set of blocks: merge what comes, tell what changed, know what is still open.

The content of a block is a fold over the records that changed it, in order of offset, and nothing else: not the clock, not how
records were batched. Therefore a revision (the offset of the last such record) always means the same bytes, and a restart that
restores closed blocks and reads on from the lowest open offset ends where an undisturbed run does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from heapq import heappush, heappushpop
from typing import Any, Literal

from models.chain.held import (
    HEADER_FIELDS,
    BlockId,
    Element,
    Held,
    Identity,
    by_hash,
    identities,
    renew,
    same_content,
    strip,
)
from topics.schemas.chain import Block

HELD_BLOCKS = 512
"""Blocks of a chain that late events can still change; a reorg deeper than this has not been seen on a major chain."""
ASSEMBLED_EVENTS = ASSEMBLED_TRANSACTIONS = 5_000
"""What a block may be assembled of: at 2 kB each, which none exceeds, well below what chain.blocks and the views take."""
NAMED = 100_000
"""Names that the views of a block may have to repeat from its earlier revisions: after so many it changes no more."""
SWEEP = 32
"""How many blocks beyond the held ones may wait to be forgotten together."""
CHAINS = 1_024
"""Chains of one partition; a further one is refused. Of a chain that was forgotten, a late event would begin a block anew."""
QUIET_S = 2.0
OPEN_S = 5.0

Verdict = Literal[
    "new", "duplicate", "conflicting_duplicate", "other_fork", "too_late", "too_large", "too_many_chains", "replayed"
]


class Assembly:
    """The blocks of one partition."""

    def __init__(self) -> None:
        self.blocks: dict[BlockId, Held] = {}
        self.heads: dict[int, int] = {}
        """The highest number seen, by chain."""
        self.open: dict[BlockId, Held] = {}
        self._top: dict[int, list[int]] = {}
        """The `HELD_BLOCKS` highest numbers seen, by chain, as a heap: a set that grows by record, however records are batched."""
        self._tops = 0
        """How many numbers those are together."""
        self._unwritten: Counter[int] = Counter()
        """While blocks close: how many of those of each chain are not in chain.blocks yet."""
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

    def restored(self, cut: Collection[int]) -> Iterator[Held]:
        """After the last `restore`: the newest `HELD_BLOCKS` of each chain, headers read from their values; the rest let go.

        `cut` are the chains of which there may be blocks in chain.blocks that were not restored. There a block below those restored
        cannot be told from one that was written already: begun anew it would lose what it had.
        """
        for chain_id, number in self.blocks:
            if chain_id in cut:
                self._unknown_below[chain_id] = min(number, self._unknown_below.get(chain_id, number))
        for key in [key for key in self.blocks if self._below(key)]:
            del self.blocks[key]
        for held in self.blocks.values():
            block = Block.model_validate_json(held.emitted or b"")
            held.status, held.rejected = block.status, block.rejected
            held.header = {name: value for name in HEADER_FIELDS if (value := getattr(block, name)) is not None}
            yield held

    # Merging

    def events(
        self, chain_id: int, number: int, events: Sequence[Element], offsets: Sequence[int], now: float
    ) -> list[Verdict]:
        """Merge events of one block that came outside a complete envelope, each with its record's offset, into the block."""
        verdicts: list[Verdict] = []
        restored = self._restored.get((chain_id, number), -1)
        held: Held | None = None
        merged: list[Element] = []
        merged_at: list[int] = []
        for event, key, offset in zip(events, identities(events), offsets, strict=True):
            block_hash = event.get("block_hash")
            if (
                held is None
                or offset <= restored
                or held.status == "removed"
                or (block_hash is not None and block_hash != held.header.get("hash"))
            ):
                held, verdict = self._open_for(chain_id, number, block_hash, offset)
                if held is None:
                    verdicts.append(verdict)
                    continue
                self._unpack(held)
            known = held.events.get(key)
            if known is not None:
                verdicts.append("duplicate" if same_content(known, event) else "conflicting_duplicate")
                continue
            if len(held.events) >= ASSEMBLED_EVENTS:
                verdicts.append("too_large")
                continue
            if held.status == "removed":
                renew(held)
            header = held.header
            if block_hash is not None and "hash" not in header:
                header["hash"] = block_hash
            if "timestamp" not in header and "timestamp" in event:
                header["timestamp"] = event["timestamp"]
            held.events[key] = event
            merged.append(event)
            merged_at.append(offset)
            verdicts.append("new")
        if merged:
            block = self.blocks[chain_id, number]
            strip(merged, block.header)
            self._changed(block, merged_at[0], now)
            block.revision = merged_at[-1]
        return verdicts

    def complete(
        self, chain_id: int, number: int, header: dict[str, Any], transactions: Sequence[Element],
        events: Sequence[Element], rejected: int, offset: int, now: float,
    ) -> tuple[Verdict, list[int]]:  # fmt: skip
        """Take a complete envelope: it replaces what was assembled. Returns its verdict and the places of conflicting events."""
        held, verdict = self._open_for(chain_id, number, None, offset)
        if held is None:
            return verdict, []
        keys = identities(events)
        found: dict[Identity, Any] = dict(zip(keys, events, strict=True))
        conflicts = []
        if len(found) < len(events):  # the first of each identity wins
            found = {}
            for index, (key, event) in enumerate(zip(keys, events, strict=True)):
                known = found.setdefault(key, event)
                if known is not event and not same_content(known, event):
                    conflicts.append(index)
        strip(events, header)
        self._unpack(held)
        transactions_by_hash = by_hash(transactions)
        before = (held.status, held.header, held.rejected, held.transactions, held.events)
        after = ("complete", header, rejected + len(conflicts), transactions_by_hash, found)
        if before == after:
            return "duplicate", conflicts
        held.status, held.header, held.rejected = "complete", header, rejected + len(conflicts)
        held.transactions, held.events = transactions_by_hash, found
        self._changed(held, offset, now)
        return "new", conflicts

    def partial(
        self, chain_id: int, number: int, header: dict[str, Any], transactions: Sequence[Element],
        events: Sequence[Element], rejected: int, offset: int, now: float,
    ) -> tuple[Verdict, list[int]]:  # fmt: skip
        """Merge an envelope that does not say it is complete. Returns its verdict and the places of conflicting events."""
        block, keys = (chain_id, number), identities(events)
        verdict = self._verdict(block, header.get("hash"), offset)
        if verdict == "new" and self._too_large(block, keys, (t["hash"] for t in transactions)):
            verdict = "too_large"
        if verdict != "new":
            return verdict, []
        held = self._held(block)
        self._unpack(held)
        conflicts, changed = [], held.status == "removed" or held.revision < 0
        if held.status == "removed":
            renew(held)
        for name, value in header.items():
            if name not in held.header:
                held.header[name] = value
                changed = True
        for name, transaction in by_hash(transactions).items():
            if name not in held.transactions:
                held.transactions[name] = transaction
                changed = True
        for index, (key, event) in enumerate(zip(keys, events, strict=True)):
            known = held.events.setdefault(key, event)
            if known is event:
                changed = True
            elif not same_content(known, event):
                conflicts.append(index)
        strip(events, held.header)
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
        self._let_go()
        self._unwritten = Counter(held.chain_id for held in self.open.values() if self._counts_unwritten(held))
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
        if self._counts_unwritten(held):
            self._unwritten[held.chain_id] -= 1
        held.pack(value)
        self.open.pop(held.id, None)

    def window(self, chain_id: int) -> tuple[int, int]:
        """While blocks close: the lowest of the chain's blocks that late events can change, and how many are in chain.blocks."""
        top = self._top[chain_id]
        return top[0], len(top) - self._unwritten[chain_id]

    def floor(self) -> int | None:
        """The lowest offset of a record in a still open block; None when none is open."""
        return min((held.first_offset for held in self.open.values()), default=None)

    # Inside

    def _open_for(self, chain_id: int, number: int, block_hash: str | None, offset: int) -> tuple[Held | None, Verdict]:
        """The block, begun where it is new, or None and why the record does not come to it."""
        verdict = self._verdict((chain_id, number), block_hash, offset)
        return (self._held((chain_id, number)) if verdict == "new" else None), verdict

    def _verdict(self, key: BlockId, block_hash: str | None, offset: int) -> Verdict:
        """Whether a record comes to a block: "new", or why not. A block that is not held is not begun."""
        held = self.blocks.get(key)
        if held is not None and not held.counted:
            self._count(held)
        if offset <= self._restored.get(key, -1):
            return "replayed"
        if key[0] not in self.heads and len(self.heads) >= CHAINS:
            return "too_many_chains"
        if held is not None and len(held.named) > NAMED:
            return "too_large"
        if self._below(key):  # whether it is still held or not: when it is forgotten depends on batches
            return "too_late"
        if held is not None and block_hash is not None:
            known = held.header.get("hash")
            # A removed block's own fork is gone; any other may follow it.
            if known is not None and (known == block_hash) == (held.status == "removed"):
                return "other_fork"
        return "new"

    def _held(self, key: BlockId) -> Held:
        """The block, begun where it is new."""
        held = self.blocks.get(key)
        if held is None:
            held = self.blocks[key] = Held(*key)
            self._count(held)
            self.heads[held.chain_id] = max(held.number, self.heads.get(held.chain_id, -1))
        return held

    def _too_large(self, key: BlockId, events: Iterable[Identity], transactions: Iterable[str]) -> bool:
        """Whether these would make the block grow beyond what it may be assembled of; one that came whole may hold more."""
        held = self.blocks.get(key) or Held(*key)
        self._unpack(held)
        return len(held.events.keys() | set(events)) > max(ASSEMBLED_EVENTS, len(held.events)) or len(
            held.transactions.keys() | set(transactions)
        ) > max(ASSEMBLED_TRANSACTIONS, len(held.transactions))

    def _unpack(self, held: Held) -> None:
        if held.packed:
            held.unpack()
            self._unpacked[held.id] = held

    def _count(self, held: Held) -> None:
        held.counted = True
        top = self._top.setdefault(held.chain_id, [])
        if len(top) < HELD_BLOCKS:
            heappush(top, held.number)
            self._tops += 1
        else:
            heappushpop(top, held.number)

    def _counts_unwritten(self, held: Held) -> bool:
        """Whether late events can change the block and it is not in chain.blocks."""
        return held.emitted is None and held.number >= self._top[held.chain_id][0]

    def _below(self, key: BlockId) -> bool:
        """Whether a block is lower than `HELD_BLOCKS` others of its chain, or than all that a restart could read of it."""
        top = self._top.get(key[0], [])
        return (len(top) == HELD_BLOCKS and key[1] < top[0]) or key[1] < self._unknown_below.get(key[0], -1)

    def _changed(self, held: Held, offset: int, now: float) -> None:
        held.revision, held.changed_at = offset, now
        if not held.open:
            held.first_offset, held.opened_at = offset, now
            self.open[held.id] = held

    def _let_go(self) -> None:
        """Forget closed blocks below the held ones, once they are worth a sweep."""
        if len(self.blocks) > self._tops + SWEEP:
            for key in [key for key, held in self.blocks.items() if not held.open and self._below(key)]:
                del self.blocks[key]
