"""Under which addresses a chain's native coin is traded: its wrapper, and the two addresses that stand for the coin itself."""

from __future__ import annotations

WRAPPERS: dict[int, str] = {
    1: "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2",
    10: "0x4200000000000000000000000000000000000006",
    56: "0xbb4cdb9cbd36b01bd1cbaebf2de08d9173bc095c",
    137: "0x0d500b1d8e8ef31e21c99d1db9a6444d3adf1270",
    8453: "0x4200000000000000000000000000000000000006",
    42161: "0x82af49447d8a07e3bd95bd0d56f35241523fbab1",
}
"""chain id → wrapped native token."""

ZERO = "0x0000000000000000000000000000000000000000"
COINS = frozenset({ZERO, "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"})
"""What stands for the coin itself: in Uniswap V4 pools the zero address, in Curve pools and Aave V1 the other."""
