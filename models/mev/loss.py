"""What victims lost in constant-product pools: the same swaps again, without the attacker's.

The pool's state before the front comes from the Sync that its first swap emitted, less that swap. From there the swaps
of all others up to the last victim run again with the inputs that they really paid, by the pair's own arithmetic (fee
0.3 %, rounded down as UniswapV2Library.getAmountOut does). A victim's loss is what it would have received less what it
did.
"""

from __future__ import annotations

from collections.abc import Collection

from models.mev.base import fitting
from models.mev.history import History, Pooled
from models.mev.legs import Leg
from topics.schemas.chain import Liquidity, Swap, Sync
from topics.schemas.mev import Loss

FEE_30_BP = frozenset({"uniswap_v2", "sushiswap", "shibaswap"})
"""Protocols whose pairs all take 0.3 % of the input. A fork may take another fee, which its logs do not tell."""


def victim_losses(history: History, pool: str, attackers: Collection[str], victims: list[Leg]) -> list[Loss]:
    """Losses of `victims` in `pool`, in base units of what they bought; empty where the block cannot tell.

    `attackers` are the hashes of the attacker's transactions.
    """
    victims = [leg for leg in victims if leg.swaps]
    if not victims or victims[0].protocol not in FEE_30_BP:
        return []
    start = min(history.first[hash] for hash in attackers if hash in history.first)
    reserves = _before(history.events, start)
    if reserves is None:
        return []
    gained: dict[str, int] = {}
    wanted = {leg.transaction for leg in victims}
    left = sum(leg.swaps for leg in victims)
    for at in range(start, len(history.events)):
        event = history.events[at]
        if isinstance(event, Liquidity):
            break
        if isinstance(event, Sync) or _hash(event) in attackers:
            continue
        token_in, token_out = event.token_in.lower(), event.token_out.lower()
        if event.amount_in_raw is None or event.amount_out_raw is None or {token_in, token_out} != set(reserves):
            break
        paid = int(event.amount_in_raw)
        if paid <= 0 or min(reserves.values()) <= 0:
            break
        got = paid * 997 * reserves[token_out] // (reserves[token_in] * 1000 + paid * 997)
        reserves[token_in] += paid
        reserves[token_out] -= got
        if _hash(event) in wanted and (token_in, token_out) == victims[0].direction:
            gained[_hash(event)] = gained.get(_hash(event), 0) + got - int(event.amount_out_raw)
            left -= 1
            if left == 0:
                break
    token = victims[0].direction[1]
    return [
        Loss(transaction_hash=leg.transaction, pool=pool, token=token, amount_raw=str(gained[leg.transaction]))
        for leg in victims
        if gained.get(leg.transaction, 0) > 0 and fitting(gained[leg.transaction])
    ]


def _before(events: list[Pooled], swap_at: int) -> dict[str, int] | None:
    """Reserves by token before the swap at `swap_at`: those of the Sync just before it, less the swap itself."""
    swap = events[swap_at]
    sync = events[swap_at - 1] if swap_at else None
    if not isinstance(swap, Swap) or not isinstance(sync, Sync) or _hash(sync) != _hash(swap):
        return None
    if swap.amount_in_raw is None or swap.amount_out_raw is None:
        return None
    token_in, token_out = swap.token_in.lower(), swap.token_out.lower()
    token0, token1 = sorted((token_in, token_out))
    reserves = {token0: int(sync.reserve0_raw), token1: int(sync.reserve1_raw)}
    reserves[token_in] -= int(swap.amount_in_raw)
    reserves[token_out] += int(swap.amount_out_raw)
    return reserves if min(reserves.values()) > 0 else None


def _hash(event: Pooled) -> str:
    return event.transaction_hash.lower()
