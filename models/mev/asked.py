"""The transactions of a question, as far as they are told, and a block made of them for the detectors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from models.chain.normal_form import is_address
from models.fraud.requests import tokens
from models.mev.legs import Direction
from topics.schemas.chain import Block, Event, Swap, Transaction
from topics.schemas.mev_question import AskedTransaction, DetectMev

TARGET = "targetTx"
NEAR_S = 12.0
"""Transactions seen further apart do not stand in one block: Ethereum makes one every 12 s, other chains sooner."""
SCALE = 18
"""Amounts come in token units, whose decimals the question does not know; the detectors count in units of 10^-18 of them."""

is_hash = re.compile(r"0x[0-9a-fA-F]{64}").fullmatch


@dataclass(frozen=True, slots=True)
class Asked:
    """One transaction of a question, or one swap of it; None is unknown. Identifiers are in lower case, whatever they are."""

    name: str
    place: int
    """In the question, the target first."""
    key: str
    """The same for all entries of one transaction."""
    amount: Decimal | None
    amount_out: Decimal | None
    gas: Decimal | None
    """Gwei."""
    time: float | None
    """Unix seconds."""
    sender: str | None
    called: str | None
    direction: Direction | None
    pool: str | None
    protocol: str | None
    block: int | None
    index: int | None
    log_index: int | None
    hash: str | None


def read(question: DetectMev) -> list[Asked]:
    """The target first, then what stood around it as far as it may be in one block with it; reverted ones did nothing."""
    target, *others = (_asked(place, told) for place, told in enumerate(_told(question)))
    return [
        target,
        *(one for one in others if _near(target, one) and question.surrounding_txs[one.place - 1].status != 0),
    ]


def _told(question: DetectMev) -> list[AskedTransaction]:
    return [question.target_tx, *question.surrounding_txs]


def _asked(place: int, told: AskedTransaction) -> Asked:
    name = f"surroundingTxs[{place - 1}]" if place else TARGET
    hash = told.hash.lower() if told.hash else None
    return Asked(
        name,
        place,
        hash or name,
        _decimal(told.amount),
        _decimal(told.amount_out),
        _decimal(told.gas_price),
        told.timestamp,
        told.from_address.lower() if told.from_address else None,
        told.to_address.lower() if told.to_address else None,
        _direction(told),
        told.pool.lower() if told.pool else None,
        told.protocol,
        told.block_number,
        told.transaction_index,
        told.log_index,
        hash,
    )


def _decimal(amount: str | None) -> Decimal | None:
    return None if amount is None else Decimal(amount)


def _direction(told: AskedTransaction) -> Direction | None:
    """The tokens sold and bought, symbols in upper case and addresses in lower."""
    pair = tokens(f"{told.token_in}/{told.token_out}") if told.token_in and told.token_out else tokens(told.token_pair)
    if pair is None or pair[0] == pair[1]:
        return None
    turned = told.direction == "buy" and not (told.token_in and told.token_out)
    return (pair[1], pair[0]) if turned else pair


def _near(target: Asked, other: Asked) -> bool:
    if target.block is not None and other.block is not None:
        return target.block == other.block
    return target.time is None or other.time is None or abs(target.time - other.time) <= NEAR_S


def before(one: Asked, other: Asked) -> tuple[bool, str] | None:
    """Whether `one` stood before `other`, and what tells so: their places, times or, weakest, gas prices. None: nothing does."""
    if one.index is not None and other.index is not None and one.index != other.index:
        return one.index < other.index, "places"
    if one.time is not None and other.time is not None and one.time != other.time:
        return one.time < other.time, "times"
    if one.gas is not None and other.gas is not None and one.gas != other.gas:
        return one.gas > other.gas, "gas prices"
    return None


@dataclass(frozen=True, slots=True)
class Made:
    """A block made of a question, and how sure it is."""

    block: Block
    names: dict[str, Asked]
    """Transaction hash in the block → the entry of the question, the target's before others of one transaction."""
    order: str
    """What told the order of its transactions."""
    pool_told: bool
    """Whether every entry named its pool; else swaps of a pair are taken to be of one pool."""
    senders_told: bool


def block_of(question: DetectMev, asked: Sequence[Asked]) -> Made | None:
    """A block of the entries whose tokens are known; None where the target's are not, or where nothing tells the order."""
    target = asked[0]
    swaps = [one for one in asked if one.direction is not None]
    if target.direction is None or len(swaps) < 2 or (order := _order(swaps)) is None:
        return None
    places = {key: place for place, key in enumerate(dict.fromkeys(one.key for one in order[0]))}
    stand_in = _StandIns()
    events: list[Event] = []
    transactions: dict[str, Transaction] = {}
    names: dict[str, Asked] = {}
    pools: dict[frozenset[str], str] = {}
    for one in swaps:
        if one.pool is not None and one.direction is not None:
            pools.setdefault(frozenset(one.direction), one.pool)
    for at, one in enumerate(order[0]):
        assert one.direction is not None
        hash = one.hash if one.hash and is_hash(one.hash) else stand_in.hash(one.key)
        names.setdefault(hash, one)
        sender, called = (stand_in.address(address) for address in (one.sender, one.called))
        transactions.setdefault(
            hash,
            Transaction(
                hash=hash, index=places[one.key], from_address=sender, to_address=called, status=1,
                gas_price_wei=None if one.gas is None else int(one.gas * 10**9),
            ),
        )  # fmt: skip
        pool = one.pool or pools.get(frozenset(one.direction)) or "/".join(sorted(one.direction))
        events.append(
            Swap(
                event_type="swap", transaction_hash=hash, transaction_index=places[one.key],
                log_index=at if one.log_index is None else one.log_index, from_address=sender, to_address=called,
                token_in=one.direction[0], token_out=one.direction[1], amount_in_raw=_raw(one.amount),
                amount_out_raw=_raw(one.amount_out), pool=stand_in.pool(pool), protocol=one.protocol,
            )
        )  # fmt: skip
    block = Block(
        chain_id=question.chain_id, number=target.block or 0, status="partial",
        timestamp=None if target.time is None else int(target.time), transactions=list(transactions.values()), events=events,
    )  # fmt: skip
    pool_told = all(one.pool is not None for one in swaps)
    return Made(block, names, order[1], pool_told, all(one.sender is not None for one in swaps))


def _order(swaps: list[Asked]) -> tuple[list[Asked], str] | None:
    """The entries as they stood in their block, and what tells so: places, times, or gas prices where all have the same time.

    None where nothing tells on which side of the target another one stood.
    """
    target = swaps[0]
    ways = (
        ("places", lambda one: one.index),
        ("times", lambda one: one.time),
        ("gas prices", lambda one: _falling(one.gas)),
    )
    for name, way in ways:
        keys = [way(one) for one in swaps]
        if any(key is None for key in keys):
            continue
        beside = [way(one) for one in swaps if one.key != target.key]
        if way(target) not in beside:
            ordered = sorted(swaps, key=lambda one: (way(one), one.log_index or 0, one.place))
            return ordered, name
    return None


def _falling(gas: Decimal | None) -> Decimal | None:
    return None if gas is None else -gas


def _raw(amount: Decimal | None) -> str | None:
    return None if amount is None else str(int(amount.scaleb(SCALE)))


class _StandIns:
    """Identifiers of the right form for what was abbreviated, or not told; the same for the same text."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def _number(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers) + 1)

    def hash(self, text: str) -> str:
        return f"0x{self._number('hash ' + text):064x}"

    def address(self, text: str | None) -> str | None:
        return text if text is None or is_address(text) else f"0x{self._number('address ' + text):040x}"

    def pool(self, text: str) -> str:
        return text if is_address(text) or is_hash(text) else f"0x{self._number('pool ' + text):040x}"
