"""What holds of any block: order of arrival does not matter, nothing raises, a removed block says nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from base.settings import ROOT
from ingest.decode import decode
from ingest.files import find_blocks, read
from models.mev import detect
from tests.unit.by_hand import X, Y, Z, address, block, burn, liquidation, mint, swap, sync, transfer
from topics.schemas.chain import Block

TOKENS: tuple[str, ...] = (X, Y, Z, "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", address(""), "ETH")
POOLS = tuple(address(f"pool{at}") for at in range(3))
PARTIES = (address("c"), address("bot"), address("bank"), address(""), POOLS[0])
PEOPLE = (("bot", "c"), ("bob", "c"), ("victim", None), ("lp", "d"))
SHAPES: tuple[tuple[dict[str, Any], ...], ...] = (
    (),
    (swap("t1", 1, X, Y, 100, 1000), swap("t2", 2, X, Y, 50, 400), swap("t4", 4, Y, X, 1000, 110)),
    (swap("t1", 1, X, Y, 50, 400), swap("t2", 2, X, Y, 100, 1000, pool=POOLS[0]), swap("t2", 2, Y, X, 1000, 110)),
    (
        swap("t3", 3, X, Z, 9, 90),
        swap("t3", 3, Z, Y, 90, 900, pool=POOLS[1]),
        swap("t3", 3, Y, X, 900, 12, pool=POOLS[2]),
    ),
)
"""A sandwich, an arbitrage behind a swap, and one of three swaps, for others to happen in between."""
amounts = st.one_of(st.integers(0, 2000), st.sampled_from((-1, 10**77)), st.none())


def _raw(value: int | None) -> str | None:
    return None if value is None else str(value)


@st.composite
def events(draw: st.DrawFn, log: int) -> dict[str, Any]:
    """One event of any type; places in the log are never shared."""
    tx = draw(st.integers(0, 7))
    at: dict[str, Any] = {"log_index": log, "pool": draw(st.sampled_from(POOLS))}
    if draw(st.booleans()):
        sold, bought = draw(st.sampled_from(TOKENS)), draw(st.sampled_from(TOKENS))
        at |= {
            "amount_in_raw": _raw(draw(amounts)),
            "amount_out_raw": _raw(draw(amounts)),
            "tick": draw(st.none() | st.integers(-5, 15)),
        }
        at |= {"sqrt_price_x96": _raw(draw(amounts)), "liquidity": _raw(draw(amounts))}
        return swap(f"t{tx}", tx, sold, bought, 1, 1, **at)
    made: Callable[..., dict[str, Any]] = draw(st.sampled_from((mint, burn, sync, transfer, liquidation)))
    if made is sync:
        return sync(f"t{tx}", tx, draw(st.integers(0, 9999)), draw(st.integers(0, 9999)), **at)
    if made is transfer:
        moved = draw(st.integers(0, 2000))
        source, target = draw(st.sampled_from(PARTIES)), draw(st.sampled_from(PARTIES))
        return transfer(f"t{tx}", tx, draw(st.sampled_from(TOKENS)), source, target, moved, log_index=log)
    if made is liquidation:
        return liquidation(f"t{tx}", tx, log_index=log, amount_in_raw=_raw(draw(amounts)))
    return made(f"t{tx}", tx, **at, amount0_raw=_raw(draw(amounts)), liquidity=_raw(draw(amounts)))


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """A block of some events, with or without what is known of its transactions."""
    shape = draw(st.sampled_from(SHAPES))
    told = [{**one, "log_index": 10 * at + 5} for at, one in enumerate(shape)]
    told += [draw(events(log)) for log in range(100, 100 + draw(st.integers(0, 16)))]
    senders = {f"t{at}": draw(st.sampled_from(PEOPLE)) for at in range(8)} if draw(st.booleans()) else {}
    made = block(
        *told,
        senders=senders,
        base_fee=draw(st.none() | st.just(10)),
        status=draw(st.sampled_from(("complete", "partial"))),
    )
    for at, transaction in enumerate(made.transactions):
        transaction.index = at
        transaction.gas_used, transaction.gas_price_wei = draw(
            st.sampled_from(((None, None), (21_000, 12), (21_000, 9)))
        )
        transaction.coinbase_transfer_wei = draw(st.sampled_from((None, "0", "5")))
        transaction.status = draw(st.sampled_from((None, 0, 1, 1)))
    return made


def told(of: Block) -> list[dict[str, Any]]:
    return [json.loads(one.model_dump_json()) for one in detect(of)]


@settings(max_examples=150, deadline=None)
@given(blocks(), st.randoms(use_true_random=False))
def test_nothing_raises_and_order_of_arrival_does_not_matter(of: Block, chance: random.Random) -> None:
    found = told(of)
    ids = [one["id"] for one in found]
    assert len(ids) == len(set(ids))
    assert all(one["status"] == ("final" if of.status == "complete" else "provisional") for one in found)
    shuffled = of.model_copy(update={"events": chance.sample(of.events, len(of.events))})
    assert told(shuffled) == found
    assert detect(of.model_copy(update={"status": "removed"})) == []


@pytest.mark.parametrize("file", find_blocks(ROOT / "samples" / "blocks")[::6], ids=lambda file: file.parent.name)
def test_real_blocks_in_any_order_give_the_same(file: Any) -> None:
    of = decode(read(file)).block
    events = [*of.events]
    random.Random(1).shuffle(events)
    assert told(of.model_copy(update={"events": events})) == told(of)
