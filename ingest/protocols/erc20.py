"""Transfers of ERC-20 tokens (EIP-20) and, with the same topic0 and a fourth topic, of ERC-721 ones (EIP-721)."""

from __future__ import annotations

from ingest.facts import Answers, Family, Question, Wanted, call, number_of
from ingest.parts import Log
from ingest.pools import TRANSFER
from ingest.protocols.base import Context, Decoder, Fields, Undecoded, party

MAX_DECIMALS = 77
"""More digits than a uint256 has."""


def transfer(log: Log, context: Context) -> Fields | Undecoded:
    """Transfer(from indexed, to indexed, value), or Transfer(from indexed, to indexed, tokenId indexed).

    Two of three logs are the former, so it is read without a function call.
    """
    topics, data = log.topics, log.data
    if len(topics) == 3 and 66 <= len(data) < 130:
        return {
            "event_type": "transfer",
            "protocol": "erc20",
            "token_in": log.address,
            "from_address": "0x" + topics[1][26:],
            "to_address": "0x" + topics[2][26:],
            "amount_in_raw": str(int(data[2:66], 16)),
        }
    if len(topics) == 4 and data == "0x":
        return {
            "event_type": "transfer",
            "protocol": "erc721",
            "token_in": log.address,
            "token_id": str(int(topics[3], 16)),
            "from_address": party(topics[1]),
            "to_address": party(topics[2]),
            "amount_in_raw": "1",
        }
    return Undecoded.BAD_LAYOUT


DECODERS: dict[str, Decoder] = {TRANSFER: transfer}


def _decimals(wanted: Wanted, answers: Answers) -> int | None:
    found = number_of(answers[0])
    return found if found is not None and found <= MAX_DECIMALS else None


QUESTIONS: dict[Family, Question] = {"token": Question(lambda wanted: [call(wanted.subject, "decimals()")], _decimals)}
