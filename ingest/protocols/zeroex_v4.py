"""Orders filled through the 0x exchange, V4: limit, RFQ and OTC orders, from a maker's own funds.

Source: INativeOrdersEvents.sol and IOtcOrdersFeature.sol of 0xProject/protocol. There is no pool: the maker pays.
"""

from __future__ import annotations

from ingest.facts import Family, Question, native
from ingest.parts import Log
from ingest.protocols.base import Context, Decoder, Fields, Undecoded, address, swapped, word, words


def limit(log: Log, context: Context) -> Fields | Undecoded:
    """LimitOrderFilled(order, maker, taker, feeRecipient, makerToken, takerToken, taker's amount, maker's amount, ...)."""
    return _filled(log, 11, 4, 6, 7)


def rfq(log: Log, context: Context) -> Fields | Undecoded:
    """RfqOrderFilled(order, maker, taker, makerToken, takerToken, taker's amount, maker's amount, pool)."""
    return _filled(log, 8, 3, 5, 6)


def otc(log: Log, context: Context) -> Fields | Undecoded:
    """OtcOrderFilled(order, maker, taker, makerToken, takerToken, maker's amount, taker's amount)."""
    return _filled(log, 7, 3, 6, 5)


def _filled(log: Log, length: int, tokens: int, paid_at: int, got_at: int) -> Fields | Undecoded:
    """No argument is indexed; `tokens` is where the maker's token stands, and the taker's behind it."""
    if len(log.topics) != 1 or words(log.data) != length:
        return Undecoded.BAD_LAYOUT
    sold, bought = native(address(log.data, tokens + 1)), native(address(log.data, tokens))
    amounts, taker = (word(log.data, paid_at), word(log.data, got_at)), address(log.data, 2)
    who = {"maker": address(log.data, 1), "sender": taker, "recipient": taker}
    return swapped("zeroex_v4", None, (sold, bought), amounts, **who)


DECODERS: dict[str, Decoder] = {
    "0xab614d2b738543c0ea21f56347cf696a3a0c42a7cbec3212a5ca22a4dcff2124": limit,
    "0x829fa99d94dc4636925b38632e625736a614c154d55006b7ab6bea979c210c32": rfq,
    "0xac75f773e3a92f1a02b12134d65e1f47f8a14eabe4eaf1e24624918e6a8b269f": otc,
}
QUESTIONS: dict[Family, Question] = {}
