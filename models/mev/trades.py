"""A block's trades in short, and two neighbours' as one block again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.mev.base import unix_time
from models.mev.history import Pooled
from models.mev.view import View
from topics.schemas.chain import Block, Swap, Sync
from topics.schemas.mev import Finding
from topics.schemas.mev_trades import BlockTrades, Moved, Sent, Swapped

MOST_EVENTS = 4_096
"""Of a block with more events in pools nothing is kept: it bounds a row, and what two of them can cause."""


def pack(view: View, found: Sequence[Finding]) -> BlockTrades:
    """The trades of a block in which the detectors found `found`."""
    block = view.block
    out = BlockTrades.model_construct(
        chain_id=block.chain_id,
        number=block.number,
        revision=block.revision,
        status=block.status,
        hash=block.hash,
        parent_hash=block.parent_hash,
        timestamp=unix_time(block),
    )
    if block.status != "removed" and sum(len(one.events) for one in view.histories.values()) <= MOST_EVENTS:
        packer = _Packer(view, {hash for one in found for hash in (*one.transactions, *one.front, *one.back)})
        out.pools = packer.pools()
        out.names, out.transactions = list(packer.names), list(packer.sent.values())
    return out


class _Packer:
    def __init__(self, view: View, told: set[str]) -> None:
        self._view = view
        self._told = told
        self.names: dict[str, int] = {}
        self.sent: dict[str, Sent] = {}
        self._numbers: dict[str, int] = {}

    def pools(self) -> dict[str, list[Swapped | Moved]]:
        """What happened in each pool in which somebody traded who is not told of already."""
        return {
            pool: self._pool(history.events)
            for pool, history in self._view.histories.items()
            if history.first.keys() - self._told
        }

    def _pool(self, events: Sequence[Pooled]) -> list[Swapped | Moved]:
        out: list[Swapped | Moved] = []
        sync: Sync | None = None
        for event in events:
            if event.event_type == "sync":
                sync = event
                continue
            number = self._number(event.transaction_hash.lower())
            if event.event_type == "swap":
                out.append(self._swap(number, event, sync))
            else:
                out.append(Moved(number, event.event_type))
            sync = None
        return out

    def _swap(self, number: int, swap: Swap, sync: Sync | None) -> Swapped:
        if sync is not None and sync.transaction_hash.lower() != swap.transaction_hash.lower():
            sync = None
        name = self._name
        return Swapped(
            number,
            name(swap.token_in.lower()),
            name(swap.token_out.lower()),
            swap.amount_in_raw,
            swap.amount_out_raw,
            None if swap.sender is None else name(swap.sender.lower()),
            None if swap.recipient is None else name(swap.recipient.lower()),
            None if swap.protocol is None else name(swap.protocol),
            swap.sqrt_price_x96,
            swap.liquidity,
            None if sync is None else sync.reserve0_raw,
            None if sync is None else sync.reserve1_raw,
        )

    def _name(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names))

    def _number(self, hash: str) -> int:
        number = self._numbers.get(hash)
        if number is None:
            number = self._numbers[hash] = len(self._numbers)
            view, one = self._view, self._view.transactions.get(hash)
            signer, called = view.signer(hash), view.called(hash)
            self.sent[hash] = Sent(
                hash,
                view.places[hash],
                None if signer is None else self._name(signer),
                None if called is None else self._name(called),
                one.gas_used if one else None,
                one.gas_price_wei if one and view.pays else None,
                one.coinbase_transfer_wei if one else None,
                view.personal(hash),
                hash in self._told,
            )
        return number


def together(before: BlockTrades, after: BlockTrades) -> Block:
    """Two neighbours as one block: under the number, hash and time of the second, and the sum of their revisions.

    Each block's base fee and builder are left out.
    """
    transactions: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    for one in (before, after):
        first = len(transactions)
        # In order of their place, so that they stand one behind another as they did.
        order = sorted(range(len(one.transactions)), key=lambda number, one=one: one.transactions[number].place)  # type: ignore[misc]
        places = {number: first + place for place, number in enumerate(order)}
        transactions += [_transaction(one, number, places[number]) for number in order]
        for pool, happened in one.pools.items():
            for event in happened:
                hash, index = one.transactions[event.sent].hash, places[event.sent]
                common = {"transaction_hash": hash, "transaction_index": index, "pool": pool}
                for told in _events(one.names, event):
                    events.append({**common, "log_index": len(events), **told})
    complete = before.status == after.status == "complete"
    return Block.model_validate(
        {
            "chain_id": after.chain_id,
            "number": after.number,
            "status": "complete" if complete else "partial",
            "revision": revision(before.revision, after.revision),
            "hash": after.hash,
            "parent_hash": after.parent_hash,
            "timestamp": after.timestamp,
            "transactions": transactions,
            "events": events,
        }
    )


def revision(before: int, after: int) -> int:
    """What is said of two blocks is newer whichever of them is: the sum of their revisions.

    The larger of the two would not do. Of two blocks that close together the earlier one, which is told first, may have the larger
    revision, and what is said with the later one counted would then not be newer.
    """
    return min(before + after, 2**63 - 1)


def _transaction(one: BlockTrades, number: int, index: int) -> dict[str, Any]:
    sent = one.transactions[number]
    return {
        "hash": sent.hash,
        "index": index,
        "from_address": None if sent.signer is None else one.names[sent.signer],
        "to_address": None if sent.called is None else one.names[sent.called],
        "gas_used": sent.gas_used,
        "gas_price_wei": sent.gas_price_wei,
        "coinbase_transfer_wei": sent.coinbase_transfer_wei,
    }


def _events(names: Sequence[str], told: Swapped | Moved) -> list[dict[str, Any]]:
    """What a pool's log said, without its place."""
    if isinstance(told, Moved):
        return [{"event_type": told.event_type}]
    swap = {
        "event_type": "swap",
        "token_in": names[told.token_in],
        "token_out": names[told.token_out],
        "amount_in_raw": told.amount_in_raw,
        "amount_out_raw": told.amount_out_raw,
        "sender": None if told.sender is None else names[told.sender],
        "recipient": None if told.recipient is None else names[told.recipient],
        "protocol": None if told.protocol is None else names[told.protocol],
        "sqrt_price_x96": told.sqrt_price_x96,
        "liquidity": told.liquidity,
    }
    if told.reserve0_raw is None:
        return [swap]
    return [{"event_type": "sync", "reserve0_raw": told.reserve0_raw, "reserve1_raw": told.reserve1_raw}, swap]
