"""Uniswap V2 and V3 on a local chain, and what people do there."""

from __future__ import annotations

from collections.abc import Sequence

from console.bench.chain import Chain, calldata

FACTORY, ROUTER = "0x5c69bee701ef814a2b6a3edd4b1652cb9cc5aa6f", "0x7a250d5630b4cf539739df2c5dacb4c659f2488d"
"""Of Uniswap V2 on Ethereum."""
FOREVER = 2**40
"""A deadline."""


def path(*tokens: str) -> tuple[int | str, ...]:
    """A dynamic array of addresses as the last argument."""
    return (len(tokens), *tokens)


class Uniswap:
    """Uniswap V2 and V3 with `tokens` tokens, all of them the first account's."""

    def __init__(self, chain: Chain, tokens: int = 3) -> None:
        self.chain = chain
        owner = chain.accounts[0]
        self.weth = chain.deploy("WETH9")
        # Where they stand on mainnet: a pair's address proves its tokens, and a router is known for one.
        self.factory = chain.place(FACTORY, chain.deploy("UniswapV2Factory", owner))
        self.router = chain.place(ROUTER, chain.deploy("UniswapV2Router02", self.factory, self.weth))
        self.factory3 = chain.deploy("UniswapV3Factory")
        self.manager = chain.deploy("NonfungiblePositionManager", self.factory3, self.weth, 0)
        self.router3 = chain.deploy("SwapRouter", self.factory3, self.weth)
        self.tokens = [chain.deploy("ERC20", 10**30) for _ in range(tokens)]
        for token in self.tokens:
            for spender in (self.router, self.manager, self.router3):
                self.approve(owner, token, spender)

    def approve(self, owner: str, token: str, spender: str) -> None:
        self.chain.send(owner, token, calldata("approve(address,uint256)", spender, -1))

    def give(self, token: str, to: str, amount: int) -> str:
        return self.chain.send(self.chain.accounts[0], token, calldata("transfer(address,uint256)", to, amount))

    def add_ether(self, token: str, amount: int, ether: int) -> str:
        """Liquidity of a token and ether, by the first account: the pair."""
        words = (token, amount, 0, 0, self.chain.accounts[0], FOREVER)
        data = calldata("addLiquidityETH(address,uint256,uint256,uint256,address,uint256)", *words)
        self.chain.send(self.chain.accounts[0], self.router, data, ether, gas=5_000_000)
        return self.pair(token, self.weth)

    def add(self, token0: str, token1: str, amount0: int, amount1: int) -> str:
        """Liquidity of two tokens, by the first account: the pair."""
        words = (token0, token1, amount0, amount1, 0, 0, self.chain.accounts[0], FOREVER)
        data = calldata("addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)", *words)
        self.chain.send(self.chain.accounts[0], self.router, data, gas=5_000_000)
        return self.pair(token0, token1)

    def pair(self, token0: str, token1: str) -> str:
        return f"0x{self.chain.read(self.factory, 'getPair(address,address)', token0, token1):040x}"

    def buy(self, sender: str, ether: int, tokens: Sequence[str], **more: int) -> str:
        """Sell ether along a path of tokens behind WETH: the transaction."""
        words = (0, 0x80, sender, FOREVER, *path(self.weth, *tokens))
        data = calldata("swapExactETHForTokens(uint256,address[],address,uint256)", *words)
        return self.chain.send(sender, self.router, data, ether, **more)

    def sell(self, sender: str, amount: int, token: str, **more: int) -> str:
        """Sell a token for ether: the transaction."""
        words = (amount, 0, 0xA0, sender, FOREVER, *path(token, self.weth))
        data = calldata("swapExactTokensForETH(uint256,uint256,address[],address,uint256)", *words)
        return self.chain.send(sender, self.router, data, **more)

    def open3(self, token0: str, token1: str, fee: int = 3000) -> str:
        """A V3 pool of two tokens at a price of 1."""
        words: tuple[int | str, ...] = (*sorted((token0, token1)), fee, 2**96)
        data = calldata("createAndInitializePoolIfNecessary(address,address,uint24,uint160)", *words)
        self.chain.send(self.chain.accounts[0], self.manager, data, gas=8_000_000)
        found = self.chain.read(self.factory3, "getPool(address,address,uint24)", *words[:3])
        return f"0x{found:040x}"

    def mint3(self, owner: str, token0: str, token1: str, amount: int, ticks: int, fee: int = 3000, **more: int) -> str:
        """Liquidity of `amount` of both tokens in -ticks to ticks: the transaction."""
        words: tuple[int | str, ...] = (
            *sorted((token0, token1)),
            fee,
            -ticks,
            ticks,
            amount,
            amount,
            0,
            0,
            owner,
            FOREVER,
        )
        signature = "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))"
        return self.chain.send(owner, self.manager, calldata(signature, *words), **{"gas": 1_500_000, **more})

    def burn3(self, owner: str, position: int, liquidity: int, **more: int) -> str:
        """Take liquidity out of a position: the transaction."""
        words = (position, liquidity, 0, 0, FOREVER)
        signature = "decreaseLiquidity((uint256,uint128,uint256,uint256,uint256))"
        return self.chain.send(owner, self.manager, calldata(signature, *words), **{"gas": 1_500_000, **more})

    def swap3(self, sender: str, token_in: str, token_out: str, amount: int, fee: int = 3000, **more: int) -> str:
        """Sell a token in a V3 pool: the transaction."""
        words = (token_in, token_out, fee, sender, FOREVER, amount, 0, 0)
        signature = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"
        return self.chain.send(sender, self.router3, calldata(signature, *words), **{"gas": 1_000_000, **more})
