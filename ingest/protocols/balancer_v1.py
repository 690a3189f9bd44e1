"""Balancer V1 (and its fork Cream Swap): the log names the tokens. A join or an exit is one log for each token.

Source: BPool.sol of balancer/balancer-core.
"""

from __future__ import annotations

from ingest.facts import Family, Question
from ingest.parts import Log
from ingest.protocols.base import Context, Decoder, Fields, Undecoded, amount, party, swapped, word, words


def swap(log: Log, context: Context) -> Fields | Undecoded:
    """LOG_SWAP(caller indexed, tokenIn indexed, tokenOut indexed, tokenAmountIn, tokenAmountOut)."""
    if len(log.topics) != 4 or words(log.data) != 2:
        return Undecoded.BAD_LAYOUT
    caller, *tokens = map(party, log.topics[1:])
    amounts = word(log.data, 0), word(log.data, 1)
    return swapped("balancer_v1", log.address, (tokens[0], tokens[1]), amounts, sender=caller, recipient=caller)


def join(log: Log, context: Context) -> Fields | Undecoded:
    """LOG_JOIN(caller indexed, tokenIn indexed, tokenAmountIn)."""
    return _liquidity(log, "mint", "in")


def exit(log: Log, context: Context) -> Fields | Undecoded:
    """LOG_EXIT(caller indexed, tokenOut indexed, tokenAmountOut)."""
    return _liquidity(log, "burn", "out")


def _liquidity(log: Log, event_type: str, side: str) -> Fields | Undecoded:
    if len(log.topics) != 3 or words(log.data) != 1:
        return Undecoded.BAD_LAYOUT
    caller = party(log.topics[1])
    return {
        "event_type": event_type,
        "protocol": "balancer_v1",
        "pool": log.address,
        "sender": caller,
        "owner": caller,
        f"token_{side}": party(log.topics[2]),
        f"amount_{side}_raw": amount(log.data, 0),
    }


DECODERS: dict[str, Decoder] = {
    "0x908fb5ee8f16c6bc9bc3690973819f32a4d4b10188134543c88706e0e1d43378": swap,
    "0x63982df10efd8dfaaaa0fcc7f50b2d93b7cba26ccc48adee2873220d485dc39a": join,
    "0xe74c91552b64c2e2e7bd255639e004e693bd3e1d01cc33e65610b86afcc1ffed": exit,
}
QUESTIONS: dict[Family, Question] = {}
