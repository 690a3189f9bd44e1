"""The runtime's decisions: who is guilty, when enough is enough, which rows are known. Kafka and Redis are tests/chaos's.

`Shelf` stands where the outlet does: it keeps what it is given, and rows newer-wins.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from agents import outlet
from agents.activity import Activity
from agents.agent import Agent, Output, Record, Result, RowName, Rows
from agents.outlet import Outlet, Stopped
from agents.runtime import CONSECUTIVE_ERRORS, DeadLetterLimit, Runner
from base.exits import EXIT_DEAD_LETTERS
from base.settings import Settings
from models.releases import Models, load
from tables.registry import BLOCKS, MEV, BlockRow, MevRow, Table
from tables.rows import Row
from tests.linear import release, served
from tests.unit.handled import OnItsWay
from topics import clients
from topics.registry import ALERTS, REQUESTS_DATA, max_bytes

TOO_MUCH = b" " * (max_bytes(ALERTS.name) + 1)


class Left(Exception):
    """The process would have ended."""


class Shelf:
    """An outlet in memory. `refuse` are keys of rows that somebody else has written newer."""

    def __init__(self) -> None:
        self.activity = Activity()
        self.given: list[Result] = []
        self.finished: list[Result] = []
        self.rows: dict[RowName, BaseModel | None] = {}
        self.reads: list[list[str]] = []
        self.refuse: set[str] = set()
        self.stopped = False
        self.models: Callable[[], Models] = dict

    def give(self, agent: str, result: Result) -> list[int]:
        return self.giving(agent, result).finish()

    def giving(self, agent: str, result: Result) -> OnItsWay:
        """Outputs are out at once, rows are there when it is finished."""
        if self.stopped:
            raise Stopped
        self.given.append(result)

        def finish() -> list[int]:
            if self.stopped:
                raise Stopped
            self.finished.append(result)
            refused = [place for place, row in enumerate(result.rows) if row.key in self.refuse]
            for place, row in enumerate(result.rows):
                if place not in refused:
                    self.rows[row.table, row.key] = row.value
            return refused

        return OnItsWay(finish)

    def read(self, agent: str, names: Sequence[RowName]) -> dict[RowName, BaseModel | None]:
        self.reads.append([key for _, key in names])
        return {name: self.rows.get(name) for name in names}

    def end(self, code: int, why: str) -> None:
        outlet.leave(code, why)

    @property
    def outputs(self) -> list[str]:
        """Keys of what went out, in order."""
        return [output.key.decode() for result in self.given for output in result.outputs]

    @property
    def letters(self) -> list[tuple[int, str]]:
        """Offset and reason of each dead letter, in order."""
        return [(letter.record.offset, letter.reason) for result in self.given for letter in result.dead_letters]


@pytest.fixture(autouse=True)
def left(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(code: int, why: str) -> None:
        raise Left(code)

    monkeypatch.setattr(outlet, "leave", leave)


def record(offset: int, events: Sequence[Any] = (), raw: bytes | None = None) -> Record:
    value = json.dumps({"op": "validate_events", "events": list(events)}).encode()
    return Record(REQUESTS_DATA.name, 0, offset, b"k", [], value if raw is None else raw, None)


def block(key: str, revision: int, many: int = 0) -> Row:
    value = BlockRow(
        chain_id=1, number=1, revision=revision, status="complete", transactions=many, events={}, rejected=0
    )
    return Row(BLOCKS, key, revision, value)


def runner(
    handle: Callable[[Sequence[Record], Rows], Result],
    keys: Callable[[Sequence[Record]], list[RowName]] = lambda batch: [],
    own: tuple[Table, ...] = (BLOCKS,),
) -> tuple[Runner, Shelf]:
    shelf = Shelf()
    return Runner(Agent("test", REQUESTS_DATA, handle, keys, own), cast(Outlet, shelf)), shelf


def tell(batch: Iterable[Record], value: bytes = b"{}") -> Result:
    return Result(outputs=[Output(ALERTS.name, str(record.offset).encode(), value) for record in batch])


def guilty_when(guilty: set[int]) -> Callable[[Sequence[Record], Rows], Result]:
    def handle(batch: Sequence[Record], rows: Rows) -> Result:
        found = guilty & {record.offset for record in batch}
        if found:
            raise RuntimeError(f"cannot do {found}")
        return tell(batch)

    return handle


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 80), st.sets(st.integers(0, 79), max_size=9))
def test_halving_finds_exactly_the_guilty_and_keeps_the_order(many: int, guilty: set[int]) -> None:
    work, shelf = runner(guilty_when(guilty))
    work.process([record(offset) for offset in range(many)])
    assert shelf.letters == [(offset, "handler_error") for offset in range(many) if offset in guilty]
    assert shelf.outputs == [str(offset) for offset in range(many) if offset not in guilty]
    assert (shelf.activity.handled, shelf.activity.failed) == (
        many - len(guilty & {*range(many)}),
        len(guilty & {*range(many)}),
    )


def test_a_dead_letter_says_what_was_raised_and_keeps_the_bytes() -> None:
    work, shelf = runner(guilty_when({1}))
    work.process([record(0), record(1)])
    (letter,) = [letter for result in shelf.given for letter in result.dead_letters]
    assert letter.raw == record(1).raw
    assert letter.detail == "RuntimeError: cannot do {1}"


def test_a_record_whose_output_is_too_large_is_guilty_and_nothing_of_it_goes_out() -> None:
    def handle(batch: Sequence[Record], rows: Rows) -> Result:
        result = tell(batch)
        large = [record for record in batch if record.offset == 2]
        result.outputs += tell(large, TOO_MUCH).outputs
        return result

    work, shelf = runner(handle)
    work.process([record(offset) for offset in range(5)])
    assert shelf.letters == [(2, "handler_error")]
    assert shelf.outputs == ["0", "1", "3", "4"]


def test_who_cannot_name_rows_is_guilty_and_others_get_theirs() -> None:
    """A handler that was given no rows would take what is there for absent, and write over it."""

    def keys(batch: Sequence[Record]) -> list[RowName]:
        if any(record.offset == 1 for record in batch):
            raise KeyError("no name")
        return [(BLOCKS, str(record.offset)) for record in batch]

    seen: dict[RowName, BaseModel | None] = {}

    def handle(batch: Sequence[Record], rows: Rows) -> Result:
        seen.update({(BLOCKS, str(record.offset)): rows.get((BLOCKS, str(record.offset))) for record in batch})
        return tell(batch)

    work, shelf = runner(handle, keys)
    shelf.rows = {(BLOCKS, str(n)): block(str(n), 5).value for n in range(4)}
    work.process([record(offset) for offset in range(4)])
    assert shelf.letters == [(1, "handler_error")]
    assert seen == {(BLOCKS, str(n)): block(str(n), 5).value for n in (0, 2, 3)}


def test_what_fits_no_schema_is_refused_and_the_rest_goes_on() -> None:
    work, shelf = runner(lambda batch, rows: tell(batch))
    bad = [record(1, raw=b"{"), record(2, raw=b'{"op":"x","events":[]}'), record(3, raw=b""), record(4, raw=b"\xff")]
    work.process([record(0), *bad, record(5)])
    assert shelf.letters == [(1, "malformed_json"), (2, "wrong_schema"), (3, "malformed_json"), (4, "malformed_json")]
    assert shelf.outputs == ["0", "5"]


def test_refusals_never_end_the_process() -> None:
    work, shelf = runner(lambda batch, rows: tell(batch))
    for start in range(0, 400, 40):
        work.process([record(offset, raw=b"{") for offset in range(start, start + 40)])
    assert len(shelf.letters) == 400
    assert shelf.activity.failed == 0


def test_ten_errors_in_a_row_end_the_process() -> None:
    work, shelf = runner(guilty_when({*range(3, 50)}))
    with pytest.raises(Left) as end:
        work.process([record(offset) for offset in range(50)])
    assert end.value.args == (EXIT_DEAD_LETTERS,)
    assert len(shelf.letters) == CONSECUTIVE_ERRORS - 1


def test_a_stop_is_nobodys_fault() -> None:
    work, shelf = runner(lambda batch, rows: tell(batch))
    shelf.stopped = True
    with pytest.raises(Stopped):
        work.process([record(0), record(1)])
    assert shelf.letters == []


def test_what_a_stop_broke_off_does_not_pass_for_confirmed() -> None:
    work, shelf = runner(lambda batch, rows: tell(batch))
    work.begin([record(0)])
    shelf.stopped = True
    for _ in range(2):
        with pytest.raises(Stopped):
            work.finish()
    assert shelf.finished == [] and shelf.activity.handled == 0


# The limit


def test_nine_in_a_row_are_borne_and_a_good_record_ends_the_row() -> None:
    limit = DeadLetterLimit()
    for _ in range(5):
        assert not any(limit.error() for _ in range(9))
        limit.fine(1)
    assert [limit.error() for _ in range(10)] == [False] * 9 + [True]


def test_one_percent_of_the_last_ten_thousand_is_too_much() -> None:
    limit = DeadLetterLimit()
    told = []
    for _ in range(100):
        limit.fine(99)
        told.append(limit.error())
    assert told == [False] * 99 + [True]


def test_less_than_one_percent_goes_on_for_ever() -> None:
    limit = DeadLetterLimit()
    for _ in range(1_000):
        limit.fine(101)
        assert not limit.error()
    assert len(limit.errors) <= 100


# Rows


def counting(batch: Sequence[Record], rows: Rows) -> Result:
    """Counts records in the row their first event names."""
    result = Result()
    counts: dict[str, int] = {}
    for one in batch:
        key = one.value.events[0]
        held = rows[BLOCKS, key]
        start = held.transactions if isinstance(held, BlockRow) else 0
        counts[key] = counts.get(key, start) + 1
    result.rows = [block(key, batch[-1].offset, many) for key, many in counts.items()]
    return result


def first_event(batch: Sequence[Record]) -> list[RowName]:
    return [(BLOCKS, record.value.events[0]) for record in batch]


def total(shelf: Shelf, key: str) -> int:
    row = shelf.rows[BLOCKS, key]
    assert isinstance(row, BlockRow)
    return row.transactions


def test_own_rows_are_read_once_and_known_after_a_write() -> None:
    work, shelf = runner(counting, first_event)
    shelf.rows[BLOCKS, "a"] = block("a", 0, 7).value
    work.process([record(1, ["a"]), record(2, ["b"]), record(3, ["a"])])
    work.process([record(4, ["b"]), record(5, ["a"])])
    assert shelf.reads[0] == ["a", "b"]
    assert not any(shelf.reads[1:])
    assert (total(shelf, "a"), total(shelf, "b")) == (10, 2)


def test_a_batch_is_handled_while_the_one_before_is_under_way_and_goes_out_after_it_is_confirmed() -> None:
    seen: list[tuple[int, int]] = []

    def handle(batch: Sequence[Record], rows: Rows) -> Result:
        seen.append((len(shelf.given), len(shelf.finished)))
        return counting(batch, rows)

    work, shelf = runner(handle, first_event)
    for offset in range(3):
        work.begin([record(offset, ["a"])])
        assert shelf.finished == shelf.given[:-1]
    assert seen == [(0, 0), (1, 0), (2, 1)]
    assert shelf.reads[1:] == [[], []]  # what is not written is known
    work.begin([])
    assert shelf.finished == shelf.given and total(shelf, "a") == 3


def test_an_assignment_forgets_nothing_that_is_not_written_yet() -> None:
    work, shelf = runner(counting, first_event)
    work.begin([record(1, ["a"])])
    work.assigned()
    work.begin([record(2, ["a"])])
    work.finish()
    assert total(shelf, "a") == 2


@pytest.mark.parametrize("bad", [b"{", None], ids=["fits no schema", "the handler fails"])
def test_what_comes_before_a_bad_record_is_confirmed_before_it_is_set_aside(bad: bytes | None) -> None:
    def handle(batch: Sequence[Record], rows: Rows) -> Result:
        if bad is None and batch[0].offset == 1:
            raise RuntimeError("cannot")
        return counting(batch, rows)

    work, shelf = runner(handle, first_event)
    work.begin([record(0, ["a"])])
    work.begin([record(1, ["a"]) if bad is None else record(1, raw=bad)])
    assert total(shelf, "a") == 1 and [offset for offset, _ in shelf.letters] == [1]


def test_rows_of_others_are_read_anew_for_each_batch() -> None:
    seen: list[BaseModel | None] = []

    def handle(batch: Sequence[Record], rows: Rows) -> Result:
        seen.extend(rows.values())
        return Result()

    work, shelf = runner(handle, lambda batch: [(MEV, "a")])
    rows = [MevRow(chain_id=1, number=1, revision=n, status="complete", findings=[]) for n in range(2)]
    for offset, row in enumerate(rows):
        shelf.rows[MEV, "a"] = row
        work.process([record(offset)])
    assert seen == rows


def test_an_assignment_forgets_all_rows() -> None:
    work, shelf = runner(counting, first_event)
    work.process([record(1, ["a"])])
    shelf.rows[BLOCKS, "a"] = block("a", 2, 40).value  # by who had the partition meanwhile
    work.assigned()
    work.process([record(3, ["a"])])
    assert total(shelf, "a") == 41


def test_a_row_that_was_refused_is_read_again() -> None:
    work, shelf = runner(counting, first_event)
    work.process([record(1, ["a"])])
    shelf.rows[BLOCKS, "a"] = block("a", 90, 40).value
    shelf.refuse = {"a"}
    work.process([record(2, ["a"])])
    shelf.refuse = set()
    work.process([record(3, ["a"])])
    assert total(shelf, "a") == 41


def test_what_was_made_from_a_row_that_is_refused_meanwhile_is_made_anew() -> None:
    work, shelf = runner(counting, first_event)
    work.process([record(1, ["a"])])
    shelf.rows[BLOCKS, "a"] = block("a", 3, 40).value
    shelf.refuse = {"a"}
    work.begin([record(2, ["a"])])
    work.begin([record(4, ["a"])])  # handled while it is not known yet that Redis has a newer one
    shelf.refuse = set()
    work.finish()
    assert total(shelf, "a") == 41 and shelf.activity.handled == 3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5), max_size=12), st.integers(1, 4), st.booleans()
)
def test_a_small_cache_loses_nothing(batches: list[list[str]], cached: int, one_by_one: bool) -> None:
    """Above all not a row of the batch in hand that is among the oldest, nor one of the batch before that is not written yet."""
    work, shelf = runner(counting, first_event)
    work.agent = replace(work.agent, cached=cached)
    offset = 0
    for keys in batches:
        do = work.process if one_by_one else work.begin
        do([record(offset + n, [key]) for n, key in enumerate(keys)])
        offset += len(keys)
    work.finish()
    every = [key for keys in batches for key in keys]
    assert {key: total(shelf, key) for key in set(every)} == {key: every.count(key) for key in set(every)}


# Models


def test_a_batch_sees_the_models_of_one_moment_also_where_it_is_halved(tmp_path: Path) -> None:
    """A release in the middle of a batch: what the batch says must all come from one model, and the next from the new one."""
    one, shelf = served(tmp_path), Shelf()
    released = load(release("1"), one)
    shelf.models = lambda: {one.name: released}
    seen: list[tuple[int, str]] = []

    def handle(batch: Sequence[Record], rows: Rows, models: Models) -> Result:
        nonlocal released
        released = load(release("2"), one)
        if len(batch) > 1 and any(record.offset == 2 for record in batch):
            raise RuntimeError("halve me")
        seen.extend((record.offset, models[one.name].id) for record in batch)
        return Result()

    work = Runner(Agent("test", REQUESTS_DATA, handle, models=(one,)), cast(Outlet, shelf))
    work.process([record(offset) for offset in range(4)])
    work.process([record(4)])
    assert seen == [*((offset, "linear/1") for offset in range(4)), (4, "linear/2")]


def test_a_batch_that_is_retried_for_as_long_as_may_be_keeps_its_partitions() -> None:
    client = clients.consumer(Settings(_env_file=None), "g")
    assert client["max.poll.interval.ms"] > outlet.RETRY_FOR_S * 1000
    assert client["reconnect.backoff.max.ms"] <= 1_000


def test_an_agent_without_models_is_not_given_any_and_waits_for_none() -> None:
    def never() -> Models:
        raise AssertionError("nobody asked for models")

    work, shelf = runner(lambda batch, rows: tell(batch))
    shelf.models = never
    work.process([record(0)])
    assert shelf.outputs == ["0"]


def test_a_stop_while_models_are_read_leaves_the_batch_unacknowledged(tmp_path: Path) -> None:
    def stopping() -> Models:
        raise Stopped

    shelf = Shelf()
    shelf.models = stopping
    work = Runner(
        Agent("test", REQUESTS_DATA, lambda batch, rows, models: Result(), models=(served(tmp_path),)),
        cast(Outlet, shelf),
    )
    with pytest.raises(Stopped):
        work.process([record(0)])
    assert shelf.given == []
