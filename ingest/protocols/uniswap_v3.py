"""Uniswap V3 and its forks, and PancakeSwap V3, whose Swap carries two more words.

Source: IUniswapV3PoolEvents.sol of Uniswap/v3-core, IPancakeV3PoolEvents.sol of pancakeswap/pancake-v3-contracts.
Amounts are the pool's: positive came in. A sqrt price of 0 is no price (logs rebuilt from traces hold it), so price,
liquidity and tick of such a swap are left out.
"""

from __future__ import annotations

from ingest.facts import Family, Question
from ingest.parts import Log
from ingest.protocols.base import (
    Context,
    Decoder,
    Fields,
    Undecoded,
    address,
    amount,
    find_pool,
    is_tick,
    liquidity,
    pair_question,
    party,
    signed,
    traded,
    two_s_complement,
    word,
    words,
)


def swap(log: Log, context: Context) -> Fields | Undecoded:
    """Swap(sender indexed, recipient indexed, amount0, amount1, sqrtPriceX96, liquidity, tick[, fees of Pancake])."""
    data = log.data
    if len(log.topics) != 3 or words(data) not in (5, 7):
        return Undecoded.BAD_LAYOUT
    net0, net1 = signed(data, 0), signed(data, 1)
    if net0 == 0 or net1 == 0 or (net0 > 0) == (net1 > 0):
        return Undecoded.ONE_SIDED
    pool = find_pool(log, context, "uniswap_v3", net0, net1)
    if pool is None:
        return Undecoded.UNKNOWN_POOL
    fields: Fields = {
        "event_type": "swap",
        "protocol": pool.protocol,
        "pool": log.address,
        "sender": party(log.topics[1]),
        "recipient": party(log.topics[2]),
        **traded(pool, net0, (net0, net1), (-net0, -net1)),
    }
    price, tick = word(data, 2), signed(data, 4)
    if price and is_tick(tick):
        fields |= {"sqrt_price_x96": str(price), "liquidity": amount(data, 3), "tick": tick}
    return fields


def mint(log: Log, context: Context) -> Fields | Undecoded:
    """Mint(sender, owner indexed, tickLower indexed, tickUpper indexed, amount, amount0, amount1)."""
    ticks = _range(log)
    if ticks is None or words(log.data) != 4:
        return Undecoded.BAD_LAYOUT
    return {
        "event_type": "mint",
        **liquidity(log, context, "uniswap_v3"),
        **ticks,
        "sender": address(log.data, 0),
        "liquidity": amount(log.data, 1),
        "amount0_raw": amount(log.data, 2),
        "amount1_raw": amount(log.data, 3),
    }


def burn(log: Log, context: Context) -> Fields | Undecoded:
    """Burn(owner indexed, tickLower indexed, tickUpper indexed, amount, amount0, amount1); one of 0 settles fees."""
    ticks = _range(log)
    if ticks is None or words(log.data) != 3:
        return Undecoded.BAD_LAYOUT
    return {
        "event_type": "burn",
        **liquidity(log, context, "uniswap_v3"),
        **ticks,
        "liquidity": amount(log.data, 0),
        "amount0_raw": amount(log.data, 1),
        "amount1_raw": amount(log.data, 2),
    }


def collect(log: Log, context: Context) -> Fields | Undecoded:
    """Collect(owner indexed, recipient, tickLower indexed, tickUpper indexed, amount0, amount1)."""
    ticks = _range(log)
    if ticks is None or words(log.data) != 3:
        return Undecoded.BAD_LAYOUT
    return {
        "event_type": "collect",
        **liquidity(log, context, "uniswap_v3"),
        **ticks,
        "recipient": address(log.data, 0),
        "amount0_raw": amount(log.data, 1),
        "amount1_raw": amount(log.data, 2),
    }


def _range(log: Log) -> Fields | None:
    """Owner and ticks, the indexed arguments of each; None where they are no ticks."""
    if len(log.topics) != 4:
        return None
    lower, upper = two_s_complement(int(log.topics[2], 16)), two_s_complement(int(log.topics[3], 16))
    return {"owner": party(log.topics[1]), "tick_lower": lower, "tick_upper": upper} if is_tick(lower, upper) else None


DECODERS: dict[str, Decoder] = {
    "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67": swap,
    "0x19b47279256b2a23a1665c810c8d55a1758940ee09377d4f8d26497a3577dc83": swap,
    "0x7a53080ba414158be7ec69b987b5fb7d07dee101fe85488f0853ae16239d0bde": mint,
    "0x0c396cd989a39f4459b5fa1aed6a9a8dcdbc45908acfd67e028cd568da98982c": burn,
    "0x70935338e69775456a85ddef226c395fb668b63fa0115f5f20610b388e6ca9c0": collect,
}
QUESTIONS: dict[Family, Question] = {"uniswap_v3": pair_question("uniswap_v3")}
