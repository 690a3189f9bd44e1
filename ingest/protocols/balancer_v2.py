"""Balancer V2: every pool lives in one Vault and is told by its id. Flash loans move nothing that stays, and are no events.

Source: IVault.sol of balancer/balancer-v2-monorepo.
"""

from __future__ import annotations

from ingest.facts import Family, Question
from ingest.parts import Log
from ingest.protocols.base import (
    Context,
    Decoder,
    Fields,
    Undecoded,
    listed,
    parts,
    party,
    swapped,
    two_s_complement,
    word,
    words,
)


def swap(log: Log, context: Context) -> Fields | Undecoded:
    """Swap(poolId indexed, tokenIn indexed, tokenOut indexed, amountIn, amountOut); it does not say who traded."""
    if len(log.topics) != 4 or words(log.data) != 2:
        return Undecoded.BAD_LAYOUT
    tokens = party(log.topics[2]), party(log.topics[3])
    return swapped("balancer_v2", log.topics[1], tokens, (word(log.data, 0), word(log.data, 1)))


def balance(log: Log, context: Context) -> Fields | Undecoded:
    """PoolBalanceChanged(poolId indexed, liquidityProvider indexed, tokens[], deltas[], protocolFeeAmounts[]).

    A join's deltas are positive or 0, an exit's negative or 0.
    """
    if len(log.topics) != 3 or words(log.data) < 3:
        return Undecoded.BAD_LAYOUT
    tokens, moved = listed(log.data, 0), listed(log.data, 1)
    if not tokens or moved is None or len(tokens) != len(moved) or any(token >> 160 for token in tokens):
        return Undecoded.BAD_LAYOUT
    deltas = [two_s_complement(one) for one in moved]
    provider = party(log.topics[2])
    return {
        "event_type": "mint" if max(deltas) > 0 else "burn",
        "protocol": "balancer_v2",
        "pool": log.topics[1],
        "sender": provider,
        "owner": provider,
        **parts([f"0x{token:040x}" for token in tokens], [abs(one) for one in deltas]),
    }


DECODERS: dict[str, Decoder] = {
    "0x2170c741c41531aec20e7c107c24eecfdd15e69c9bb0a8dd37b1840b9e0b207b": swap,
    "0xe5ce249087ce04f05a957192435400fd97868dba0e6a4b4c049abf8af80dae78": balance,
}
QUESTIONS: dict[Family, Question] = {}
