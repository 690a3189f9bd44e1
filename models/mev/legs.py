"""The swaps of a block as legs: what one transaction did in one pool in one direction, and by which addresses.

Who traded is told by addresses: the transaction's sender, the contract it called, and the swap's own sender and
recipient. Pools and known routers tell nothing and are taken out. A contract that many people used in this block is
probably a router too, but it may be a bot with many accounts, so it is kept and marked `shared`: where only such an
address links two legs, the detector wants their amounts to match too. Where the signer's own tokens moved, the contract was only
what it traded through, as people do: such a contract does not make two signers one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from models.mev.view import Trade, View
from topics.schemas.chain import Liquidity, Swap

SHARED_FROM = 5
"""An address that swaps of so many senders have in common counts as shared; bots with a few accounts are common."""
SHARED_FROM_RECIPIENTS = 3
"""The same by recipients, where the senders of transactions are unknown: a bot's recipient is itself or a pool."""

Direction = tuple[str, str]
"""(token sold, token bought)."""
NONE: Direction = ("", "")
"""Of liquidity added: nothing was sold."""


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
    swaps: int = 0
    """How many there are."""
    personal: bool = False
    """Whether tokens of the signer's own were paid, or came to it."""
    added: frozenset[str] = frozenset()
    """Of liquidity added: the tokens that were added, none where that is unknown."""

    def alike(self, other: Leg) -> frozenset[str]:
        """The addresses that may say that this leg and another are made by the same one."""
        common = self.actors & other.actors
        strangers = self.sender is not None and other.sender is not None and self.sender != other.sender
        return frozenset() if strangers and (self.personal or other.personal) else common

    def add(self, trade: Trade) -> None:
        """Count `trade` in."""
        self.amount_in = plus(self.amount_in, trade.amount_in)
        self.amount_out = plus(self.amount_out, trade.amount_out)
        self.swaps += 1


@dataclass(slots=True)
class Legs:
    """A block's legs by pool, each list in block order, and the addresses that many people traded through."""

    by_pool: dict[str, list[Leg]]
    adds: dict[str, list[Leg]]
    """Liquidity added, by pool: nobody's front or back, but somebody may be caught in it. It holds no swaps."""
    shared: frozenset[str]


def read_legs(view: View) -> Legs:
    """The legs of a block."""
    by_pool: dict[str, list[Leg]] = defaultdict(list)
    users = _Users()
    for hash, trades in view.trades.items():
        trades = [trade for trade in trades if trade.swap.pool is not None]
        place = view.places[hash]
        legs: dict[tuple[str, str, str], Leg] = {}
        personal = view.personal(hash)
        for trade in trades:
            key = (trade.pool, trade.token_in, trade.token_out)
            leg = legs.get(key)
            if leg is None:
                sender, actors = _actors(view, hash, trade.swap)
                direction, protocol = (trade.token_in, trade.token_out), trade.swap.protocol
                leg = Leg(place, hash, trade.pool, protocol, direction, sender, actors, personal=personal)
                legs[key] = leg
                by_pool[trade.pool].append(leg)
                users.saw(leg, trade.swap, view.nobody)
            leg.add(trade)
    return Legs(dict(by_pool), _adds(view), users.shared())


def _adds(view: View) -> dict[str, list[Leg]]:
    adds: dict[str, list[Leg]] = defaultdict(list)
    for event in view.liquidity:
        if event.event_type != "mint" or event.pool is None:
            continue
        hash, pool = event.transaction_hash.lower(), event.pool.lower()
        signer = view.signer(hash)
        named = (signer, view.called(hash), event.owner, event.sender)
        actors = frozenset(one.lower() for one in named if one) - view.nobody
        place, personal = view.places[hash], view.personal(hash)
        leg = Leg(place, hash, pool, event.protocol, NONE, signer, actors, personal=personal, added=_added(event))
        adds[pool].append(leg)
    return adds


def _added(event: Liquidity) -> frozenset[str]:
    pairs = [
        (event.token0, event.amount0_raw),
        (event.token1, event.amount1_raw),
        (event.token_in, event.amount_in_raw),
    ]
    pairs += zip(event.tokens or (), event.amounts_raw or (), strict=False)
    return frozenset(token.lower() for token, amount in pairs if token and amount is not None and int(amount) > 0)


def _actors(view: View, hash: str, swap: Swap) -> tuple[str | None, frozenset[str]]:
    signed, called = view.signer(hash) or _lower(swap.from_address), view.called(hash) or _lower(swap.to_address)
    named = {signed, called, _lower(swap.sender), _lower(swap.recipient)}
    return signed, frozenset(one for one in named if one and one not in view.nobody)


def _lower(address: str | None) -> str | None:
    return address.lower() if address else None


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


def plus(total: int | None, amount: int | None) -> int | None:
    """The sum, or None as soon as one part is unknown."""
    return None if total is None or amount is None else total + amount
