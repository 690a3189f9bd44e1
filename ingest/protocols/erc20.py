"""Transfers of ERC-20 tokens (EIP-20) and, with the same topic0 and a fourth topic, of ERC-721 ones (EIP-721)."""

from __future__ import annotations

from ingest.facts import Answers, Family, Question, Wanted, call, number_of
from ingest.parts import Log
from ingest.pools import TRANSFER
from ingest.protocols.base import Context, Decoder, Fields, Undecoded, party, word, words

MAX_DECIMALS = 77
"""More digits than a uint256 has."""


def transfer(log: Log, context: Context) -> Fields | Undecoded:
    """Transfer(from indexed, to indexed, value), or Transfer(from indexed, to indexed, tokenId indexed)."""
    if len(log.topics) == 4 and log.data == "0x":
        return {
            "event_type": "transfer",
            "protocol": "erc721",
            "token_in": log.address,
            "token_id": int(log.topics[3], 16),
            "from_address": party(log.topics[1]),
            "to_address": party(log.topics[2]),
            "amount_in_raw": 1,
        }
    if len(log.topics) != 3 or words(log.data) != 1:
        return Undecoded.BAD_LAYOUT
    return {
        "event_type": "transfer",
        "protocol": "erc20",
        "token_in": log.address,
        "from_address": party(log.topics[1]),
        "to_address": party(log.topics[2]),
        "amount_in_raw": word(log.data, 0),
    }


DECODERS: dict[str, Decoder] = {TRANSFER: transfer}


def _decimals(wanted: Wanted, answers: Answers) -> int | None:
    found = number_of(answers[0])
    return found if found is not None and found <= MAX_DECIMALS else None


QUESTIONS: dict[Family, Question] = {"token": Question(lambda wanted: [call(wanted.subject, "decimals()")], _decimals)}
