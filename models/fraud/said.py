"""What a block says of a wallet: the moves of wallet.activity as those that a profile counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

from models.fraud.bitmaps import slot
from models.fraud.half import digits
from models.fraud.profile import CALLED, IN, OUT, PLAIN_GAS, Move, TokenMove
from topics.schemas.chain import WalletActivity, WalletMove

MOST = 16
"""Moves of a wallet that count of one block; what is beyond is only a number, so that a row stays of bounded size."""

Moves = Sequence[Move | TokenMove]

ETHEREUM = 1
"""The chain on which a payment uses `PLAIN_GAS` and no more; others charge by rules of their own."""


class Party(NamedTuple):
    """What counts of an address that a wallet deals with, or of a token."""

    slot: int
    """Where it is marked (`bitmaps.slot`)."""
    fame: float
    """`Scorer.fame`."""
    listed: str
    """The lists that name it, with commas between, a space and the address; empty where none does."""


def on_no_list(address: str) -> str:
    """Where lists are not asked, as in training."""
    return ""


class Parties(dict[str, Party]):
    """What counts of addresses, found out when one is first asked for: most are asked for several times."""

    def __init__(self, fame: Callable[[str], float], lists: Callable[[str], str] = on_no_list) -> None:
        super().__init__()
        self._fame, self._lists = fame, lists

    def __missing__(self, address: str) -> Party:
        lists = self._lists(address)
        found = self[address] = Party(slot(address), self._fame(address), f"{lists} {address}" if lists else "")
        return found


def moves_of(
    move: WalletMove,
    time: int,
    median_gas_price_wei: int | None,
    parties: Parties,
    chain_id: int = ETHEREUM,
) -> Move | TokenMove:
    """What a profile counts of a move of wallet.activity, at `time` (unix seconds); serving and training both go through here.

    `median_gas_price_wei` is what others pay at the time, None where nobody knows. What failed moved no value, and neither did
    what a wallet sent to itself: both count as going out, and so does a swap, by the token sold (but see `counting`). Where no
    selector is told, more gas than a payment uses says that something was called, on Ethereum.
    """
    direction, peer = move["direction"], move.get("peer")
    side = IN if direction == "in" else OUT
    if peer is None:
        here, peer_fame, lists = None, 0.0, ""
    else:
        here, peer_fame, lists = parties[peer]
        if lists and direction == "self":
            lists = ""
    if move["kind"] != "transaction":
        token, token_fame, _ = parties[move.get("token") or ""]
        # By `tuple` itself, here and below: half the cost of the call, and a wallet has several.
        return tuple.__new__(TokenMove, (time, side, here, token, _nothing(move), peer_fame, token_fame, lists))
    failed = move.get("status") == 0
    wei = move.get("value_wei")
    value = 0 if failed or direction == "self" or wei is None or wei[0] == "-" else int(wei)
    price = move.get("gas_price_wei")
    against = price / median_gas_price_wei if price is not None and median_gas_price_wei else None
    price_digits = digits(price) if price else 0
    used = move.get("gas_used")
    if (selector := move.get("selector")) is None:
        selector = CALLED if chain_id == ETHEREUM and used is not None and used > PLAIN_GAS else "0x"
    limit = move.get("gas_limit")
    return tuple.__new__(
        Move, (time, side, here, value, limit, used, against, price_digits, selector, failed, peer_fame, lists)
    )


def _nothing(move: WalletMove) -> bool:
    """Whether the token amount is known to be zero."""
    if (raw := move.get("amount_raw")) is not None:
        return int(raw) == 0
    amount = move.get("amount")
    return amount is not None and Decimal(amount) == 0


def counting(moves: Sequence[WalletMove]) -> Sequence[WalletMove]:
    """What counts of a wallet's moves in a block: no swap that transfers of its transaction tell of, too.

    Training knows transfers alone, and a swap of several pools has one swap for each of them.
    """
    if len(moves) == 1:
        return moves
    swapped = {move["transaction_hash"] for move in moves if move["kind"] == "swap"}
    if not swapped:
        return moves
    told = {move["transaction_hash"] for move in moves if move["kind"] == "transfer"}
    return [move for move in moves if move["kind"] != "swap" or move["transaction_hash"] not in told]


class Said(NamedTuple):
    """What a block, in one revision, says of a wallet."""

    number: int
    revision: int
    time: int
    """Unix seconds of the block; 0 where that is not known, and then nothing counts."""
    moves: Moves
    """Those that count, in order."""
    more: int = 0
    """How many more there are."""


def said(view: WalletActivity, moves: Sequence[WalletMove], parties: Parties) -> Said:
    """What a view, which is not a clock record, says of a wallet by these `moves`: nothing where its block was removed."""
    number, time = view.number or 0, view.timestamp
    if view.status == "removed" or time is None:
        return Said(number, view.revision, time or 0, ())
    median, moves = view.median_gas_price_wei, counting(moves)
    counted = [moves_of(move, time, median, parties, view.chain_id) for move in moves[:MOST]]
    return Said(number, view.revision, time, counted, len(moves) - len(counted))
