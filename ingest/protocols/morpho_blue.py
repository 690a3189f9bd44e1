"""Liquidations of Morpho Blue, whose markets are told by their id: the hash of what they are made of.

Source: EventsLib.sol and IMorpho.sol of morpho-org/morpho-blue. What a node tells of a market is held against that hash.
"""

from __future__ import annotations

from eth_hash.auto import keccak

from ingest.facts import Answers, Family, PoolFacts, Question, Wanted, call
from ingest.parts import Log
from ingest.protocols.base import Context, Decoder, Fields, Undecoded, amount, party, words


def liquidation(log: Log, context: Context) -> Fields | Undecoded:
    """Liquidate(id, caller, borrower indexed, repaidAssets, repaidShares, seizedAssets, badDebtAssets, badDebtShares)."""
    if len(log.topics) != 4 or words(log.data) != 5:
        return Undecoded.BAD_LAYOUT
    market = log.topics[1]
    facts = context.pools.facts.pools.get(market)
    if facts is None:
        context.pools.want("morpho_blue", market, log.address)
    fields: Fields = {
        "event_type": "liquidation",
        "protocol": "morpho_blue",
        "market": market,
        "from_address": party(log.topics[2]),
        "to_address": party(log.topics[3]),
    }
    if facts is not None and facts.token0 and facts.token1:
        fields |= {
            "token_in": facts.token0.lower(),
            "token_out": facts.token1.lower(),
            "amount_in_raw": amount(log.data, 0),
            "amount_out_raw": amount(log.data, 2),
        }
    return fields


def _read(wanted: Wanted, answers: Answers) -> PoolFacts | None:
    answer = answers[0]
    if not isinstance(answer, str) or words(answer) != 5:
        return None
    try:
        if keccak(bytes.fromhex(answer[2:])).hex() != wanted.subject[2:]:
            return None
    except ValueError:  # no hex
        return None
    loan, collateral = "0x" + answer[26:66].lower(), "0x" + answer[90:130].lower()
    return PoolFacts(protocol="morpho_blue", token0=loan, token1=collateral)


DECODERS: dict[str, Decoder] = {
    "0xa4946ede45d0c6f06a0f5ce92c9ad3b4751452d2fe0e25010783bcab57a67e41": liquidation,
}
QUESTIONS: dict[Family, Question] = {
    "morpho_blue": Question(lambda wanted: [call(wanted.contract, "idToMarketParams(bytes32)", wanted.subject)], _read)
}
