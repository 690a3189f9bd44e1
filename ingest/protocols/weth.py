"""Wrapping and unwrapping of a chain's native coin (WETH9).

Only of the chain's own wrapper: many vaults emit `Deposit(address,uint256)` too, and for them the amount is of a token
that the log does not name. The other party of a deposit is the wrapper itself, which keeps the ether.
"""

from __future__ import annotations

from ingest.facts import Family, Question
from ingest.parts import Log
from ingest.protocols.base import Context, Decoder, Fields, Undecoded, amount, party, words
from topics.schemas.native import WRAPPERS


def deposit(log: Log, context: Context) -> Fields | Undecoded:
    """Deposit(dst indexed, wad)."""
    return _wrap(log, context, "deposit")


def withdrawal(log: Log, context: Context) -> Fields | Undecoded:
    """Withdrawal(src indexed, wad)."""
    return _wrap(log, context, "withdrawal")


def _wrap(log: Log, context: Context, event_type: str) -> Fields | Undecoded:
    if len(log.topics) != 2 or words(log.data) != 1:
        return Undecoded.BAD_LAYOUT
    wrapper = log.address
    if WRAPPERS.get(context.chain_id) != wrapper:
        return Undecoded.FOREIGN_WRAPPER
    holder = party(log.topics[1])
    source, target = (wrapper, holder) if event_type == "deposit" else (holder, wrapper)
    return {
        "event_type": event_type,
        "protocol": "weth",
        "token_in": wrapper,
        "from_address": source,
        "to_address": target,
        "amount_in_raw": amount(log.data, 0),
    }


DECODERS: dict[str, Decoder] = {
    "0xe1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c": deposit,
    "0x7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65": withdrawal,
}
QUESTIONS: dict[Family, Question] = {}
