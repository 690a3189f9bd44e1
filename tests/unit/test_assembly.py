"""Blocks as a fold over records: which of them changes a block, and what is too late."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from models.chain import assembly
from models.chain.assembly import Assembly
from models.chain.held import Held, same_content
from models.chain.rules import Context, errors, plain
from tests.unit.wire import ALICE, NOW, NUMBER, encoded, envelope, inside, swap, tx
from topics.codecs import decode_chain_events, decode_models

FORK = "0x" + "f1" * 32
quick = settings(max_examples=200, deadline=None)


def event(number: int = NUMBER, **more: object) -> dict[str, Any]:
    """A swap as the assembly gets it: parsed and in normal form."""
    (model,) = decode_models([swap(number, **more)])
    assert not errors(model, Context(NOW))
    return plain(model)


def add(blocks: Assembly, number: int, offset: int, now: float = NOW, **more: object) -> str:
    (verdict,) = blocks.events(1, number, [event(number, **more)], [offset], now)
    return verdict


def close(blocks: Assembly, now: float) -> list[tuple[int, int]]:
    """Close what closes, as validate does: (number, revision)."""
    closing = blocks.closing(now)
    for held in closing:
        blocks.closed(held, orjson.dumps(held.block()))
    return [(held.number, held.revision) for held in closing]


@quick
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 2)), max_size=60), st.data())
def test_too_late_is_what_is_below_the_lowest_of_the_highest_blocks(
    places: list[tuple[int, int]], data: st.DataObject
) -> None:
    held = 4
    with patch.object(assembly, "HELD_BLOCKS", held), patch.object(assembly, "SWEEP", data.draw(st.integers(0, 3))):
        blocks, seen = Assembly(), {1: set[int](), 2: set[int]()}
        for offset, (number, chain) in enumerate(places):
            highest = sorted(seen[chain], reverse=True)[:held]
            late = len(highest) == held and number < highest[-1]
            (found,) = blocks.events(chain, number, [event(number, log_index=offset)], [offset], NOW)
            assert (found == "too_late") == late
            if not late:
                seen[chain].add(number)
            if data.draw(st.booleans()):
                close(blocks, NOW + 10 * offset)


@quick
@given(st.lists(st.tuples(st.integers(1, 5), st.booleans(), st.sampled_from([0.0, 1.0, 3.0])), max_size=30))
def test_the_floor_is_the_first_record_that_is_not_given_out(steps: list[tuple[int, bool, float]]) -> None:
    """A model of its own: offsets of changing records by block, cleared when the block closes."""
    blocks, now = Assembly(), NOW
    waiting: dict[int, list[int]] = {}
    for offset, (number, closes, pause) in enumerate(steps):
        now += pause
        if add(blocks, number, offset, now, log_index=offset % 3) == "new":
            waiting.setdefault(number, []).append(offset)
        if closes:
            for gone, revision in close(blocks, now):
                assert waiting.pop(gone)[-1] == revision
        assert blocks.floor() == min((offsets[0] for offsets in waiting.values()), default=None)
        assert {held.number for held in blocks.open.values()} == set(waiting)


def test_what_changes_nothing_opens_nothing() -> None:
    blocks = Assembly()
    assert add(blocks, 1, 0, block_hash=FORK) == "new"
    close(blocks, NOW + 2)
    assert add(blocks, 1, 1) == "duplicate"
    assert add(blocks, 1, 2, amount_in="9") == "conflicting_duplicate"
    assert add(blocks, 1, 3, log_index=1, block_hash="0x" + "f2" * 32) == "other_fork"
    assert blocks.removed(1, 1, "0x" + "f2" * 32, 4, NOW) == "other_fork"
    assert blocks.floor() is None
    assert blocks.closing(NOW + 100) == []


def test_a_restored_block_refuses_what_it_holds_and_takes_what_came_later() -> None:
    blocks = Assembly()
    add(blocks, 1, 3)
    add(blocks, 1, 7, log_index=1)
    (held,) = blocks.closing(NOW + 2)
    value = orjson.dumps(held.block())

    again = Assembly()
    again.restore(1, 1, 7, value, committed=3)
    assert [held.number for held in again.restored(())] == [1]
    assert add(again, 1, 3) == "replayed"
    assert add(again, 1, 7, amount_in="9") == "replayed"
    assert add(again, 1, 8, log_index=1) == "duplicate"
    assert add(again, 1, 9, log_index=2) == "new"
    assert close(again, NOW + 2) == [(1, 9)]
    assert len(again.blocks[1, 1].block()["events"]) == 0  # only its bytes are kept
    again.blocks[1, 1].unpack()
    assert [e["log_index"] for e in again.blocks[1, 1].block()["events"]] == [0, 1, 2]


def test_a_revision_is_the_same_bytes_whether_or_not_a_restart_lies_before_it() -> None:
    """The hash came after the time in one life, and before it, from an envelope, in the other."""

    def give_out(blocks: Assembly) -> bytes:
        (held,) = blocks.closing(NOW + 2)
        value = orjson.dumps(held.block())
        blocks.closed(held, value)
        return value

    one = Assembly()
    add(one, 1, 3)
    add(one, 1, 5, log_index=1, block_hash=FORK)
    first = give_out(one)
    add(one, 1, 7, log_index=2)

    two = Assembly()
    two.restore(1, 1, 5, first, committed=3)
    assert len(list(two.restored(()))) == 1
    add(two, 1, 7, log_index=2)
    assert give_out(one) == give_out(two)


def test_what_a_restart_could_not_read_is_not_begun_anew() -> None:
    """Where chain.blocks holds more than was read, a block below it may be there already, complete."""

    def restored(whole: bool) -> Assembly:
        again = Assembly()
        for number in (5, 6):
            head = {"chain_id": 1, "number": number, "status": "complete", "revision": number}
            again.restore(1, number, number, orjson.dumps({**head, "events": [], "transactions": []}), committed=10)
        assert len(list(again.restored(() if whole else {1}))) == 2
        return again

    assert add(restored(whole=True), 4, 10) == "new"
    cut = restored(whole=False)
    assert add(cut, 4, 10) == "too_late"
    assert [add(cut, number, 11) for number in (5, 7)] == ["new", "new"]
    assert cut.events(2, 1, [event(1)], [12], NOW) == ["new"]  # nothing is known of that chain


def test_a_duplicate_leaves_a_block_packed() -> None:
    blocks = Assembly()
    add(blocks, 1, 0)
    close(blocks, NOW + 2)
    assert add(blocks, 1, 1) == "duplicate"
    assert not blocks.blocks[1, 1].packed
    close(blocks, NOW + 2)
    assert blocks.blocks[1, 1].packed and not blocks.blocks[1, 1].events
    assert add(blocks, 1, 2, log_index=1) == "new"
    assert close(blocks, NOW + 4) == [(1, 2)]
    blocks.blocks[1, 1].unpack()
    assert len(blocks.blocks[1, 1].events) == 2


def test_a_value_of_an_older_revision_does_not_bring_it_back() -> None:
    again = Assembly()
    for revision in (5, 9, 5):
        head = {"chain_id": 1, "number": 1, "status": "complete", "revision": revision}
        again.restore(1, 1, revision, orjson.dumps({**head, "events": [], "transactions": []}), committed=0)
    (held,) = again.restored(())
    assert held.revision == 9
    assert add(again, 1, 9) == "replayed"
    assert add(again, 1, 10) == "new"


def test_the_same_content_in_other_words() -> None:
    one = event()
    assert same_content(one, event(amount_in="1.50", gas_price="3e1"))
    assert same_content(one, event(event_id="x", observed_at=5, block_hash=FORK, timestamp=1_600_000_000))
    assert same_content(one, event(pool=ALICE, gas_used=None))  # what only one knows is no contradiction
    assert not same_content(one, event(amount_in="1.51"))
    assert not same_content(one, event(token_out=ALICE))
    assert not same_content(one, event(gas_used=120_001))


def test_the_revision_is_the_last_record_that_changed_the_block() -> None:
    blocks = Assembly()
    add(blocks, 1, 3)
    add(blocks, 1, 5, log_index=1)
    add(blocks, 1, 8, log_index=1)
    assert close(blocks, NOW + 2) == [(1, 5)]


def test_the_first_transaction_of_a_hash_wins_in_either_envelope() -> None:
    for status in ("complete", "partial"):
        twice = [{"hash": tx(1), "index": 0, "value_wei": "1"}, {"hash": tx(1), "index": 0, "value_wei": "2"}]
        (value,) = decode_chain_events([encoded(envelope(inside(swap()), status=status, transactions=twice))])
        blocks = Assembly()
        merge = blocks.complete if status == "complete" else blocks.partial
        merge(1, NUMBER, {}, value.transactions, value.events, 0, 1, NOW)
        assert [t["value_wei"] for t in blocks.blocks[1, NUMBER].block()["transactions"]] == ["1"]


def test_a_new_block_holds_nothing() -> None:
    held = Held(1, 2)
    assert (held.id, held.open, held.block()["events"]) == ((1, 2), False, [])


def test_a_block_is_assembled_of_so_many_events_and_no_more() -> None:
    """A block that grows without end would in the end not fit chain.blocks, and stop its partition."""
    blocks = Assembly()
    with patch.object(assembly, "ASSEMBLED_EVENTS", 2):
        assert [add(blocks, 7, n, log_index=n) for n in (0, 1)] == ["new", "new"]
        assert [add(blocks, 7, 2, log_index=1), add(blocks, 7, 3, log_index=2)] == ["duplicate", "too_large"]
        assert blocks.partial(1, 7, {}, [], [event(7, log_index=3)], 0, 9, NOW) == ("too_large", [])
    assert len(blocks.blocks[1, 7].events) == 2


def test_a_partial_envelope_adds_nothing_to_a_larger_block_and_is_told_as_the_event_alone_would_be() -> None:
    """Undisturbed it came first; a restart that reads it again must not refuse it for what came after it."""
    events = [event(7, log_index=n) for n in range(3)]
    with patch.object(assembly, "ASSEMBLED_EVENTS", 2):
        blocks = Assembly()
        assert blocks.partial(1, 7, {}, [], [dict(events[0])], 0, 10, NOW)[0] == "new"
        assert blocks.complete(1, 7, {}, [], [dict(e) for e in events], 0, 11, NOW)[0] == "new"
        assert blocks.partial(1, 7, {}, [], [dict(events[0])], 0, 12, NOW) == ("duplicate", [])
        assert blocks.partial(1, 7, {}, [], [event(7, log_index=3)], 0, 13, NOW) == ("too_large", [])
        (held,) = blocks.closing(NOW)
        again = Assembly()
        again.restore(1, 7, 11, orjson.dumps(held.block()), committed=10)
        assert len(list(again.restored(()))) == 1
        assert again.partial(1, 7, {}, [], [dict(events[0])], 0, 10, NOW) == ("replayed", [])


def test_a_chain_beyond_the_most_is_refused_and_those_held_go_on() -> None:
    blocks = Assembly()
    with patch.object(assembly, "CHAINS", 2):
        assert [blocks.events(chain, 7, [event(7)], [chain], NOW) for chain in (1, 2)] == [["new"], ["new"]]
        assert blocks.events(3, 7, [event(7)], [3], NOW) == ["too_many_chains"]
        assert blocks.complete(3, 7, {}, [], [], 0, 4, NOW) == ("too_many_chains", [])
        assert blocks.partial(3, 7, {}, [], [], 0, 5, NOW) == ("too_many_chains", [])
        assert blocks.removed(3, 7, None, 6, NOW) == "too_many_chains"
        assert blocks.events(2, 8, [event(8)], [7], NOW) == ["new"]
    assert set(blocks.heads) == {1, 2}


@quick
@given(st.lists(st.tuples(st.integers(1, 2), st.integers(1, 9), st.booleans()), max_size=40))
def test_a_window_says_which_of_its_blocks_are_written(steps: list[tuple[int, int, bool]]) -> None:
    """A model of its own: the highest numbers of each chain, and those of them that were closed."""
    with patch.object(assembly, "HELD_BLOCKS", 4):
        blocks = Assembly()
        seen: dict[int, set[int]] = {1: set(), 2: set()}
        written: dict[int, set[int]] = {1: set(), 2: set()}
        for offset, (chain, number, closes) in enumerate(steps):
            if blocks.events(chain, number, [event(number, log_index=offset)], [offset], NOW + offset) == ["new"]:
                seen[chain].add(number)
            for held in blocks.closing(NOW + offset) if closes else ():
                blocks.closed(held, orjson.dumps(held.block()))
                written[held.chain_id].add(held.number)
                top = sorted(seen[held.chain_id])[-4:]
                assert blocks.window(held.chain_id) == (top[0], len(written[held.chain_id].intersection(top)))
