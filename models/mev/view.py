"""One reading of a block for all detectors: its events in order, by transaction and by pool.

An address, hash or token is lower case here. What a reverted transaction is said to have done, it did not do: such events
are left out. Events without an index come last in their block or transaction, in order of arrival.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from models.mev.history import History, Pooled
from models.mev.prices import Prices
from models.mev.routers import ROUTERS
from topics.schemas.chain import Block, Liquidation, Liquidity, Swap, Transaction, Transfer
from topics.schemas.native import COINS, WRAPPERS, ZERO

REVERTED = 0


@dataclass(slots=True, eq=False)
class Trade:
    """A swap of one token into another in a pool; amounts are base units, None where the swap did not tell."""

    transaction: str
    pool: str
    """Where no pool made it, who filled the order, or the contract that told."""
    token_in: str
    token_out: str
    sold: str
    """`token_in`, under one name for all that is the chain's native coin."""
    bought: str
    amount_in: int | None
    amount_out: int | None
    swap: Swap


class View:
    """A block as the detectors read it."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.transactions: dict[str, Transaction] = {}
        wrapper = WRAPPERS.get(block.chain_id)
        self.coin = wrapper or ZERO
        """The one name of the chain's native coin."""
        self.native = COINS | {wrapper} if wrapper else COINS
        """The tokens that are the chain's native coin."""
        self.places: dict[str, int] = {}
        """Transaction → its place among those that did something in a pool or to a loan."""
        self.trades: dict[str, list[Trade]] = {}
        """Transaction → its trades in order. A swap of a token into itself is none."""
        self.histories: dict[str, History] = {}
        """Pool → what happened in it."""
        self.liquidity: list[Liquidity] = []
        self.liquidations: list[Liquidation] = []
        self._transfers: list[Transfer] = []
        self._personal: dict[str, bool] = {}
        self._ends: dict[tuple[str, str], str | None] = {}
        self._read()

    def _read(self) -> None:
        reverted: set[str] = set()
        for one in self.block.transactions:
            hash = one.hash.lower()
            self.transactions[hash] = one
            if one.status == REVERTED:
                reverted.add(hash)
        grouped: dict[str, list[Pooled | Liquidation]] = {}
        for event in self._ordered():
            grouped.setdefault(event.transaction_hash.lower(), []).append(event)
        place = 0
        for hash, events in grouped.items():
            if hash in reverted:
                continue
            self.places[hash] = place
            place += 1
            for event in events:
                self._take(hash, event)

    def _ordered(self) -> list[Pooled | Liquidation]:
        """What happened in pools and to loans, in order; transfers are set aside."""
        kept: list[Pooled | Liquidation] = []
        aside = self._transfers
        for event in self.block.events:
            # By its name: pydantic's isinstance costs ten times as much where the answer is no, here and below.
            if event.event_type == "transfer" or event.event_type == "deposit" or event.event_type == "withdrawal":
                aside.append(event)
            else:
                kept.append(event)
        kept.sort(key=placed)
        return kept

    def _take(self, hash: str, event: Pooled | Liquidation) -> None:
        if event.event_type == "liquidation":
            self.liquidations.append(event)
            return
        if event.event_type == "swap":
            trade = self.trade(hash, event)
            if trade is not None:
                self.trades.setdefault(hash, []).append(trade)
        if event.pool is None:
            return
        pool = event.pool.lower()
        history = self.histories.get(pool)
        if history is None:
            history = self.histories[pool] = History()
        if event.event_type == "swap":
            history.first.setdefault(hash, len(history.events))
        elif event.event_type != "sync":
            self.liquidity.append(event)
        history.events.append(event)

    def trade(self, hash: str, event: Swap) -> Trade | None:
        """A swap as a trade of a transaction, or None where it is none."""
        where = event.pool or event.maker or event.contract_address
        token_in, token_out = event.token_in.lower(), event.token_out.lower()
        if where is None or token_in == token_out:
            return None
        paid, got = event.amount_in_raw, event.amount_out_raw
        one, other = (self.coin if token in self.native else token for token in (token_in, token_out))
        return Trade(
            hash,
            where.lower(),
            token_in,
            token_out,
            one,
            other,
            None if paid is None else int(paid),
            None if got is None else int(got),
            event,
        )

    @cached_property
    def nobody(self) -> frozenset[str]:
        """Addresses that tell nothing about who acted: known routers, and the block's pools."""
        return ROUTERS | self.histories.keys()

    @cached_property
    def prices(self) -> Prices:
        """What the block's pools say that tokens are worth."""
        return Prices(self.histories, self.native)

    @cached_property
    def loans(self) -> set[str]:
        """Transactions in which a loan was closed."""
        return {one.transaction_hash.lower() for one in self.liquidations}

    @cached_property
    def pays(self) -> bool:
        """Whether anybody pays for gas. Where all prices are 0 the source did not know them."""
        return any(one.gas_price_wei for one in self.block.transactions)

    @cached_property
    def _transfers_of(self) -> dict[str, list[Transfer]]:
        found: dict[str, list[Transfer]] = {hash: [] for hash in self.places}
        before, of_it = "", None
        for one in self._transfers:
            hash = one.transaction_hash
            if hash != before:  # those of a transaction mostly stand together
                before, of_it = hash, found.get(hash.lower())
            if of_it is not None:
                of_it.append(one)
        return found

    def transfers(self, hash: str) -> list[Transfer]:
        """The transfers, in order of arrival, of a transaction that did something in a pool or to a loan."""
        return self._transfers_of.get(hash, [])

    def index(self, hash: str) -> int | None:
        """Where a transaction stands in the block, or None where nothing told."""
        known = self.transactions.get(hash)
        if known is not None:
            return known.index
        trades = self.trades.get(hash)
        return trades[0].swap.transaction_index if trades else None

    def signer(self, hash: str) -> str | None:
        """Who signed a transaction, or None where nothing told."""
        return self._end(hash, "from_address")

    def called(self, hash: str) -> str | None:
        """What a transaction called, or None where nothing told or it made a contract."""
        return self._end(hash, "to_address")

    def _end(self, hash: str, name: str) -> str | None:
        if (hash, name) not in self._ends:
            known = self.transactions.get(hash)
            end = getattr(known, name) if known else None
            if end is None and (trades := self.trades.get(hash)):
                end = getattr(trades[0].swap, name)
            self._ends[hash, name] = end.lower() if end else None
        return self._ends[hash, name]

    def personal(self, hash: str) -> bool:
        """Whether tokens went to or came from the one who signed a transaction, and not only its contract."""
        if hash not in self._personal:
            self._personal[hash] = self._is_personal(hash, self.signer(hash))
        return self._personal[hash]

    def _is_personal(self, hash: str, signer: str | None) -> bool:
        if signer is None:
            return False
        ends = {trade.swap.recipient for trade in self.trades.get(hash, ())}
        for one in self.transfers(hash):
            ends.add(one.from_address)
            ends.add(one.to_address)
        return signer in ends or any(end is not None and end.lower() == signer for end in ends)

    def in_order(self, hashes: Sequence[str]) -> list[str]:
        """The transactions once each, in block order."""
        return sorted(set(hashes), key=lambda hash: (self.places.get(hash, -1), hash))


def placed(event: Pooled | Liquidation | Transfer) -> tuple[bool, int, bool, int]:
    """Where an event stands in its block, to sort by."""
    transaction, log = event.transaction_index, event.log_index
    return transaction is None, transaction or 0, log is None, log or 0
