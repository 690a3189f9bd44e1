"""What decoding builds without validating it is what the schema would have made of it, for real blocks and for any logs."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from base.settings import ROOT
from ingest.build import EVENTS
from ingest.decode import Decoded, decode
from ingest.facts import Facts, Wanted
from ingest.files import read_blocks
from ingest.node.envelopes import pieces
from ingest.protocols import QUESTIONS, learn, requests
from models.chain import rules
from tests.unit.raw_logs import ALICE, BOB, POOLS, TX, USDC, WETH, raw, topic0, transfer_of, word
from tests.unit.test_ingest_protocols import SIGNATURES
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
ADDRESSES = st.sampled_from([USDC, WETH, *POOLS, "0x5d3a536e4d6dbd6114cc1ead35777bab948e3643", BOB])


@st.composite
def logs(draw: st.DrawFn) -> dict[str, Any]:
    """One of a known signature, most with as many words as that has, so that some are as their decoder wants them."""
    signature = draw(st.sampled_from(sorted(one for many in SIGNATURES.values() for one in many)))
    topics = draw(st.lists(WORDS, max_size=3))
    length = draw(st.sampled_from([max(0, words_of(signature) - len(topics))] * 5 + [0, 1, 5, 12]))
    data = draw(st.lists(WORDS, min_size=length, max_size=length))
    return {
        "address": draw(ADDRESSES),
        "topics": [topic0(signature), *("0x" + word(one) for one in topics)],
        "data": "0x" + "".join(map(word, data)) + draw(st.sampled_from(["", "", "ab"])),
        "transactionHash": TX,
        "transactionIndex": "0x3",
        "logIndex": draw(st.sampled_from(["0x7", "0x7fffffffffffffff"])),
    }


def words_of(signature: str) -> int:
    """How many words its arguments take, a list counted as two."""
    arguments = signature[signature.index("(") + 1 : -1].split(",")
    return sum(int(found[1] or 2) if (found := re.search(r"\[(\d*)\]", one)) else 1 for one in arguments)


FACTS = st.dictionaries(
    st.sampled_from([*POOLS, BOB, "0x5d3a536e4d6dbd6114cc1ead35777bab948e3643", *("0x" + word(one) for one in (0, 1, 32, 2**255))]),
    st.fixed_dictionaries(
        {"protocol": st.sampled_from(["uniswap_v2", "unknown_fork", "curve"])},
        optional={
            "token0": st.sampled_from([None, USDC]), "token1": st.sampled_from([None, WETH]),
            "tokens": st.sampled_from([[], [USDC], [USDC, WETH, ALICE]]), "underlying": st.sampled_from([[], [ALICE, USDC]]),
        },
    ),
)  # fmt: skip


def nothing_is_refused(block: Block) -> None:
    """By the rules that validate judges by."""
    context = rules.Context(now=2e9, chain_id=block.chain_id, number=block.number)
    for event in block.events:
        assert not rules.errors(event.model_copy(), context), event


def same_as_validated(decoded: Decoded) -> Block:
    """The block; and what is sent of it is the same, with all that is null left out."""
    block = decoded.block
    validated = Block.model_validate(block.model_dump())
    assert block == validated
    assert [type(one) for one in block.events] == [type(one) for one in validated.events]
    assert encode(block) == encode(validated) == encode(Block.model_validate_json(encode(block)))
    (sent,) = pieces(decoded)
    assert orjson.loads(sent) == orjson.loads(encode(block))
    return block


def test_real_blocks_are_built_as_they_are_validated() -> None:
    for one in read_blocks(ROOT / "samples" / "blocks"):
        nothing_is_refused(same_as_validated(one))


@settings(max_examples=200, deadline=None)
@given(st.lists(logs(), max_size=6), FACTS)
def test_any_logs_are_built_as_they_are_validated(found: list[dict[str, Any]], pools: dict[str, Any]) -> None:
    moved = [transfer_of(USDC, ALICE, BOB, 7), transfer_of(WETH, next(iter(POOLS)), ALICE, 2**256 - 1)]
    decoded = decode(raw(*found, *moved, pools=pools))
    nothing_is_refused(same_as_validated(decoded))
    assert len(decoded.events) + decoded.undecoded.total() == len(found) + 2


SMALL = st.integers(0, 2**63 - 1).map(hex)
HASHES = st.sampled_from(["0x" + "11" * 32, "0x" + "22" * 32, "0x" + "AB" * 32])
PARTIES = {"from": st.sampled_from([ALICE, BOB]), "to": st.sampled_from([ALICE, None, BOB])}
TRANSACTIONS = st.fixed_dictionaries(
    {"hash": HASHES, "transactionIndex": SMALL},
    optional={
        **PARTIES, "value": WORDS.map(hex), "gas": SMALL, "gasPrice": SMALL, "chainId": st.just("0x1"),
        "input": st.sampled_from(["0x", "0xab", "0xA9059CBB", "0xa9059cbb00", None]),
    },
)  # fmt: skip
RECEIPTS = st.fixed_dictionaries(
    {"transactionHash": HASHES, "transactionIndex": SMALL},
    optional={
        **PARTIES, "status": st.sampled_from(["0x0", "0x1", "0x01", None]), "gasUsed": SMALL, "effectiveGasPrice": SMALL,
        "logs": st.lists(logs(), max_size=2),
    },
)  # fmt: skip
BLOCKS = st.fixed_dictionaries(
    {"number": SMALL},
    optional={
        "hash": HASHES, "parentHash": HASHES, "timestamp": SMALL, "baseFeePerGas": SMALL, "miner": st.sampled_from([BOB, None]),
        "transactions": st.lists(st.one_of(HASHES, TRANSACTIONS), max_size=3),
    },
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(BLOCKS, st.lists(RECEIPTS, max_size=3))
def test_any_block_of_a_node_is_built_as_it_is_validated(block: dict[str, Any], receipts: list[dict[str, Any]]) -> None:
    same_as_validated(decode(orjson.dumps({"block": block, "receipts": receipts, "chain_id": 1})))


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
