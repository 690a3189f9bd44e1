"""Prices of swaps against their pool's reserves: real swaps keep them, changed ones do not."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from base.settings import ROOT
from ingest.files import read_blocks
from models.chain import reserves
from models.chain.reserves import warnings
from tests.unit.by_hand import POOL, X, Y, swap
from topics.schemas.chain import Block

Event = dict[str, Any]


@cache
def real_blocks() -> list[Block]:
    return [found.block for found in read_blocks(ROOT / "samples" / "blocks")]


def events(block: Block) -> list[Event]:
    return [vars(event) for event in block.events]


def pairs() -> list[tuple[Event, Event]]:
    """Every real swap whose pool said Sync right before it."""
    found = []
    for block in real_blocks():
        told = events(block)
        found += [
            (sync, swap)
            for sync, swap in pairwise(told)
            if (sync["event_type"], swap["event_type"]) == ("sync", "swap")
            and (sync["pool"], sync["log_index"] + 1) == (swap["pool"], swap["log_index"])
        ]
    return found


def test_no_real_swap_is_warned_of() -> None:
    """Of 779 swaps in the samples 629 are of V2 pools; 150 are of V3 pools, which say no Sync."""
    assert [found for block in real_blocks() if (found := warnings(events(block)))] == []
    compared = Counter(swap["protocol"] for _, swap in pairs())
    assert compared == {"uniswap_v2": 524, "sushiswap": 87, "shibaswap": 12, "uniswap_v2_fork": 6}


@pytest.mark.parametrize(
    ("change", "caught"),
    [
        (lambda paid, got: (got, paid), 1.0),  # the wrong way round
        (lambda paid, got: (paid, got * 10), 1.0),
        (lambda paid, got: (paid, got * 101 // 100), 1.0),
        (lambda paid, got: (paid * 99 // 100, got), 1.0),
        (lambda paid, got: (paid * 10**12, got), 1.0),  # the wrong decimals
        (lambda paid, got: (paid, max(1, got // 10)), 1.0),
        (lambda paid, got: (paid, got * 9 // 10), 0.97),  # within the price of a swap that moved the pool by as much
    ],
)
def test_changed_amounts_are_warned_of(change: Any, caught: float) -> None:
    told = 0
    for sync, real in pairs():
        paid, got = change(int(real["amount_in_raw"]), int(real["amount_out_raw"]))
        told += bool(warnings([sync, {**real, "amount_in_raw": str(paid), "amount_out_raw": str(got)}]))
    assert told / len(pairs()) >= caught


def sync(log_index: int | None, of_x: int, of_y: int, **more: Any) -> Event:
    like = swap("tx", 1, X, Y, 1, 1)
    head = {name: like[name] for name in ("transaction_hash", "transaction_index", "pool", "protocol")}
    held = {"reserve0_raw": str(of_x), "reserve1_raw": str(of_y)}
    return {**head, "event_type": "sync", "log_index": log_index, **held, **more}


# 1,000 X against 1,000 Y, 100 X sold: 1000 * 99.7 / (1000 + 99.7) = 90 Y.
FITTING = swap("tx", 1, X, Y, 100, 90)
AFTER = sync(9, 1_100, 910)


@pytest.mark.parametrize(
    ("got", "said"),
    [(90, None), (91, "a better price than the pool had before it"), (84, None), (83, "a worse price than the pool")],
)
def test_the_price_lies_between_those_before_and_after(got: int, said: str | None) -> None:
    found = warnings([sync(9, 1_100, 1_000 - got), swap("tx", 1, X, Y, 100, got)])
    assert (said is None and found == {}) or (said is not None and said in found[1].message)
    assert {fault.code for fault in found.values()} <= {reserves.CODE}


def test_more_than_the_pool_holds_cannot_have_come_in() -> None:
    (fault,) = warnings([sync(9, 100, 910), FITTING]).values()
    assert "more came in than the pool holds" in fault.message and fault.field == "amount_out"


def test_the_order_of_events_and_the_direction_do_not_matter() -> None:
    wrong = swap("tx", 1, X, Y, 100, 200)
    assert warnings([wrong, AFTER]).keys() == {0}
    assert warnings([sync(9, 910, 1_100), swap("tx", 1, Y, X, 100, 90)]) == {}
    assert warnings([sync(9, 910, 1_100), FITTING]).keys() == {1}


@pytest.mark.parametrize(
    "pair",
    [
        (sync(8, 1, 1), FITTING),  # not the log before it
        (sync(9, 1, 1, pool=X), FITTING),
        (sync(9, 1, 1, transaction_hash="0x" + "0" * 64), FITTING),
        (sync(None, 1, 1), {**FITTING, "log_index": None}),
        (sync(9, 1, 1), {**FITTING, "amount_in_raw": None}),
        (sync(9, 1, 1), {**FITTING, "protocol": "curve"}),
        (sync(9, 1, 1), {**FITTING, "token_in": "WETH"}),
        (sync(9, 1, 1, token0="A", token1="B"), FITTING),
    ],
)
def test_what_cannot_be_compared_is_not_warned_of(pair: tuple[Event, Event]) -> None:
    assert warnings(pair) == {}


def test_tokens_by_symbol_are_told_by_the_sync() -> None:
    sold = {**FITTING, "token_in": "WETH", "token_out": "DAI"}
    assert warnings([sync(9, 910, 1_100, token0="DAI", token1="WETH"), sold]) == {}
    assert warnings([sync(9, 910, 1_100, token0="WETH", token1="DAI"), sold]).keys() == {1}


def test_an_unknown_fork_may_take_another_fee() -> None:
    """Without any fee 100 X buy 90.9 Y; with one of 1 % the price is less than that of 0.3 % after it."""
    free = [sync(9, 1_100_000, 909_091), swap("tx", 1, X, Y, 100_000, 90_909)]
    assert warnings(free).keys() == {1}
    for protocol in ("uniswap_v2_fork", None):
        assert warnings([free[0], {**free[1], "protocol": protocol}]) == {}


def test_a_swap_may_name_its_pool_as_the_contract() -> None:
    named = {**FITTING, "pool": None, "contract_address": POOL}
    assert warnings([sync(9, 1, 1), named]).keys() == {1}
