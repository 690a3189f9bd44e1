"""Sandwiches over two blocks as the mev agent tells them: in any order of blocks, revisions, removals and repeats."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import alerts, detections, mev
from agents.agent import Result
from models.mev import cross_block, detect, look
from tables.registry import MEV, MEV_TRADES, MevRow
from tests.unit.by_hand import X, Y, Z, address, block, hash_of, swap
from tests.unit.handled import Runtime, calm_and_shaken, of_table, records
from topics.headers import REQUEST_ID, get
from topics.schemas.alerts import Alert
from topics.schemas.chain import Block
from topics.schemas.mev import Finding
from topics.schemas.mev_question import DetectMev

BOT, MOB = ("bot", "c"), ("mob", "d")
SENDERS: dict[str, tuple[str, str | None]] = {
    "f": BOT, "b": BOT, "m": MOB, "n": MOB, "v": ("victim", None), "w": ("other", None), "o": ("one", None),
}  # fmt: skip
FRONT, VICTIM, BACK = swap("f", 0, X, Y, 100, 1000), swap("v", 1, X, Y, 50, 400), swap("b", 2, Y, X, 1000, 110)
AGAIN, ENDED = swap("m", 3, X, Y, 100, 1000), swap("n", 3, Y, X, 1000, 110)
"""The front of another, and its back."""
ELSEWHERE = swap("o", 0, X, Z, 1, 1, pool=Z)
CONTENTS: dict[str, list[dict[str, Any]]] = {
    "nothing": [ELSEWHERE],
    "front": [FRONT, VICTIM],
    "back": [BACK, ENDED],
    "both": [BACK, AGAIN, swap("w", 4, X, Y, 50, 400)],
}
Told = tuple[int, str, str]
"""A block's number, what is in it, and its status."""


def made(told: Told, revision: int, **more: Any) -> Block:
    """A block whose transactions have hashes of their own."""
    number, content, status = told
    events = [dict(event) for event in CONTENTS[content]]
    for event in events:
        event["transaction_hash"] = named(event["transaction_hash"], number)
    senders = {
        name: who
        for name, who in SENDERS.items()
        if any(hash_of(name)[-2:] == e["transaction_hash"][-2:] for e in events)
    }
    of = block(*events, senders=senders, number=number, status=status, revision=revision, **more)
    for one in of.transactions:
        one.hash = named(one.hash, number)
        one.index = next(e["transaction_index"] for e in events if e["transaction_hash"] == one.hash)
    return of


def named(hash: str, number: int) -> str:
    return f"0x{number:02x}{hash[4:]}"


def said(result: Result) -> list[tuple[list[int], str, int]]:
    """(blocks, status, revision) of each finding put out."""
    told = [Finding.model_validate_json(output.value) for output in result.outputs]
    return [(one.blocks or [one.block_number], one.status, one.revision) for one in told]


def feed(*told: Told, first: int = 1) -> tuple[Runtime, list[tuple[list[int], str, int]]]:
    """One block after another, each the next revision; the runtime and what the last one caused."""
    runtime, result = Runtime(mev.AGENT), Result()
    for revision, one in enumerate(told, first):
        result = runtime.run(records([made(one, revision)]))
    return runtime, said(result)


def test_it_is_told_when_the_second_comes_whichever_that_is() -> None:
    one, other = (7, "front", "complete"), (8, "back", "complete")
    for told in ((one, other), (other, one)):
        runtime, last = feed(*told)
        assert last == [([7, 8], "final", 3)]
        row = runtime.rows[MEV, "1:7-8"]
        assert isinstance(row.value, MevRow) and (row.version, row.value.number, row.value.status) == (3, 8, "complete")
        assert {(pointer.index.name, pointer.key, pointer.score) for pointer in row.pointers} == {
            ("mev_by_chain", "1", 8),
            *(("mev_by_transaction", f"1:{named(hash_of(n), at)}", 8) for n, at in (("f", 7), ("v", 7), ("b", 8))),
            *(("mev_by_address", f"1:{address(name)}", 8) for name in ("bot", "c", "victim")),
            ("mev_by_pool", f"1:{FRONT['pool']}", 8),
        }
    (output,) = runtime.outputs
    id = f"sandwich:1:8:7:{named(hash_of('f'), 7)}:{named(hash_of('b'), 8)}"
    assert output.key == b"1:8" and get(output.headers, "ce_id") == f"{id}:3".encode()


def test_a_block_may_end_one_and_begin_the_next() -> None:
    _, last = feed((7, "front", "complete"), (9, "back", "complete"), (8, "both", "complete"))
    assert last == [([7, 8], "final", 4), ([8, 9], "final", 5)]


@pytest.mark.parametrize("number, content", [(7, "front"), (8, "back")])
def test_either_block_confirms_changes_and_takes_back(number: int, content: str) -> None:
    """Each revision of either block says it anew, under a higher revision."""
    there: list[Told] = [(7, "front", "partial"), (8, "back", "partial")]
    other = next(one for one in there if one[0] != number)
    for status, told in (("complete", "provisional"), ("partial", "provisional"), ("removed", "retracted")):
        runtime, last = feed(*there, (number, content, status))
        assert last == [([7, 8], told, there.index(other) + 1 + 3)]
    assert runtime.last_states() == {}
    _, last = feed(*there, (number, "nothing", "complete"))
    assert [status for _, status, _ in last] == ["retracted"]
    _, last = feed(*there, (7, "front", "complete"), (8, "back", "complete"))
    assert [status for _, status, _ in last] == ["final"]
    _, last = feed(*there, (number, content, "removed"), (number, content, "complete"))
    assert [status for _, status, _ in last] == ["provisional"]


@pytest.mark.parametrize("number, content", [(7, "front"), (8, "back")])
def test_what_is_another_block_is_taken_back_when_the_trades_of_its_neighbour_are_gone(
    number: int, content: str
) -> None:
    """Trades are kept for a day, what was said for a week."""
    for changed, status in ((content, "removed"), ("nothing", "complete")):
        runtime, _ = feed((7, "front", "complete"), (8, "back", "complete"))
        del runtime.rows[MEV_TRADES, f"1:{15 - number}"]
        again = made((number, content, "complete"), number - 6)
        assert said(runtime.run(records([again]))) == [], "the same block again"
        other = made((number, changed, status), 3)
        last = said(runtime.run(records([other])))
        assert last == [([7, 8], "retracted", 3 + 9 - number)]
        assert runtime.last_states() == {} and runtime.rows[MEV, "1:7-8"].pointers == ()


def test_a_block_of_another_fork_is_no_neighbour() -> None:
    runtime = Runtime(mev.AGENT)
    first = made((7, "front", "complete"), 1, hash="0x" + "07" * 32)
    assert said(runtime.run(records([first]))) == []
    other = made((8, "back", "complete"), 2, parent_hash="0x" + "0a" * 32)
    assert said(runtime.run(records([other]))) == []
    second = made((8, "back", "complete"), 3, parent_hash="0x" + "07" * 32)
    assert said(runtime.run(records([second]))) == [([7, 8], "final", 4)]
    moved = first.model_copy(update={"hash": "0x" + "0b" * 32, "revision": 4})
    assert said(runtime.run(records([moved]))) == [([7, 8], "retracted", 7)], "its parent is gone"


def test_a_gap_is_no_neighbour_and_what_fills_it_neither() -> None:
    runtime, last = feed((7, "front", "complete"), (9, "back", "complete"), (8, "nothing", "complete"))
    assert last == [] and runtime.outputs == []


def test_an_older_revision_told_late_changes_nothing() -> None:
    runtime, _ = feed((7, "front", "complete"), (8, "nothing", "complete"), first=10)
    late = runtime.run(records([made((8, "back", "complete"), 5)]))
    assert (late.outputs, late.rows) == ([], [])


def test_what_a_stopped_worker_writes_late_is_older() -> None:
    """It knew one block and not the next, of which the later told one has the lower revision, as those that close together may."""
    calm = Runtime(mev.AGENT)
    batch = records([made((7, "front", "complete"), 12), made((8, "nothing", "complete"), 5)])
    before = calm.run([*records([made((8, "back", "complete"), 3)]), *batch[:1]])
    assert said(before) == [([7, 8], "final", 15)]
    assert said(calm.run(batch[1:])) == [([7, 8], "retracted", 17)]
    written = {row.key: row.version for row in of_table(before, MEV)}
    assert written["1:7-8"] < calm.rows[MEV, "1:7-8"].version


def test_the_alert_names_both_blocks() -> None:
    runtime, _ = feed((7, "front", "complete"), (8, "back", "complete"))
    findings = [Finding.model_validate_json(output.value) for output in runtime.outputs]
    (output,) = Runtime(alerts.AGENT).run(records(findings, "mev.findings")).outputs
    alert = Alert.model_validate_json(output.value)
    assert alert.text.startswith("Sandwich in blocks 7 and 8 on uniswap_v2: one trade was caught between ")
    assert (alert.entity, alert.args["earlier"]) == ("1:8", ["7"])


@pytest.mark.parametrize("number", [7, 8])
def test_a_question_about_either_block_is_answered_from_both(number: int) -> None:
    runtime, _ = feed((7, "front", "complete"), (8, "back", "complete"))
    hash = named(hash_of("v"), 7)
    asked = DetectMev.model_validate(
        {
            "op": "detect_mev",
            "target_tx": {"hash": hash, "blockNumber": number},
            "surrounding_txs": [],
            "known_blocks": [7, 8],
        }
    )
    (record,) = records([asked], "requests.chain")
    record = record._replace(headers=[(REQUEST_ID, b"r1")])
    names = detections.AGENT.keys([record])
    held = {name: runtime.rows[name].value if name in runtime.rows else None for name in names}
    (answer,) = detections.AGENT.call([record], held, {}).answers
    told = answer.value.model_dump()
    assert (told["is_mev"], told["role"], len(told["findings"])) == (True, "victim", 1)
    assert "found it in blocks 7 and 8 (final)" in told["evidence"][0]


histories = st.lists(
    st.tuples(
        st.sampled_from([7, 8, 9]),
        st.sampled_from(sorted(CONTENTS)),
        st.sampled_from(["partial", "complete", "removed"]),
    ),
    min_size=1,
    max_size=9,
)


@given(histories, st.data())
@settings(max_examples=150, deadline=None)
def test_any_batches_orders_and_replays_end_in_the_same_states_and_rows(
    history: list[Told], data: st.DataObject
) -> None:
    """Blocks come in any order, with any revisions."""
    revisions = data.draw(st.permutations(range(1, len(history) + 1)))
    stream = records([made(told, revision) for told, revision in zip(history, revisions, strict=True)])
    calm, shaken = calm_and_shaken(mev.AGENT, stream, data)
    assert shaken.last_states() == calm.last_states()
    assert {name: row.value for name, row in shaken.rows.items()} == {
        name: row.value for name, row in calm.rows.items()
    }
    # Whatever came when, it is what the newest revision of each block says.
    newest: dict[int, Block] = {}
    for record in stream:
        held = newest.get(record.value.number)
        if held is None or held.revision <= record.value.revision:
            newest[record.value.number] = record.value
    expected = [one for of in newest.values() for one in detect(of)]
    for number in (7, 8):
        if number in newest and number + 1 in newest:
            expected += cross_block.detect(look(newest[number])[1], look(newest[number + 1])[1])
    assert calm.last_states() == {
        one.id: one.model_dump(exclude={"revision"}) for one in sorted(expected, key=lambda one: one.id)
    }
    # One revision of an id never says two things.
    told: dict[bytes, bytes] = {}
    for output in (*calm.outputs, *shaken.outputs):
        assert told.setdefault(get(output.headers, "ce_id") or b"", output.value) == output.value
