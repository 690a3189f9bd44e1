"""What victims lost: the same swaps again, without the attacker's.

A pool's state before the front comes from the front's own log: in pairs from the Sync that it emitted, less the swap itself, in
pools with concentrated liquidity from price, liquidity and amounts of the swap. From there the swaps of all others up to the last
victim run again with the inputs that they really paid: in pairs by the pair's own arithmetic (fee 0.3 %, rounded down as
UniswapV2Library.getAmountOut does), with concentrated liquidity as long as all of them are in one range
(`models.mev.concentrated`). A victim's loss is what it would have received less what it did.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from models.mev.base import fitting
from models.mev.concentrated import one_range, paid_out
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
    if not victims:
        return []
    direction = victims[0].direction
    start = min(history.first[hash] for hash in attackers if hash in history.first)
    wanted = {leg.transaction for leg in victims}
    left = sum(leg.swaps for leg in victims)
    gained: dict[str, int] = {}
    for swap, got in _again(history.events[start:], history.events[:start], attackers, victims[0].protocol):
        hash = _hash(swap)
        if hash in wanted and (swap.token_in.lower(), swap.token_out.lower()) == direction:
            gained[hash] = gained.get(hash, 0) + got - int(swap.amount_out_raw or 0)
            left -= 1
            if left == 0:
                break
    return [
        Loss(transaction_hash=leg.transaction, pool=pool, token=direction[1], amount_raw=str(gained[leg.transaction]))
        for leg in victims
        if gained.get(leg.transaction, 0) > 0 and fitting(gained[leg.transaction])
    ]


def _again(
    events: Sequence[Pooled], before: Sequence[Pooled], attackers: Collection[str], protocol: str | None
) -> Iterator[tuple[Swap, int]]:
    """The others' swaps from the front on and what each would have paid out, as far as the block tells."""
    first = events[0]
    if isinstance(first, Swap) and first.sqrt_price_x96 is not None:
        return _in_range(events, attackers)
    return _in_pair(events, before, attackers) if protocol in FEE_30_BP else iter(())


def _in_range(events: Sequence[Pooled], attackers: Collection[str]) -> Iterator[tuple[Swap, int]]:
    swaps: list[Swap] = []
    for event in events:
        if not isinstance(event, Swap):
            break
        swaps.append(event)
    # What is behind the back matters to nobody, and may be in another range.
    while swaps and _hash(swaps[-1]) not in attackers:
        swaps.pop()
    range_ = one_range(swaps)
    if range_ is None:
        return
    price = range_.before
    for move in range_.moves:
        if _hash(move.swap) not in attackers:
            got, price = paid_out(range_.liquidity, price, move)
            yield move.swap, got
            if price <= 0:
                return


def _in_pair(
    events: Sequence[Pooled], before: Sequence[Pooled], attackers: Collection[str]
) -> Iterator[tuple[Swap, int]]:
    reserves = _before([*before[-1:], events[0]], min(len(before), 1))
    if reserves is None:
        return
    for event in events:
        if isinstance(event, Liquidity):
            return
        if isinstance(event, Sync) or _hash(event) in attackers:
            continue
        token_in, token_out = event.token_in.lower(), event.token_out.lower()
        if event.amount_in_raw is None or event.amount_out_raw is None or {token_in, token_out} != set(reserves):
            return
        paid = int(event.amount_in_raw)
        if paid <= 0 or min(reserves.values()) <= 0:
            return
        got = paid * 997 * reserves[token_out] // (reserves[token_in] * 1000 + paid * 997)
        reserves[token_in] += paid
        reserves[token_out] -= got
        yield event, got


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
