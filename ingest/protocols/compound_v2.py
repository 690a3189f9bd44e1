"""Liquidations of Compound V2 and its forks (Cream, Venus and others).

Source: CTokenInterfaces.sol of compound-finance/compound-protocol. The log comes from the debt's cToken and counts the debt in
what that lends; the collateral is counted, and handed over, in shares of its own cToken, so `token_out` is that cToken.
"""

from __future__ import annotations

from ingest.facts import Answers, Family, PoolFacts, Question, Wanted, address_of, call
from ingest.parts import Log
from ingest.protocols.base import Context, Decoder, Fields, Undecoded, address, amount, word, words
from topics.schemas.native import ZERO

COMPTROLLERS = {
    "0x3d9819210a31b4961b30ef54be2aed79b9c9cd3b": "compound_v2",
    "0x3d5bc3c8d13dcb8bf317092d84783c2697ae9258": "cream",
    "0xfd36e2c2a6789db23113685031d7f16329158384": "venus",
}
"""Who runs the markets → protocol; one that is not here is called `compound_v2_fork`."""
LENT: dict[str, str] = {
    "0x4ddc2d193948926d02f9b1fe9e1daa0718270ed5": ZERO,
    "0x5d3a536e4d6dbd6114cc1ead35777bab948e3643": "0x6b175474e89094c44da98b954eedeac495271d0f",  # DAI
    "0x39aa39c021dfbae8fac545936693ac917d5e7563": "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",  # USDC
    "0xf650c3d88d12db855b8bf7d11be6c55a4e07dcc9": "0xdac17f958d2ee523a2206206994597c13d831ec7",  # USDT
    "0xc11b1268c1a384e55c48c2391d8d480264a3a7f4": "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599",  # WBTC
    "0xccf4429db6322d5c611ee964527d42e5d685dd6a": "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599",  # WBTC, its second
    "0x35a18000230da775cac24873d00ff85bccded550": "0x1f9840a85d5af5bf1d1762f925bdaddc4201f984",  # UNI
    "0xface851a4921ce59e912d19329929ce6da6eb0c7": "0x514910771af9ca656af840dff83e8264ecf986ca",  # LINK
    "0x70e36f6bf80a52b3b46b3af8e106cc0ed743e8e4": "0xc00e94cb662c3520282e6f5717214004a7f26888",  # COMP
    "0x6c8c6b02e7b2be14d4fa6022dfd6d75921d90e4e": "0x0d8775f648430679a709e98d2b0cb6250d2887ef",  # BAT
    "0xb3319f5d18bc0d84dd1b4825dcde5d5f7266d407": "0xe41d2489571d322189246dafa5ebde1f4699f498",  # ZRX
}
"""cToken of Compound on Ethereum → what it lends, so that these need no node."""


def liquidation(log: Log, context: Context) -> Fields | Undecoded:
    """LiquidateBorrow(liquidator, borrower, repayAmount, cTokenCollateral, seizeTokens), none indexed."""
    if len(log.topics) != 1 or words(log.data) != 5:
        return Undecoded.BAD_LAYOUT
    market = log.address
    facts = context.pools.facts.pools.get(market)
    repaid = word(log.data, 2)
    lent, protocol = (facts.token0, facts.protocol) if facts else (None, "compound_v2")
    if facts is None and context.chain_id == 1:
        lent = LENT.get(market)
    if lent is None:
        context.pools.want("compound_v2", market, market)
        lent, protocol = context.pools.sold(log, market, repaid), "compound_v2_fork"
    return {
        "event_type": "liquidation",
        "protocol": protocol,
        "market": market,
        "from_address": address(log.data, 0),
        "to_address": address(log.data, 1),
        "token_out": address(log.data, 3),
        "amount_out_raw": amount(log.data, 4),
        **({"token_in": lent.lower(), "amount_in_raw": str(repaid)} if lent else {}),
    }


def _read(wanted: Wanted, answers: Answers) -> PoolFacts | None:
    underlying, comptroller = map(address_of, answers)
    if comptroller is None:
        return None
    # A market of the native coin has no underlying().
    return PoolFacts(protocol=COMPTROLLERS.get(comptroller, "compound_v2_fork"), token0=underlying or ZERO)


DECODERS: dict[str, Decoder] = {
    "0x298637f684da70674f26509b10f07ec2fbc77a335ab1e7d6215a4b2484d8bb52": liquidation,
}
QUESTIONS: dict[Family, Question] = {
    "compound_v2": Question(
        lambda wanted: [call(wanted.subject, name) for name in ("underlying()", "comptroller()")], _read
    )
}
