"""Under which addresses a chain's native coin is traded: its wrapper, and the two addresses that stand for the coin itself."""

from __future__ import annotations

WRAPPERS: dict[int, str] = {
    1: "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2",
    10: "0x4200000000000000000000000000000000000006",
    56: "0xbb4cdb9cbd36b01bd1cbaebf2de08d9173bc095c",
    100: "0xe91d153e0b41518a2ce8dd3d7944fa863463a97d",
    130: "0x4200000000000000000000000000000000000006",
    137: "0x0d500b1d8e8ef31e21c99d1db9a6444d3adf1270",
    250: "0x21be370d5312f44cb42ce377bc9b8a0cef1a4c83",
    5000: "0x78c1b0c915c4faa5fffa6cabf0219da63d7f4cb8",
    8453: "0x4200000000000000000000000000000000000006",
    42161: "0x82af49447d8a07e3bd95bd0d56f35241523fbab1",
    43114: "0xb31f66aa3c1e785363f0875a1b74e27b85fd66c7",
    59144: "0xe5d7c2a44ffddf6b295a15c148167daaaf5cf34f",
    81457: "0x4300000000000000000000000000000000000004",
    534352: "0x5300000000000000000000000000000000000004",
}
"""chain id → wrapped native token."""

ZERO = "0x0000000000000000000000000000000000000000"
COINS = frozenset({ZERO, "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"})
"""What stands for the coin itself: in Uniswap V4 pools the zero address, in Curve pools and Aave V1 the other.

What `ingest` decodes says `ZERO` for either; other producers may send either.
"""
