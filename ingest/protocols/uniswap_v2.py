"""Uniswap V2 and its forks (SushiSwap, ShibaSwap and others emit the same events).

Source: UniswapV2Pair.sol of Uniswap/v2-core. A reflection token makes both In amounts of one Swap positive, so the
direction comes from the net amounts, and the amounts are the gross In of the token sold and the gross Out of the other.
"""

from __future__ import annotations

from ingest.facts import Family, Question
from ingest.parts import Log
from ingest.protocols.base import (
    Context,
    Decoder,
    Fields,
    Undecoded,
    amount,
    find_pool,
    liquidity,
    pair_question,
    party,
    traded,
    word,
    words,
)


def swap(log: Log, context: Context) -> Fields | Undecoded:
    """Swap(sender indexed, amount0In, amount1In, amount0Out, amount1Out, to indexed)."""
    data = log.data
    if len(log.topics) != 3 or words(data) != 4:
        return Undecoded.BAD_LAYOUT
    in0, in1, out0, out1 = word(data, 0), word(data, 1), word(data, 2), word(data, 3)
    net0, net1 = in0 - out0, in1 - out1
    if net0 == 0 or net1 == 0 or (net0 > 0) == (net1 > 0):
        return Undecoded.ONE_SIDED
    pool = find_pool(log, context, "uniswap_v2", net0, net1)
    if pool is None:
        return Undecoded.UNKNOWN_POOL
    return {
        "event_type": "swap",
        "protocol": pool.protocol,
        "pool": log.address,
        "sender": party(log.topics[1]),
        "recipient": party(log.topics[2]),
        **traded(pool, net0, (in0, in1), (out0, out1)),
    }


def sync(log: Log, context: Context) -> Fields | Undecoded:
    """Sync(reserve0, reserve1), emitted just before the Swap, Mint or Burn that changed them."""
    if len(log.topics) != 1 or words(log.data) != 2:
        return Undecoded.BAD_LAYOUT
    reserves = {"reserve0_raw": amount(log.data, 0), "reserve1_raw": amount(log.data, 1)}
    return {"event_type": "sync", **liquidity(log, context, "uniswap_v2"), **reserves}


def mint(log: Log, context: Context) -> Fields | Undecoded:
    """Mint(sender indexed, amount0, amount1)."""
    if len(log.topics) != 2 or words(log.data) != 2:
        return Undecoded.BAD_LAYOUT
    return {
        "event_type": "mint",
        **liquidity(log, context, "uniswap_v2"),
        "sender": party(log.topics[1]),
        "amount0_raw": amount(log.data, 0),
        "amount1_raw": amount(log.data, 1),
    }


def burn(log: Log, context: Context) -> Fields | Undecoded:
    """Burn(sender indexed, amount0, amount1, to indexed)."""
    if len(log.topics) != 3 or words(log.data) != 2:
        return Undecoded.BAD_LAYOUT
    return {
        "event_type": "burn",
        **liquidity(log, context, "uniswap_v2"),
        "sender": party(log.topics[1]),
        "recipient": party(log.topics[2]),
        "amount0_raw": amount(log.data, 0),
        "amount1_raw": amount(log.data, 1),
    }


DECODERS: dict[str, Decoder] = {
    "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822": swap,
    "0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1": sync,
    "0x4c209b5fc8ad50758f13e2e1088ba56a560dff690a1c6fef26394f4c03821c4f": mint,
    "0xdccd412f0b1252819cb1fd330b93224ca42612892bb3f4f789976e6d81936496": burn,
}
QUESTIONS: dict[Family, Question] = {"uniswap_v2": pair_question("uniswap_v2")}
