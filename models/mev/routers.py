"""Contracts that many people trade through. To share one says nothing about who traded.

Ethereum mainnet addresses from the protocols' own deployment lists; CREATE2 puts several of them on other chains too.
Others are recognised by use: see `models.mev.legs`.
"""

from __future__ import annotations

ROUTERS: frozenset[str] = frozenset(
    {
        "0xf164fc0ec4e93095b804a4795bbe1e041497b92a",  # Uniswap V2 Router01
        "0x7a250d5630b4cf539739df2c5dacb4c659f2488d",  # Uniswap V2 Router02
        "0xe592427a0aece92de3edee1f18e0157c05861564",  # Uniswap V3 SwapRouter
        "0x68b3465833fb72a70ecdf485e0e4c7bd8665fc45",  # Uniswap SwapRouter02
        "0xef1c6e67703c7bd7107eed8303fbe6ec2554bf6b",  # Uniswap UniversalRouter
        "0x3fc91a3afd70395cd496c647d5a6cc9d4b2b7fad",  # Uniswap UniversalRouter V1.2
        "0x66a9893cc07d91d95644aedd05d03f95e1dba8af",  # Uniswap UniversalRouter V2
        "0x000000000004444c5dc75cb358380d2e3de08a90",  # Uniswap V4 PoolManager
        "0xd9e1ce17f2641f24ae83637ab66a2cca9c378b9f",  # SushiSwap Router
        "0x03f7724180aa6b939894b5ca4314783b0b36b329",  # ShibaSwap Router
        "0x13f4ea83d0bd40e75c8222255bc855a974568dd4",  # PancakeSwap SmartRouter
        "0x11111112542d85b3ef69ae05771c2dccff4faa26",  # 1inch V3
        "0x1111111254fb6c44bac0bed2854e76f90643097d",  # 1inch V4
        "0x1111111254eeb25477b68fb85ed929f73a960582",  # 1inch V5
        "0x111111125421ca6dc452d289314280a0f8842a65",  # 1inch V6
        "0xdef1c0ded9bec7f1a1670819833240f027b25eff",  # 0x ExchangeProxy
        "0x22f9dcf4647084d6c31b2765f6910cd85c178c18",  # 0x FlashWallet
        "0xdef171fe48cf0115b1d80b88dc8eab59176fee57",  # ParaSwap V5
        "0x9008d19f58aabd9ed0d60971565aa8510560ab41",  # CoW Settlement
        "0x881d40237659c251811cec9c364ef91dc08d300c",  # MetaMask Swap Router
        "0x74de5d4fcbf63e00296fd95d33236b9794016631",  # MetaMask Swap spender
        "0x6131b5fae19ea4f9d964eac0408e4408b66337b5",  # KyberSwap MetaAggregationRouterV2
        "0x80a64c6d7f12c47b7c66c5b4e20e72bc1fcd5d9e",  # Maestro Router
        "0x3328f7f4a1d1c57c35df56bbf0c9dcafca309c49",  # Banana Gun Router
        "0xdb5889e35e379ef0498aae126fc2cce1fbd23216",  # Banana Gun Router (first)
        "0xba12222222228d8ba445958a75a0704d566bf2c8",  # Balancer V2 Vault
        "0x99a58482bd75cbab83b27ec03ca68ff489b5788f",  # Curve Router
        "0x0000000000000000000000000000000000000000",
    }
)
"""Lower case."""
