"""What decoding builds without validating it is what the schema would have made of it, for real blocks and for any logs."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from base.settings import ROOT
from ingest.build import EVENTS
from ingest.decode import decode
from ingest.facts import Facts, Wanted
from ingest.files import read_blocks
from ingest.protocols import BY_TOPIC, QUESTIONS, learn, requests
from tests.unit.raw_logs import ALICE, BOB, POOLS, TX, USDC, WETH, raw, transfer_of, word
from topics.codecs import encode
from topics.schemas.chain import Block

WORDS = st.one_of(
    st.integers(0, 300),
    st.sampled_from([2**255, 2**256 - 1, 2**255 - 1, 2**160 - 1, 2**128, 2**63, 2**23, 2**256 - 2**23, 10**77]),
    st.integers(0, 2**256 - 1),
    st.integers(1, 2**64).map(lambda value: 2**256 - value),
    st.sampled_from([int(one, 16) for one in (USDC, WETH, ALICE, BOB, *POOLS)]),
    st.integers(0, 20).map(lambda at: 32 * at),
)
LENGTHS = st.sampled_from([0, 1, 2, 4, 5, 6, 7, 8, 11, 3, 9, 12])
ADDRESSES = st.sampled_from([USDC, WETH, *POOLS, "0x5d3a536e4d6dbd6114cc1ead35777bab948e3643", BOB])


@st.composite
def logs(draw: st.DrawFn) -> dict[str, Any]:
    topics = draw(st.lists(WORDS, max_size=3))
    data = draw(LENGTHS.flatmap(lambda length: st.lists(WORDS, min_size=length, max_size=length)))
    return {
        "address": draw(ADDRESSES),
        "topics": [draw(st.sampled_from(sorted(BY_TOPIC))), *("0x" + word(one) for one in topics)],
        "data": "0x" + "".join(map(word, data)) + draw(st.sampled_from(["", "", "ab"])),
        "transactionHash": TX,
        "transactionIndex": "0x3",
        "logIndex": draw(st.sampled_from(["0x7", "0x7fffffffffffffff"])),
    }


def same_as_validated(block: Block) -> None:
    validated = Block.model_validate(block.model_dump())
    assert block == validated
    assert [type(one) for one in block.events] == [type(one) for one in validated.events]
    assert encode(block) == encode(validated) == encode(Block.model_validate_json(encode(block)))


def test_real_blocks_are_built_as_they_are_validated() -> None:
    for one in read_blocks(ROOT / "samples" / "blocks"):
        same_as_validated(one.block)


@settings(max_examples=200, deadline=None)
@given(st.lists(logs(), max_size=6))
def test_any_logs_are_built_as_they_are_validated(found: list[dict[str, Any]]) -> None:
    moved = [transfer_of(USDC, ALICE, BOB, 7), transfer_of(WETH, next(iter(POOLS)), ALICE, 2**256 - 1)]
    decoded = decode(raw(*found, *moved))
    same_as_validated(decoded.block)
    assert len(decoded.block.events) + decoded.undecoded.total() == len(found) + 2


ANSWERS = st.one_of(
    st.none(),
    st.integers(),
    st.lists(st.one_of(st.none(), logs(), st.text()), max_size=2),
    st.text(max_size=70),
    st.lists(WORDS, max_size=8).map(lambda words: "0x" + "".join(map(word, words))),
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(QUESTIONS)), st.data())
def test_no_answer_of_a_node_breaks_anything(family: Any, data: st.DataObject) -> None:
    id = "0x" + "1d" * (32 if family in ("uniswap_v4", "morpho_blue") else 20)
    wanted = Wanted(family, id, "0x" + "cd" * 20)
    facts = Facts()
    learn(facts, wanted, [data.draw(ANSWERS) for _ in requests(wanted)])
    value = json.loads(raw(pools={}))
    pools = {pool: one.model_dump() for pool, one in facts.pools.items()}
    decode(orjson.dumps({**value, "pools": pools, "decimals": facts.decimals}))


@pytest.mark.parametrize("kind", EVENTS)
def test_every_event_type_has_its_model(kind: str) -> None:
    assert kind in EVENTS[kind].model_fields["event_type"].annotation.__args__  # type: ignore[union-attr]
