"""DODO V2 pools (DVM, DPP, DSP): the log names the tokens.

Source: DVMTrader.sol of DODOEX/contractV2.
"""

from __future__ import annotations

from ingest.facts import Family, Question, native
from ingest.parts import Log
from ingest.protocols.base import Context, Decoder, Fields, Undecoded, address, swapped, word, words


def swap(log: Log, context: Context) -> Fields | Undecoded:
    """DODOSwap(fromToken, toToken, fromAmount, toAmount, trader, receiver), none indexed."""
    if len(log.topics) != 1 or words(log.data) != 6:
        return Undecoded.BAD_LAYOUT
    tokens = native(address(log.data, 0)), native(address(log.data, 1))
    who = {"sender": address(log.data, 4), "recipient": address(log.data, 5)}
    return swapped("dodo_v2", log.address, tokens, (word(log.data, 2), word(log.data, 3)), **who)


DECODERS: dict[str, Decoder] = {
    "0xc2c0245e056d5fb095f04cd6373bc770802ebd1e6c918eb78fdef843cdb37b0f": swap,
}
QUESTIONS: dict[Family, Question] = {}
