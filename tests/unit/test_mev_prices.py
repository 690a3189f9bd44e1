"""What tokens are worth, by the pools of a block."""

from __future__ import annotations

from typing import Any

import pytest

from models.mev.prices import Q96, Source
from models.mev.view import View
from tests.unit.by_hand import X, Y, Z, address, block, swap, sync

ETH = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
P1, P2 = address("p1"), address("p2")


def value(events: list[dict[str, Any]], **amounts: int) -> tuple[int, list[tuple[Source, str, tuple[str, ...]]]] | None:
    tokens = {"x": X, "y": Y, "z": Z, "eth": ETH}
    told = View(block(*events)).prices.value({tokens[name]: amount for name, amount in amounts.items()})
    return told and (told[0], [(price.source, price.wei, tuple(price.pools)) for price in told[1]])


def test_native_coin_is_worth_itself() -> None:
    assert value([], eth=5) == (5, [])
    assert View(block()).prices.value({address(""): -5}) == (-5, [])


def test_by_reserves_at_the_end_of_the_block() -> None:
    pair = {"token0": X, "token1": ETH, "pool": P1}
    early, late = sync("a", 1, 10, 1000, **pair), sync("b", 2, 100, 3000, **pair)
    told = (60, [("reserves", "30", (P1,))])
    assert value([late, early], x=2) == told
    assert value([late, early], x=-2, eth=100) == (40, told[1])


def test_by_the_root_of_a_price_and_by_a_swap() -> None:
    # sqrt(P) = 2 means 4 of token1 for one of token0, X.
    root = swap("a", 1, X, ETH, 1, 4, pool=P1, sqrt_price_x96=str(2 * Q96), liquidity="1000")
    assert value([root], x=10) == (40, [("sqrt_price", "4", (P1,))])
    small, large = swap("a", 1, ETH, X, 30, 10, pool=P1), swap("b", 2, X, ETH, 100, 200, pool=P1, log_index=21)
    assert value([small, large], x=10) == (20, [("swap", "2", (P1,))])


def test_the_deepest_pool_decides() -> None:
    shallow = sync("a", 1, 10, 900, token0=X, token1=ETH, pool=P1)
    deep = sync("b", 2, 1000, 3000, token0=X, token1=ETH, pool=P2)
    assert value([shallow, deep], x=2) == (6, [("reserves", "3", (P2,))])


def test_through_one_token_between() -> None:
    direct = sync("a", 1, 100, 1000, token0=Y, token1=ETH, pool=P1)
    further = swap("b", 2, X, Y, 10, 20, pool=P2)
    assert value([direct, further], x=5) == (100, [("swap", "20", (P2, P1))])
    assert value([further, swap("c", 3, X, Z, 1, 1)], x=5) is None


@pytest.mark.parametrize(
    "events",
    [
        [],
        [sync("a", 1, 10, 0, token0=X, token1=ETH, pool=P1)],
        [sync("a", 1, 1, 1000, token0=X, token1=ETH, pool=P1)],
        [sync("a", 1, 10, 1000, pool=P1)],
        [sync("a", 1, 10**78 - 1, 1, token0=X, token1=ETH, pool=P1)],
    ],
    ids=["unknown", "an empty pool", "more than the pool holds", "tokens unknown", "a price beyond the wire"],
)
def test_what_has_no_price(events: list[dict[str, Any]]) -> None:
    assert value(events, x=2, eth=1) is None
