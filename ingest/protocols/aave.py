"""Liquidations of Aave V1, V2 and V3 and of the lending pools that copy them.

Source: LendingPoolLiquidationManager.sol of aave/aave-protocol (V1), ILendingPool.sol of protocol-v2, IPool.sol of aave-v3-core.
V2 and V3 log the same event, so which one it is follows from the address of the pool.
"""

from __future__ import annotations

from ingest.facts import Family, Question, native
from ingest.parts import Log
from ingest.protocols.base import Context, Decoder, Fields, Undecoded, address, amount, party, words

LENDING_POOLS = {
    "0x398ec7346dcd622edc5ae82352f02be94c62d119": "aave_v1",
    "0x7d2768de32b0b80b7a3454c06bdac94a69ddc7a9": "aave_v2",  # Ethereum
    "0x8dff5e27ea6b7ac08ebfdf9eb090f32ee9a30fcf": "aave_v2",  # Polygon
    "0x4f01aed16d97e3ab5ab2b501154dc9bb0f1a5a2c": "aave_v2",  # Avalanche
    "0x7937d4799803fbbe595ed57278bc4ca21f3bffcb": "aave_v2",  # Ethereum, AMM market
    "0x87870bca3f3fd6335c3f4ce8392d69350b4fa4e2": "aave_v3",  # Ethereum
    "0x794a61358d6845594f94dc1db02a252b5b4814ad": "aave_v3",  # Arbitrum, Avalanche, Optimism, Polygon
    "0xa238dd80c259a72e81d7e4664a9801593f98d1c5": "aave_v3",  # Base
    "0x6807dc923806fe8fd134338eabca509979a7e0cb": "aave_v3",  # BNB Chain
    "0xc13e21b648a5ee794902342038ff3adab66be987": "spark",  # Ethereum
}
"""Lending pool → protocol; one that is not here is called `aave_fork`."""


def liquidation(log: Log, context: Context) -> Fields | Undecoded:
    """LiquidationCall(collateral indexed, debt indexed, user indexed, debtToCover, collateral taken, liquidator, aToken)."""
    return _liquidation(log, log.topics, 4, 2)


def liquidation_v1(log: Log, context: Context) -> Fields | Undecoded:
    """LiquidationCall(collateral indexed, debt indexed, user indexed, purchase, taken, accrued, liquidator, aToken, time)."""
    return _liquidation(log, log.topics, 6, 3)


def _liquidation(log: Log, topics: list[str], length: int, liquidator: int) -> Fields | Undecoded:
    if len(topics) != 4 or words(log.data) != length:
        return Undecoded.BAD_LAYOUT
    market = log.address
    return {
        "event_type": "liquidation",
        "protocol": LENDING_POOLS.get(market, "aave_fork"),
        "market": market,
        "from_address": address(log.data, liquidator),
        "to_address": party(topics[3]),
        "token_in": native(party(topics[2])),
        "token_out": native(party(topics[1])),
        "amount_in_raw": amount(log.data, 0),
        "amount_out_raw": amount(log.data, 1),
    }


DECODERS: dict[str, Decoder] = {
    "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286": liquidation,
    "0x56864757fd5b1fc9f38f5f3a981cd8ae512ce41b902cf73fc506ee369c6bc237": liquidation_v1,
}
QUESTIONS: dict[Family, Question] = {}
