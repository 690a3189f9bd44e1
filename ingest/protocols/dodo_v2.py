"""DODO V2 pools (DVM, DPP, DSP): the log names the tokens.

Source: DVMTrader.sol of DODOEX/contractV2.
"""

from __future__ import annotations

from ingest.facts import Family, Question, native
from ingest.parts import Log
from ingest.protocols.base import Context, Decoder, Fields, Undecoded, address, word, words


def swap(log: Log, context: Context) -> Fields | Undecoded:
    """DODOSwap(fromToken, toToken, fromAmount, toAmount, trader, receiver), none indexed."""
    if len(log.topics) != 1 or words(log.data) != 6:
        return Undecoded.BAD_LAYOUT
    paid, got = word(log.data, 2), word(log.data, 3)
    if not paid or not got:
        return Undecoded.ONE_SIDED
    return {
        "event_type": "swap",
        "protocol": "dodo_v2",
        "pool": log.address,
        "sender": address(log.data, 4),
        "recipient": address(log.data, 5),
        "token_in": native(address(log.data, 0)),
        "token_out": native(address(log.data, 1)),
        "amount_in_raw": paid,
        "amount_out_raw": got,
    }


DECODERS: dict[str, Decoder] = {
    "0xc2c0245e056d5fb095f04cd6373bc770802ebd1e6c918eb78fdef843cdb37b0f": swap,
}
QUESTIONS: dict[Family, Question] = {}
