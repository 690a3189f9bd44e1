"""The handlers of mev, blocks and alerts: revisions, replays, retractions, and input that only a schema has seen."""

from __future__ import annotations

import itertools
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import alerts, blocks, mev
from agents.agent import Record, Result, RowName
from agents.outlet import check_sizes
from agents.validate import Validator
from base.settings import ROOT
from ingest.files import read_blocks
from models.mev import detect
from tables.registry import MEV, BlockRow, MevRow
from tables.rows import Row
from tests.unit.by_hand import X, Y, address, block, burn, hash_of, liquidation, mint, swap
from tests.unit.handled import Runtime, calm_and_shaken, of_table, records
from tests.unit.wire import ALICE, NOW, TIME, encoded, envelope, tx
from topics.headers import get
from topics.registry import CHAIN_EVENTS
from topics.schemas.alerts import Alert
from topics.schemas.chain import Block, Swap
from topics.schemas.mev import Finding

SENDERS: dict[str, tuple[str, str | None]] = {
    "f": ("bot", "c"), "v": ("victim", None), "w": ("other", None), "b": ("bot", "c"),
}  # fmt: skip
FRONT, VICTIM, OTHER, BACK = (
    swap("f", 0, X, Y, 100, 1000), swap("v", 1, X, Y, 50, 400), swap("w", 2, X, Y, 50, 400), swap("b", 3, Y, X, 1000, 110),
)  # fmt: skip
NOTHING: list[dict[str, Any]] = [VICTIM]
ONE = [FRONT, VICTIM, BACK]
CHANGED = [FRONT, OTHER, BACK]
LARGER = [swap("g", 0, X, Y, 100, 1000), *ONE]
"""The same back with another first front: another id."""


def made(events: list[dict[str, Any]], revision: int, number: int = 7, status: str = "complete") -> Block:
    senders = {**SENDERS, "g": ("bot", "c")}
    return block(*events, senders=senders, revision=revision, number=number, status=status)


def saying(rows: dict[RowName, Row]) -> dict[RowName, Any]:
    """The rows in which something was found."""
    return {name: row.value for name, row in rows.items() if isinstance(row.value, MevRow) and row.value.findings}


def said(result: Result) -> list[tuple[str, str, int]]:
    """(first front's name, status, revision) of each finding put out."""
    told = [Finding.model_validate_json(output.value) for output in result.outputs]
    return [(bytes.fromhex(one.front[0][-2:]).decode(), one.status, one.revision) for one in told]


def test_every_kind_follows_the_revisions_of_its_block() -> None:
    cycle = [swap("a", 2, X, Y, 100, 300, pool=address("q"), log_index=20), swap("a", 2, Y, X, 300, 110, log_index=21)]
    moment = [mint("f", 0, log_index=1), burn("b", 3, log_index=35)]
    events = [FRONT, VICTIM, *cycle, liquidation("w", 5), *moment, BACK]
    runtime = Runtime(mev.AGENT)
    runtime.run(records([made(events, 5, status="partial")]))
    kinds = {"sandwich", "liquidation", "jit", "arbitrage", "backrun"}
    assert {one["kind"] for one in runtime.last_states().values()} == kinds
    assert {one["status"] for one in runtime.last_states().values()} == {"provisional"}
    runtime.run(records([made(events, 6)]))
    assert {one["kind"] for one in runtime.last_states().values() if one["status"] == "final"} == kinds
    runtime.run(records([made([event for event in events if event["event_type"] != "liquidation"], 7)]))
    assert {one["kind"] for one in runtime.last_states().values()} == kinds - {"liquidation"}
    runtime.run(records([made([], 8, status="removed")]))
    assert runtime.last_states() == {}
    row = runtime.rows[MEV, "1:7"].value
    assert isinstance(row, MevRow) and row.findings == []


def test_a_finding_its_row_and_where_it_is_looked_up() -> None:
    result = Runtime(mev.AGENT).run(records([made(ONE, 5)]))
    (output,), (row,) = result.outputs, of_table(result, MEV)
    assert (output.topic, output.key) == ("mev.findings", b"1:7")
    id = f"sandwich:1:7:{hash_of('f')}:{hash_of('b')}"
    assert get(output.headers, "ce_id") == f"{id}:5".encode()
    assert get(output.headers, "request_id") == b"r1" and get(output.headers, "other") is None
    assert Finding.model_validate_json(output.value) == detect(made(ONE, 5))[0]
    assert (row.table, row.key, row.version) == (MEV, "1:7", 5)
    assert {(pointer.index.name, pointer.key, pointer.score) for pointer in row.pointers} == {
        ("mev_by_chain", "1", 7),
        *(("mev_by_transaction", f"1:{hash_of(name)}", 7) for name in "fvb"),
        *(("mev_by_address", f"1:{address(name)}", 7) for name in ("bot", "c", "victim")),
        ("mev_by_pool", f"1:{VICTIM['pool']}", 7),
    }


def test_a_block_without_findings_leaves_an_empty_row_that_nothing_points_to() -> None:
    result = Runtime(mev.AGENT).run(records([made(NOTHING, 5)]))
    assert result.outputs == []
    (row,) = of_table(result, MEV)
    assert isinstance(row.value, MevRow)
    assert (row.key, row.version, row.value.findings, row.pointers) == ("1:7", 5, [], ())


def test_an_older_revision_told_late_changes_nothing() -> None:
    """A zombie tells of a sandwich after the block's removal, of which nothing was known but the removal."""
    runtime = Runtime(mev.AGENT)
    runtime.run(records([made(NOTHING, 20, status="removed")]))
    late = runtime.run(records([made(ONE, 15, status="partial")]))
    assert (late.outputs, late.rows) == ([], [])


def test_a_revision_confirms_changes_and_takes_back() -> None:
    runtime = Runtime(mev.AGENT)
    assert said(runtime.run(records([made(ONE, 5, status="partial")]))) == [("f", "provisional", 5)]
    assert said(runtime.run(records([made(CHANGED, 6)]))) == [("f", "final", 6)]
    assert said(runtime.run(records([made(LARGER, 7)]))) == [("g", "final", 7), ("f", "retracted", 7)]
    assert said(runtime.run(records([made(NOTHING, 8)]))) == [("g", "retracted", 8)]
    assert said(runtime.run(records([made(ONE, 9)]))) == [("f", "final", 9)]
    assert said(runtime.run(records([made(ONE, 10, status="removed")]))) == [("f", "retracted", 10)]
    row = runtime.rows[MEV, "1:7"].value
    assert isinstance(row, MevRow) and (row.findings, row.revision, row.status) == ([], 10, "removed")


def test_two_revisions_in_a_batch_and_an_older_one_after() -> None:
    runtime = Runtime(mev.AGENT)
    batch = records([made(ONE, 5), made(ONE, 5, number=8), made(NOTHING, 6), made(LARGER, 4)])
    result = runtime.run(batch)
    assert said(result) == [("f", "final", 5), ("f", "final", 5), ("f", "retracted", 6)]
    assert [(row.key, row.version) for row in of_table(result, MEV)] == [("1:7", 6), ("1:8", 5), ("1:7-8", 11)]
    assert said(runtime.run(records([made(ONE, 5)]))) == [], "older than what is held"


def test_the_same_revision_again_says_the_same() -> None:
    runtime = Runtime(mev.AGENT)
    first, second = runtime.run(records([made(ONE, 5)])), runtime.run(records([made(ONE, 5)]))
    assert first == second


histories = st.lists(
    st.tuples(
        st.sampled_from([7, 8]),
        st.sampled_from([NOTHING, ONE, CHANGED, LARGER]),
        st.sampled_from(["partial", "complete", "removed"]),
    ),
    min_size=1,
    max_size=8,
)


@given(histories, st.data())
@settings(max_examples=150, deadline=None)
def test_any_batches_and_replays_end_in_the_same_states_and_rows(history: list[Any], data: st.DataObject) -> None:
    stream = records([made(events, i + 1, number, status) for i, (number, events, status) in enumerate(history)])
    calm, shaken = calm_and_shaken(mev.AGENT, stream, data)
    assert shaken.last_states() == calm.last_states()
    assert saying(shaken.rows) == saying(calm.rows)
    expected: dict[str, Any] = {}
    for number in (7, 8):
        last = next((one.value for one in reversed(stream) if one.value.number == number), None)
        expected |= {one.id: one.model_dump(exclude={"revision"}) for one in (detect(last) if last else [])}
    assert calm.last_states() == dict(sorted(expected.items()))


BIG = 10**78 - 1
POOL = VICTIM["pool"]
some_address = st.sampled_from([address("bot"), address("c"), address("victim"), "0x" + "Ab" * 20, None])
some_hash = st.sampled_from([hash_of(name) for name in "fvwbs"] + ["0x" + "Cd" * 32])
index = st.sampled_from([None, 0, 1, 2, 3, 2**63 - 1])
raws = st.sampled_from(["-5", "0", "1", "1000", str(10**40), str(BIG), str(-BIG)])
values = {
    "transaction_hash": some_hash, "transaction_index": index, "log_index": index, "amount_in_raw": raws | st.none(),
    "amount_out_raw": raws | st.none(), "reserve0_raw": raws, "reserve1_raw": raws, "token_in": st.sampled_from([X, Y, "ETH"]),
    "token_out": st.sampled_from([X, Y]), "pool": st.sampled_from([POOL, "0x" + "Cd" * 20]), "sender": some_address,
    "recipient": some_address, "from_address": some_address, "to_address": some_address,
    "protocol": st.sampled_from(["uniswap_v2", "uniswap_v3", None]),
    "event_type": st.sampled_from(["sync", "swap", "mint", "burn", "liquidation", "transfer"]),
}  # fmt: skip
base = [
    event
    for one in (FRONT, VICTIM, OTHER, BACK)
    for event in (
        {**one, "event_type": "sync", "reserve0_raw": "1000000", "reserve1_raw": "9000000"},
        {**one, "from_address": address(SENDERS[bytes.fromhex(one["transaction_hash"][-2:]).decode()][0])},
    )
]
change = st.sampled_from(sorted(values)).flatmap(
    lambda name: st.tuples(st.integers(0, 99), st.just(name), values[name])
)


def changed(changes: list[tuple[int, str, Any]], doubled: int) -> list[dict[str, Any]]:
    """The events of a sandwich, some of them twice, with some fields of some events set to something else."""
    events = [dict(event) for event in (*base, *base[:doubled])]
    for place, name, value in changes:
        events[place % len(events)][name] = value
    for event in events:
        event.setdefault("reserve0_raw", "7")
        event.setdefault("reserve1_raw", "8")
    return events


some_events = st.builds(changed, st.lists(change, max_size=8), st.integers(0, len(base)))
any_block = st.fixed_dictionaries({
    "chain_id": st.sampled_from([0, 1, 2**63 - 1]), "number": st.sampled_from([0, 1, 2**63 - 2, 2**63 - 1]),
    "status": st.sampled_from(["complete", "partial", "removed"]), "revision": st.sampled_from([0, 5, 2**63 - 1]),
    "timestamp": st.sampled_from([None, -5, 2**62, 1.5e9, "2023-01-01T00:00:00", "2023-01-01T00:00:00Z"]),
    "hash": st.none() | some_hash, "events": some_events,
    "transactions": st.lists(
        st.fixed_dictionaries({"hash": some_hash, "index": st.integers(0, 9), "from_address": some_address}),
        max_size=4,
    ),
}).map(Block.model_validate)  # fmt: skip


@given(st.lists(any_block, min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_no_valid_block_makes_a_handler_raise(values: list[Block]) -> None:
    """And all that comes out is valid again, and the same when made again."""
    batch = records(values)
    first = Runtime(mev.AGENT).run(batch)
    assert first == Runtime(mev.AGENT).run(batch)
    findings = [Finding.model_validate_json(output.value) for output in first.outputs]
    assert len(Runtime(blocks.AGENT).run(batch).rows) == len({(one.chain_id, one.number) for one in values})
    for row in (*first.rows, *Runtime(blocks.AGENT).run(batch).rows):
        assert type(row.value).model_validate_json(row.stored) == row.value
    for output in Runtime(alerts.AGENT).run(records(findings, "mev.findings")).outputs:
        Alert.model_validate_json(output.value)


def test_the_block_row_counts_events() -> None:
    values = [one.block for one in read_blocks(ROOT / "samples" / "blocks" / "ethereum-18100000-real")]
    newer = values[0].model_copy(update={"revision": 9, "status": "removed"})
    (row,) = Runtime(blocks.AGENT).run(records([newer, *values])).rows
    told = row.value.model_dump()
    assert (row.key, row.version, told["status"], told["transactions"]) == ("1:18100000", 9, "removed", 99)
    assert told["events"] == dict(sorted(told["events"].items())) and told["events"]["swap"] == 31
    assert told["timestamp"] == 0x64FC9C13
    assert [(one.index.name, one.key, one.score) for one in row.pointers] == [("blocks_by_chain", "1", 18100000)]


def test_the_block_row_counts_prices_that_do_not_fit_their_pool() -> None:
    (real,) = [one.block for one in read_blocks(ROOT / "samples" / "blocks" / "ethereum-18100000-real")]
    result = blocks.AGENT.call(records([real]), {}, {})
    assert (cast(BlockRow, result.rows[0].value).warnings, result.warned) == ({}, {})
    changed = [
        event.model_copy(update={"amount_out_raw": f"{event.amount_out_raw}0"}) if isinstance(event, Swap) else event
        for event in real.events
    ]
    result = blocks.AGENT.call(records([real.model_copy(update={"events": changed})]), {}, {})
    assert cast(BlockRow, result.rows[0].value).warnings == result.warned
    assert result.warned["price_of_pool"] > 10


def leg(at: int, sold: str, bought: str, paid: int, got: int, **more: str) -> bytes:
    """A swap of the fewest bytes that tell of it."""
    one = {
        "event_type": "swap",
        "transaction_hash": tx(at),
        "transaction_index": at,
        "log_index": 2 * at + 1,
        "pool": tx(7),
    }
    amounts = {"amount_in_raw": str(paid), "amount_out_raw": str(got)}
    return encoded({**one, "token_in": sold, "token_out": bought, **amounts, **more})


@pytest.mark.parametrize("many", ["victims", "backs"])
def test_what_is_found_in_the_largest_block_fits_its_topics(many: str) -> None:
    """A finding may name every event of its block; one that did not fit would count as a fault of ours and end the worker."""
    bot = {"sender": ALICE, "protocol": "uniswap_v2"}
    sold, bought = "a", "b"
    reserves = {"token0": sold, "token1": bought, "reserve0_raw": str(10**54), "reserve1_raw": str(10**54)}
    first = {"event_type": "sync", "transaction_hash": tx(0), "transaction_index": 0, "log_index": 0, "pool": tx(7)}
    events = [encoded({**first, **reserves}), leg(0, sold, bought, 10**22, 9 * 10**21, **bot)]
    size = sum(map(len, events))
    for at in itertools.count(1):
        if many == "victims" or at == 1:
            events.append(leg(at, sold, bought, 10**29, 1, protocol="uniswap_v2"))
        else:
            events.append(leg(at, bought, sold, 9 * 10**16, 10**17, **bot))
        size += len(events[-1]) + 1
        if size > CHAIN_EVENTS.max_bytes - 2_000:
            break
    events.append(leg(at + 1, bought, sold, 9 * 10**21, 10**22, **bot))
    raw = encoded(envelope(timestamp=TIME)).replace(b'"events": []', b'"events": [' + b",".join(events) + b"]")
    assert CHAIN_EVENTS.max_bytes - 4_000 < len(raw) <= CHAIN_EVENTS.max_bytes

    (blocks_made,) = Validator(0, 1).handle([Record("chain.events", 0, 0, b"1", [], raw, None)], NOW).outputs
    value = Block.model_validate_json(blocks_made.value)
    found = mev.handle(records([value]), {})
    check_sizes(found)
    (finding,) = [Finding.model_validate_json(output.value) for output in found.outputs]
    assert len(finding.victims if many == "victims" else finding.back) > 10_000
    told = alerts.handle(records([finding], "mev.findings"), {})
    check_sizes(told)
