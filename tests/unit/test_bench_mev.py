"""What `soba bench mev` sends, and how benches choose and measure their rows."""

from __future__ import annotations

import re

import pytest
import typer

from console.bench.mev_blocks import FIRST_BLOCK, blocks, cycle
from console.bench.rows import chosen, measure
from console.local.errors import LocalError
from models.mev import detect
from topics.schemas.chain import Block


def test_blocks_follow_each_other_and_share_no_transaction() -> None:
    many, transactions, found = cycle()
    sent = list(blocks(many + 2))
    assert [one.number for one in sent] == list(range(FIRST_BLOCK, FIRST_BLOCK + many + 2))
    assert sum(one.transactions for one in sent[:many]) == transactions
    assert sum(len(one.findings) for one in sent[:many]) == found > many
    first, again = (Block.model_validate_json(sent[place].value) for place in (1, many + 1))
    assert (first.status, again.parent_hash) == ("complete", f"0x{again.number - 1:064x}")
    hashes = [{event.transaction_hash for event in block.events} for block in (first, again)]
    assert len(hashes[0]) == len(hashes[1]) and not hashes[0] & hashes[1]
    assert {one.hash for one in first.transactions} >= hashes[0]
    # Each is looked through as the sample that it was made of.
    assert len(detect(again)) == len(detect(first)) == len(sent[many + 1].findings)
    assert all(re.match(rf"\w+:1:{sent[1].number}:", id) for id in sent[1].findings)


class Noted:
    """What notes figures, for `measure`."""

    def __init__(self) -> None:
        self.said: list[tuple[str, float, str]] = []

    def add(self, name: str, value: float, unit: str, reference: str = "", pass_: str = "") -> None:
        self.said.append((name, value, pass_))


def test_a_row_that_cannot_be_measured_does_not_pass_and_the_others_are_there() -> None:
    def fails(bench: Noted) -> None:
        raise LocalError("no broker")

    bench = Noted()
    measure(bench, ["a", "b"], {"a": fails, "b": lambda bench: bench.add("fast", 5, "")})
    assert bench.said == [("a: could not be measured", 1, "= 0"), ("fast", 5, "")]


def test_rows_are_chosen_by_name() -> None:
    assert chosen(" a, b,,", ["a", "b"]) == ["a", "b"]
    with pytest.raises(typer.BadParameter, match="c: choose of a, b"):
        chosen("a,c", ["a", "b"])
