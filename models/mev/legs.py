"""The swaps of a block as legs: what one transaction did in one pool in one direction, and by which addresses.

Who traded is told by addresses: the transaction's sender, the contract it called, and the swap's own sender and
recipient. Pools and known routers tell nothing and are taken out. A contract that many people used in this block is
probably a router too, but it may be a bot with many accounts, so it is kept and marked `shared`: where only such an
address links two legs, the detector wants their amounts to match too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from models.mev.routers import ROUTERS
from topics.schemas.chain import Block, Liquidity, Swap, Sync, Transaction

SHARED_FROM = 5
"""An address that swaps of so many senders have in common counts as shared; bots with a few accounts are common."""
SHARED_FROM_RECIPIENTS = 3
"""The same by recipients, where the senders of transactions are unknown: a bot's recipient is itself or a pool."""

Direction = tuple[str, str]
"""(token sold, token bought)."""


@dataclass(slots=True)
class Leg:
    """What one transaction swapped in one pool in one direction; base units, None where a swap did not tell."""

    position: int
    """The transaction's place in the block."""
    transaction: str
    pool: str
    protocol: str | None
    direction: Direction
    sender: str | None
    """Who signed the transaction."""
    actors: frozenset[str]
    """Every address that may stand for who traded, the sender included."""
    amount_in: int | None = 0
    amount_out: int | None = 0
    swaps: list[Swap] = field(default_factory=list)

    def add(self, swap: Swap) -> None:
        """Count `swap` in."""
        self.amount_in = plus(self.amount_in, swap.amount_in_raw)
        self.amount_out = plus(self.amount_out, swap.amount_out_raw)
        self.swaps.append(swap)


@dataclass(slots=True)
class Legs:
    """A block's legs by pool, each list in block order, and the addresses that many people traded through."""

    by_pool: dict[str, list[Leg]]
    shared: frozenset[str]


def read_legs(block: Block) -> Legs:
    """The legs of `block`. A swap without a pool, or of a token into itself, is passed over: no rule applies to it."""
    transactions = {one.hash.lower(): one for one in block.transactions}
    pools = {event.pool.lower() for event in block.events if isinstance(event, Swap | Sync | Liquidity) and event.pool}
    nobody = ROUTERS | pools
    legs: dict[tuple[str, str, Direction], Leg] = {}
    users = _Users()
    for position, hash, swap in _ordered(block):
        assert swap.pool is not None
        pool, direction = swap.pool.lower(), (swap.token_in.lower(), swap.token_out.lower())
        key = (hash, pool, direction)
        if key not in legs:
            sender, actors = _actors(swap, transactions.get(hash), nobody)
            legs[key] = Leg(position, hash, pool, swap.protocol, direction, sender, actors)
            users.saw(legs[key], swap, nobody)
        legs[key].add(swap)
    by_pool: dict[str, list[Leg]] = defaultdict(list)
    for leg in legs.values():
        by_pool[leg.pool].append(leg)
    return Legs(dict(by_pool), users.shared())


def _ordered(block: Block) -> Iterable[tuple[int, str, Swap]]:
    """Swaps with their transaction's place; those without an index come last, in order of arrival."""
    swaps = [
        event
        for event in block.events
        if isinstance(event, Swap) and event.pool and event.token_in.lower() != event.token_out.lower()
    ]
    last = len(swaps)
    swaps.sort(key=lambda swap: (swap.transaction_index is None, swap.transaction_index or 0))
    places: dict[str, int] = {}
    by_hash: dict[str, list[Swap]] = {}
    for swap in swaps:
        hash = swap.transaction_hash.lower()
        places.setdefault(hash, len(places))
        by_hash.setdefault(hash, []).append(swap)
    for hash, group in by_hash.items():
        group.sort(key=lambda swap: (swap.log_index is None, swap.log_index or last))
        for swap in group:
            yield places[hash], hash, swap


def _actors(swap: Swap, transaction: Transaction | None, nobody: frozenset[str]) -> tuple[str | None, frozenset[str]]:
    signed_by = (transaction.from_address if transaction else None) or swap.from_address
    called = (transaction.to_address if transaction else None) or swap.to_address
    sender = signed_by.lower() if signed_by else None
    named = (signed_by, called, swap.sender, swap.recipient)
    return sender, frozenset(one.lower() for one in named if one) - nobody


class _Users:
    """Who used each address, to tell the shared ones."""

    def __init__(self) -> None:
        self._senders: dict[str, set[str]] = defaultdict(set)
        self._recipients: dict[str, set[str]] = defaultdict(set)

    def saw(self, leg: Leg, swap: Swap, nobody: frozenset[str]) -> None:
        for address in leg.actors:
            if leg.sender is not None and address != leg.sender:
                self._senders[address].add(leg.sender)
        if leg.sender is None and swap.sender and swap.recipient:
            through, target = swap.sender.lower(), swap.recipient.lower()
            if through in leg.actors and target != through and target not in nobody:
                self._recipients[through].add(target)

    def shared(self) -> frozenset[str]:
        many = {address for address, users in self._senders.items() if len(users) >= SHARED_FROM}
        return frozenset(many | {a for a, users in self._recipients.items() if len(users) >= SHARED_FROM_RECIPIENTS})


def plus(total: int | None, amount: str | None) -> int | None:
    """The sum, or None as soon as one part is unknown."""
    return None if total is None or amount is None else total + int(amount)
