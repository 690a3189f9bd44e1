"""What gas costs on a day: the median of its blocks' medians, whatever order and repeats they come in."""

from __future__ import annotations

from statistics import median_low
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import blocks
from agents.agent import Record, RowName
from models.chain.gas import DAY_S, ENOUGH, KEPT_BLOCKS, Day, bin_of
from tables.registry import GAS, GasRow
from tests.unit.wire import transaction
from topics.schemas.chain import Block

GWEI = 10**9


def test_a_price_is_known_from_enough_blocks_and_within_five_percent() -> None:
    day = Day()
    prices = [20 * GWEI + n**3 * GWEI // 50 for n in range(1_000)]
    for number, price in enumerate(prices):
        assert day.take(number, number, bin_of(price))
        median = day.median_wei()
        assert (median is not None) == (number + 1 >= ENOUGH)
        if median is not None:
            assert median == pytest.approx(median_low(prices[: number + 1]), rel=0.05)
    assert len(day.kept) == KEPT_BLOCKS and sum(day.bins.values()) == 1_000 - KEPT_BLOCKS


def test_a_block_that_says_something_else_or_is_removed() -> None:
    day = Day()
    for number in range(20):
        assert day.take(number, number, bin_of(GWEI))
    assert not day.take(7, 7, bin_of(GWEI)) and not day.take(7, 6, bin_of(9 * GWEI))
    assert day.take(7, 30, None) and not day.take(50, 50, None), "what tells no price is no block of it"
    assert len([price for _, _, price in day.kept if price is not None]) == 19
    for number in range(5):
        assert day.take(number, 40, None)
    assert day.median_wei() is None, "fourteen are left"
    assert day.take(200, 200, bin_of(GWEI)) and not day.take(3, 300, bin_of(GWEI)), "too late"


@given(st.permutations(range(40)), st.lists(st.integers(0, 39), max_size=20))
def test_in_any_order_and_however_often_a_day_ends_the_same(order: list[int], again: list[int]) -> None:
    calm, wild = Day(), Day()
    for number in range(40):
        calm.take(number, number, bin_of((1 + number) * GWEI))
    for number in (*order, *again):
        wild.take(number, number, bin_of((1 + number) * GWEI))
    assert wild == calm


def block(number: int, at: int | None, gwei: int, revision: int = 0, status: Any = "complete") -> Record:
    paid = [transaction(n, gas_price_wei=gwei * GWEI + n) for n in range(3)]
    told = {"chain_id": 1, "number": number, "status": status, "revision": revision or number, "timestamp": at}
    value = Block.model_validate({**told, "transactions": paid, "events": []})
    return Record("chain.blocks", 0, number, b"1", [], b"", value)


def run(rows: dict[RowName, Any], *batch: Record) -> list[GasRow]:
    """The rows of days that a batch writes; `rows` takes them in."""
    names = blocks.keys(batch)
    result = blocks.AGENT.call(batch, {name: rows.get(name) for name in names}, {})
    found = [row for row in result.rows if row.table is GAS]
    for row in found:
        assert isinstance(row.value, GasRow) and row.version == row.value.revision
        rows[GAS, row.key] = GasRow.model_validate_json(row.stored)
    return [row.value for row in found if isinstance(row.value, GasRow)]


def test_blocks_make_the_rows_of_their_days() -> None:
    rows: dict[RowName, Any] = {}
    batch = [block(number, DAY_S * (7 + number // 30), 20) for number in range(60)]
    assert [(row.day, len(row.kept), row.revision) for row in run(rows, *batch)] == [(7, 30, 29), (8, 30, 59)]
    assert rows.keys() == {(GAS, "1:7"), (GAS, "1:8")}
    assert run(rows, *batch) == [], "told again"
    (row,) = run(rows, block(59, DAY_S * 8, 0, revision=80, status="removed"))
    assert (row.revision, row.kept[-1]) == (80, (59, 80, None))
    assert run(rows, block(60, None, 20)) == [], "of no known day"
