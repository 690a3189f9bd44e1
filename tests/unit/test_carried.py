"""What a block carries of its records: the trace and request of the one that changed it last, however records are batched."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from agents import carried, resumed, validate
from agents.activity import Activity
from agents.agent import Output, Record, Result
from agents.carried import Carried
from agents.work import Stateful
from base.settings import Settings
from tests.unit.wire import NUMBER, envelope, records, swap
from topics.headers import CARRIED, Headers, get


class Consumer:
    """Of a topic of one partition in which nothing is committed."""

    def list_topics(self, topic: str, timeout: float) -> Any:
        return type("Metadata", (), {"topics": {topic: type("Topic", (), {"partitions": {0: None}})()}})()

    def committed(self, where: Any, timeout: float) -> Any:
        return where

    def get_watermark_offsets(self, where: Any, timeout: float) -> tuple[int, int]:
        return 0, 1_000_000


@dataclass
class Given:
    """An outlet that keeps what it is given."""

    activity: Activity = field(default_factory=Activity)
    results: list[Result] = field(default_factory=list)

    def retry(self, agent: str, call: Any) -> Any:
        return call()

    def give(self, agent: str, result: Result) -> list[int]:
        self.results.append(result)
        return []

    @property
    def outputs(self) -> list[Output]:
        return [output for result in self.results for output in (*result.outputs, *result.after)]


@dataclass
class Written:
    """A record of chain.blocks as a consumer gives it."""

    output: Output

    def headers(self) -> Headers:
        return self.output.headers

    def value(self) -> bytes:
        return self.output.value


class Work:
    """validate's work on partition 0, after a restart on a tail of what it wrote before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tail: Sequence[Output] = ()) -> None:
        monkeypatch.setattr("agents.work.read_tail", lambda *_: [Written(output) for output in tail])
        outlet: Any = Given()
        self.given: Given = outlet
        consumer: Any = Consumer()
        self.consumer = consumer
        self.stateful = Stateful(validate.AGENT, Settings(_env_file=None, brokers="127.0.0.1:1"), outlet)
        self.stateful.assigned(consumer, [0])

    def do(self, batch: Sequence[Record]) -> None:
        self.stateful.process(self.consumer, {0: list(batch)})

    def of(self, topic: str) -> list[Headers]:
        """What each record of `topic` carried, in order."""
        return [told(output.headers) for output in self.given.outputs if output.topic == topic]


def told(headers: Headers) -> Headers:
    return [(name, value) for name, value in headers if name in CARRIED]


def traced(number: int) -> Headers:
    return [
        ("traceparent", f"00-{number:032x}-{number:016x}-01".encode()),
        ("request_id", f"r{number}".encode()),
        ("other", b"x"),
    ]


@pytest.fixture
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def one(number: int, offset: int, place: int, headers: Headers) -> Record:
    (record,) = records([swap(number, event_id=f"e{place}", log_index=place)], offset, headers=headers)
    return record


def test_an_envelopes_trace_goes_to_its_block_and_its_views(patch: pytest.MonkeyPatch) -> None:
    work = Work(patch)
    work.do(records([envelope(swap())], 7, headers=traced(1)))
    carried = told(traced(1))
    assert work.of("chain.blocks") == [carried]
    views = work.of("pair.trades") + work.of("wallet.activity")
    # The clock of a new hour comes from no record in particular.
    assert carried in views and all(one in (carried, []) for one in views)
    clocks = [out for out in work.given.outputs if b":clock:" in (get(out.headers, "ce_id") or b"")]
    assert clocks and all(told(out.headers) == [] for out in clocks)


def test_a_block_carries_what_the_record_carried_that_changed_it_last(patch: pytest.MonkeyPatch) -> None:
    work = Work(patch)
    work.do([one(NUMBER, 0, 0, traced(1))])
    work.do([one(NUMBER, 1, 1, traced(2))])
    work.do([one(NUMBER, 2, 1, traced(3))])  # a duplicate changes nothing
    assert work.of("chain.blocks") == []
    work.do([one(NUMBER + 1, 3, 0, [])])  # a newer block closes it
    assert work.of("chain.blocks") == [told(traced(2))]


def test_a_record_without_a_trace_gets_none_invented(patch: pytest.MonkeyPatch) -> None:
    work = Work(patch)
    work.do([one(NUMBER, 0, 0, traced(1)), one(NUMBER, 1, 1, [])])
    work.do([one(NUMBER + 1, 2, 0, [])])
    assert work.of("chain.blocks") == [[]]


def test_a_restart_sends_views_again_with_what_their_block_carried(patch: pytest.MonkeyPatch) -> None:
    work = Work(patch)
    work.do(records([envelope(swap())], 7, headers=traced(1)))
    blocks = [output for output in work.given.outputs if output.topic == "chain.blocks"]
    again = Work(patch, blocks)
    for topic in ("pair.trades", "wallet.activity"):
        assert again.of(topic) == work.of(topic) and told(traced(1)) in again.of(topic)


def test_nothing_is_kept_of_closed_blocks_and_little_of_endless_ones(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(carried, "KEPT", 3)
    kept = Carried(resumed.made_at)
    kept.keep(records([swap()] * 5, 10, headers=traced(1)), 12)
    assert [*kept._open] == [12, 13, 14]
    kept.keep(records([swap()] * 2, 15, headers=traced(1)), 12)
    assert [*kept._open] == [14, 15, 16]
    kept.keep(records([swap()], 17), 15)
    assert [*kept._open] == [15, 16]
    kept.keep([], None)
    assert not kept._open


@examples(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.booleans()), min_size=1, max_size=30),
    st.lists(st.integers(1, 30), max_size=10),
)
def test_batches_make_no_difference(found: list[tuple[int, int, bool]], cuts: list[int]) -> None:
    """Each revision of each block carries the same, in one batch or many, and it is that of the record it names."""
    told_by_offset = {offset: traced(offset + 1) if has else [] for offset, (_, _, has) in enumerate(found)}
    every = [one(NUMBER + n, offset, place, told_by_offset[offset]) for offset, (n, place, _) in enumerate(found)]
    every.append(one(NUMBER + 100, len(found), 0, []))  # closes all
    with pytest.MonkeyPatch.context() as patch:
        work = Work(patch)
        edges = sorted({0, *(cut for cut in cuts if cut < len(every)), len(every)})
        for start, end in itertools.pairwise(edges):
            work.do(every[start:end])
    for output in work.given.outputs:
        if output.topic == "chain.blocks":
            id = get(output.headers, "ce_id") or b""
            assert told(output.headers) == told(told_by_offset.get(resumed.made_at(id.decode()), []))
