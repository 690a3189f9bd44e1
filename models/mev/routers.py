"""Contracts that many people trade through. To share one says nothing about who traded.

From the protocols' own deployment lists: Ethereum's, of which CREATE2 puts several on other chains too, then those that only other
chains have. An address is one contract wherever it is anything, so no chain is asked for. Routers that are not here are recognised
by use: see `models.mev.legs`.
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
        "0x4752ba5dbc23f44d87826276bf6fd6b1c372ad24",  # Uniswap V2 Router02: Arbitrum, Avalanche, Base, BNB Chain
        "0x4a7b5da61326a6379179b40d00f57e5bbdc962c2",  # the same: Optimism
        "0xedf6066a2b290c185783862c7f4776a2c8077ad1",  # the same: Polygon
        "0x284f11109359a7e1306c3e447ef14d38400063ff",  # the same: Unichain
        "0x2626664c2603336e57b271c5c0b26f421741e481",  # Uniswap SwapRouter02: Base
        "0xb971ef87ede563556b2ed4b1c0b0019111dd85d2",  # the same: BNB Chain
        "0x73855d06de49d0fe4a9c42636ba96c62da12ff9c",  # the same: Unichain
        "0x198ef79f1f515f02dfe9e3115ed9fc07183f02fc",  # Uniswap UniversalRouter: Base
        "0x6ff5693b99212da76ad316178a184ab56d299b43",  # Uniswap UniversalRouter V2: Base
        "0x1906c1d672b88cd1b9ac7593301ca990f94eae07",  # the same: BNB Chain
        "0x1095692a6237d83c6a72f3f5efedb9a670c49223",  # the same: Polygon
        "0xef740bf23acae26f6492b10de645d6b98dc8eaf3",  # the same: Unichain
        "0x498581ff718922c3f8e6a244956af099b2652b2b",  # Uniswap V4 PoolManager: Base
        "0x360e68faccca8ca495c1b759fd9eee466db9fb32",  # the same: Arbitrum
        "0x67366782805870060151383f4bbff9dab53e5cd6",  # the same: Polygon
        "0x28e2ea090877bf75740558f6bfb36a5ffee9e9df",  # the same: BNB Chain
        "0x9a13f98cb987694c9f086b1f5eb990eea8264ec3",  # the same: Optimism
        "0x1f98400000000000000000000000000000000004",  # the same: Unichain
        "0x10ed43c718714eb63d5aa57b78b54704e256024e",  # PancakeSwap V2 Router: BNB Chain
        "0x1b02da8cb0d097eb8d57a175b88c7d8b47997506",  # SushiSwap Router: Arbitrum, BNB Chain, Polygon and others
        "0xa5e0829caced8ffdd4de3c43696c57f7d7a678ff",  # QuickSwap Router: Polygon
        "0xcf77a3ba9a5ca399b7c97c74d54e5b1beb874e43",  # Aerodrome Router: Base
        "0x60ae616a2155ee3d9a68541ba4544862310933d4",  # Trader Joe Router: Avalanche
        "0x0000000000000000000000000000000000000000",  # no router but nobody, whom tokens come from and go to
    }
)
"""Lower case."""
