"""Decimals of well-known tokens (their own `decimals()`), so that their amounts can be told in token units too."""

from __future__ import annotations

from topics.schemas.native import ZERO

DECIMALS: dict[int, dict[str, int]] = {
    1: {
        ZERO: 18,
        "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2": 18,  # WETH
        "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48": 6,  # USDC
        "0xdac17f958d2ee523a2206206994597c13d831ec7": 6,  # USDT
        "0x6b175474e89094c44da98b954eedeac495271d0f": 18,  # DAI
        "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599": 8,  # WBTC
        "0x1f9840a85d5af5bf1d1762f925bdaddc4201f984": 18,  # UNI
        "0x514910771af9ca656af840dff83e8264ecf986ca": 18,  # LINK
        "0x6b3595068778dd592e39a122f4f5a5cf09c90fe2": 18,  # SUSHI
        "0x95ad61b0a150d79219dcf64e1e6cc01f0b64c4ce": 18,  # SHIB
        "0x7fc66500c84a76ad7e9c93437bfc5ac33e2ddae9": 18,  # AAVE
        "0x9f8f72aa9304c8b593d555f12ef6589cc3a579a2": 18,  # MKR
        "0xc00e94cb662c3520282e6f5717214004a7f26888": 18,  # COMP
        "0xd533a949740bb3306d119cc777fa900ba034cd52": 18,  # CRV
        "0x5a98fcbea516cf06857215779fd812ca3bef1b32": 18,  # LDO
        "0x853d955acef822db058eb8505911ed77f175b99e": 18,  # FRAX
        "0xae7ab96520de3a18e5e111b5eaab095312d7fe84": 18,  # stETH
        "0x7f39c581f595b53c5cb19bd0b3f8da6c935e2ca0": 18,  # wstETH
        "0x6982508145454ce325ddbe47a25d4ec3d2311933": 18,  # PEPE
        "0x7d1afa7b718fb893db30a3abc0cfc608aacfebb0": 18,  # MATIC
        "0x89d24a6b4ccb1b6faa2625fe562bdd9a23260359": 18,  # SAI
        "0x0bc529c00c6401aef6d220be8c6ea1667f6ad93e": 18,  # YFI
        "0xc011a73ee8576fb46f5e1c5751ca3b9fe0af2a6f": 18,  # SNX
        "0x111111111117dc0aa78b770fa6a738034120c302": 18,  # 1INCH
        "0xeb4c2781e4eba804ce9a9803c67d0893436bb27d": 8,  # renBTC
        "0x2b591e99afe9f32eaa6214f7b7629768c40eeb39": 8,  # HEX
        "0x056fd409e1d7a124bd7017459dfea2f387b6d5cd": 2,  # GUSD
        "0x4fabb145d64652a948d72533023f6e7a623c7c53": 18,  # BUSD
    },
}
"""chain id → token, lower case → decimals."""
NATIVE_DECIMALS = {ZERO: 18}
"""Of a chain without well-known tokens."""


def units(raw: str, decimals: int) -> str:
    """`raw` base units as an exact decimal string: `units("1500000", 6) == "1.5"`."""
    if decimals == 0:
        return raw
    if raw[0] == "-":
        return "-" + units(raw[1:], decimals)
    digits = raw.rjust(decimals + 1, "0")
    fraction = digits[-decimals:].rstrip("0")
    return f"{digits[:-decimals]}.{fraction}" if fraction else digits[:-decimals]
