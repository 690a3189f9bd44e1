"""What is kept of a wallet over blocks: how what a block says of it becomes moves of a profile, and which blocks those are of."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from models.fraud.profile import IN, OUT, Move, TokenMove
from topics.schemas.chain import WalletMove

GWEI = 10**9


def moves_of(
    move: WalletMove, time: int, median_gas_price_wei: int | None, fame: Callable[[str], float]
) -> Move | TokenMove:
    """What a profile counts of a move of wallet.activity, at `time` (unix seconds); serving and training both go through here.

    `median_gas_price_wei` is what others pay at the time, None where nobody knows; `fame` is `Scorer.fame`. What failed moved no
    value, and neither did what a wallet sent to itself: both count as going out, and so does a swap, by the token sold.
    """
    side = IN if move.direction == "in" else OUT
    peer = move.peer
    peer_fame = 0.0 if peer is None else fame(peer)
    if move.kind != "transaction":
        token = move.token or ""
        return TokenMove(time, side, peer, token, _nothing(move), peer_fame, fame(token))
    failed = move.status == 0
    value = 0 if failed or move.direction == "self" or move.value_wei is None else max(0, int(move.value_wei))
    price = move.gas_price_wei
    against = price / median_gas_price_wei if price is not None and median_gas_price_wei else None
    whole = price is not None and price % GWEI == 0
    selector = move.selector or "0x"
    return Move(time, side, peer, value, move.gas_limit, move.gas_used, against, whole, selector, failed, peer_fame)


def _nothing(move: WalletMove) -> bool:
    """Whether the token amount is known to be zero."""
    if move.amount_raw is not None:
        return int(move.amount_raw) == 0
    return move.amount is not None and Decimal(move.amount) == 0
