"""Losses in pools with concentrated liquidity: a pool of one range, written here, and one that is left."""

from __future__ import annotations

from typing import Any

import pytest

from base.settings import ROOT
from ingest.files import read_blocks
from models.mev import detect
from models.mev.prices import Q96
from tests.unit.by_hand import X, Y, block, hash_of, swap
from topics.schemas.mev import Finding

LIQUIDITY = 10**12
FEE = 3000
"""Millionths."""
BOT = {"f": ("bot", "c"), "v": ("victim", None), "s": ("seller", None), "w": ("other", None), "b": ("bot", "c")}


class Pool:
    """A pool of one range at price 1, by the formulas of SqrtPriceMath; X is token0."""

    def __init__(self) -> None:
        self.price = Q96
        self.events: list[dict[str, Any]] = []

    def trade(self, tx: str, sell_x: bool, paid: int) -> int:
        net = paid * (1_000_000 - FEE) // 1_000_000
        if sell_x:
            after = -(-LIQUIDITY * Q96 * self.price // (LIQUIDITY * Q96 + net * self.price))
            got = LIQUIDITY * (self.price - after) // Q96
        else:
            after = self.price + net * Q96 // LIQUIDITY
            got = LIQUIDITY * Q96 * (after - self.price) // (after * self.price)
        self.price = after
        state = {"sqrt_price_x96": str(after), "liquidity": str(LIQUIDITY), "tick": 0, "protocol": "uniswap_v3"}
        sold, bought = (X, Y) if sell_x else (Y, X)
        self.events.append(swap(tx, len(self.events), sold, bought, paid, got, **state))
        return got


def sandwiched(x_first: bool) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Swaps around two victims and a seller, and what each victim got and would have got without the bot."""
    real, calm = Pool(), Pool()
    bought = real.trade("f", x_first, 10**10)
    short = {}
    for tx, way, paid in (("v", x_first, 10**10), ("s", not x_first, 3 * 10**9), ("w", x_first, 2 * 10**10)):
        got = real.trade(tx, way, paid)
        short[tx] = calm.trade(tx, way, paid) - got
    real.trade("b", not x_first, bought)
    return real.events, {tx: short[tx] for tx in "vw"}


def losses(events: list[dict[str, Any]]) -> dict[str, int]:
    (one,) = (one for one in detect(block(*events, senders=BOT)) if one.kind == "sandwich")
    return {loss.transaction_hash: int(loss.amount_raw) for loss in one.losses}


@pytest.mark.parametrize("x_first", [True, False])
def test_losses_in_a_range_are_those_of_the_pool_without_the_attacker(x_first: bool) -> None:
    assert X < Y
    events, short = sandwiched(x_first)
    told = losses(events)
    assert told.keys() == {hash_of(tx) for tx in "vw"}
    for tx, amount in short.items():
        # The net input is read back from rounded prices: a few base units in 10^10.
        assert told[hash_of(tx)] == pytest.approx(amount, abs=5) and amount > 10**6


@pytest.mark.parametrize("change", ["another range", "another fee", "no price", "liquidity moved"])
def test_they_are_left_out_where_the_swaps_are_not_in_one_range(change: str) -> None:
    events, _ = sandwiched(True)
    if change == "another range":
        events[2]["liquidity"] = str(2 * LIQUIDITY)
    if change == "another fee":
        events[1]["amount_in_raw"] = str(int(events[1]["amount_in_raw"]) * 101 // 100)
    if change == "no price":
        del events[1]["sqrt_price_x96"]
    if change == "liquidity moved":
        moved = {name: events[1][name] for name in ("transaction_hash", "transaction_index", "pool")}
        events.append({**moved, "event_type": "mint", "log_index": 5})
    assert losses(events) == {}


def test_in_a_real_pool_the_fee_is_the_pools_and_the_loss_small() -> None:
    (decoded,) = read_blocks(ROOT / "samples" / "blocks" / "ethereum-18999999-real")
    one: Finding = detect(decoded.block)[0]
    (loss,) = one.losses
    got = next(
        e
        for e in decoded.block.events
        if e.event_type == "swap" and (e.transaction_hash, e.pool) == (loss.transaction_hash, loss.pool)
    )
    assert 0 < int(loss.amount_raw) * 100 < 2 * int(got.amount_out_raw or 0)
