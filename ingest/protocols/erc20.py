"""ERC-20 transfers (EIP-20). ERC-721 shares the topic0; its fourth topic is the token's number, and it is left out."""

from __future__ import annotations

from ingest.facts import Answers, Family, Question, Wanted, call, number_of
from ingest.pools import TRANSFER
from ingest.protocols.base import Context, Decoder, Fields, Undecoded, party, word, words
from ingest.raw import Log

MAX_DECIMALS = 77
"""More digits than a uint256 has."""


def transfer(log: Log, context: Context) -> Fields | Undecoded:
    """Transfer(from indexed, to indexed, value)."""
    if len(log.topics) == 4:
        return Undecoded.NFT_TRANSFER
    if len(log.topics) != 3 or words(log.data) != 1:
        return Undecoded.BAD_LAYOUT
    return {
        "event_type": "transfer",
        "protocol": "erc20",
        "token_in": log.address.lower(),
        "from_address": party(log.topics[1]),
        "to_address": party(log.topics[2]),
        "amount_in_raw": word(log.data, 0),
    }


DECODERS: dict[str, Decoder] = {TRANSFER: transfer}


def _decimals(wanted: Wanted, answers: Answers) -> int | None:
    found = number_of(answers[0])
    return found if found is not None and found <= MAX_DECIMALS else None


QUESTIONS: dict[Family, Question] = {"token": Question(lambda wanted: [call(wanted.subject, "decimals()")], _decimals)}
