"""Compound V3: a Comet lends one base token against several collaterals.

Source: CometMainInterface.sol of compound-finance/comet. A loan that went bad is absorbed by the protocol: one log for the debt
that it takes over and one for each collateral, so each is a liquidation with one side. The collateral is then sold below its price
to whoever pays base, which is a swap like any other.
"""

from __future__ import annotations

from ingest.facts import Answers, Family, PoolFacts, Question, Wanted, address_of, call
from ingest.parts import Log
from ingest.protocols.base import Context, Decoder, Fields, Undecoded, amount, party, swapped, word, words

BASES: dict[str, str] = {
    "0xc3d688b66703497daa19211eedff47f25384cdc3": "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",  # USDC
    "0xa17581a9e3356d9a858b789d68b4d866e593ae94": "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2",  # WETH
}
"""Comet on Ethereum → the token that it lends."""


def debt(log: Log, context: Context) -> Fields | Undecoded:
    """AbsorbDebt(absorber indexed, borrower indexed, basePaidOut, usdValue)."""
    if len(log.topics) != 3 or words(log.data) != 2:
        return Undecoded.BAD_LAYOUT
    base = _base(log, context)
    side = {"token_in": base, "amount_in_raw": amount(log.data, 0)} if base else {}
    return {**_absorbed(log), **side}


def collateral(log: Log, context: Context) -> Fields | Undecoded:
    """AbsorbCollateral(absorber indexed, borrower indexed, asset indexed, collateralAbsorbed, usdValue)."""
    if len(log.topics) != 4 or words(log.data) != 2:
        return Undecoded.BAD_LAYOUT
    return {**_absorbed(log), "token_out": party(log.topics[3]), "amount_out_raw": amount(log.data, 0)}


def bought(log: Log, context: Context) -> Fields | Undecoded:
    """BuyCollateral(buyer indexed, asset indexed, baseAmount, collateralAmount)."""
    if len(log.topics) != 3 or words(log.data) != 2:
        return Undecoded.BAD_LAYOUT
    base, asset = _base(log, context), party(log.topics[2])
    if base is None:
        return Undecoded.UNKNOWN_POOL
    amounts = word(log.data, 0), word(log.data, 1)
    return swapped("compound_v3", log.address, (base, asset), amounts, sender=party(log.topics[1]))


def _absorbed(log: Log) -> Fields:
    return {
        "event_type": "liquidation",
        "protocol": "compound_v3",
        "market": log.address,
        "from_address": party(log.topics[1]),
        "to_address": party(log.topics[2]),
    }


def _base(log: Log, context: Context) -> str | None:
    comet = log.address
    facts = context.pools.facts.pools.get(comet)
    if facts is not None and facts.token0:
        return facts.token0.lower()
    known = BASES.get(comet) if context.chain_id == 1 else None
    if known is None:
        context.pools.want("compound_v3", comet, comet)
    return known


def _read(wanted: Wanted, answers: Answers) -> PoolFacts | None:
    base = address_of(answers[0])
    return PoolFacts(protocol="compound_v3", token0=base) if base else None


DECODERS: dict[str, Decoder] = {
    "0x1547a878dc89ad3c367b6338b4be6a65a5dd74fb77ae044da1e8747ef1f4f62f": debt,
    "0x9850ab1af75177e4a9201c65a2cf7976d5d28e40ef63494b44366f86b2f9412e": collateral,
    "0xf891b2a411b0e66a5f0a6ff1368670fefa287a13f541eb633a386a1a9cc7046b": bought,
}
QUESTIONS: dict[Family, Question] = {
    "compound_v3": Question(lambda wanted: [call(wanted.subject, "baseToken()")], _read)
}
