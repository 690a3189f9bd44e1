"""validate as its promises say: random records over a few chains, blocks and forks, batched, delayed and killed anywhere.

`Feeder` stands in for Kafka and the runtime: it gives results out in their order, confirms a prefix of them where it is killed,
commits floors, and begins again from the committed offset and the tail of chain.blocks.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents import resumed
from agents.agent import DeadLetter, Output, Record, Result, Written
from agents.validate import AGENT, Validator
from models.chain import assembly
from tests.unit.wire import (
    ALICE,
    BOB,
    DAI,
    NOW,
    NUMBER,
    POOL,
    TIME,
    TRACE,
    USDC,
    WETH,
    decoded,
    encoded,
    envelope,
    inside,
    letter_id,
    records,
    swap,
    transaction,
    transfer,
    tx,
    written,
)
from topics.partition import partition
from topics.registry import CHAIN_EVENTS
from topics.schemas.chain import Block, PairTrades, WalletActivity

PARTITIONS = 2
OURS = [n for n in range(1, 60) if partition(str(n).encode(), PARTITIONS) == partition(b"1", PARTITIONS)]
ELSEWHERE = next(n for n in range(1, 60) if n not in OURS)
CHAINS = (1, OURS[1])
HERE = partition(b"1", PARTITIONS)
FORKS = (None, "0x" + "f1" * 32, "0x" + "f2" * 32)

BlockId = tuple[int, int]


def validator() -> Validator:
    return Validator(HERE, PARTITIONS)


@dataclass
class World:
    """All that anyone outside can see of a run."""

    blocks: list[Written] = field(default_factory=list)
    views: list[Output] = field(default_factory=list)
    letters: dict[tuple[int, str | None], tuple[str, bytes]] = field(default_factory=dict)
    sent_on: set[tuple[bytes, bytes]] = field(default_factory=set)

    def give(self, result: Result, most: int | None = None) -> None:
        """Confirm the first `most` effects of a result, in the runtime's order."""
        first: list[DeadLetter | Output] = [*result.dead_letters, *result.sent_on]
        effects: list[DeadLetter | Output] = [*first, *result.outputs, *result.after]
        for place, effect in enumerate(effects[:most]):
            if not isinstance(effect, Output):
                self.letters[letter_id(effect)] = effect.reason, effect.raw
            elif place < len(first):
                self.sent_on.add((effect.key, effect.value))
            elif place < len(first) + len(result.outputs):
                assert effect.partition == HERE
                self.blocks += written(effect)
            else:
                self.views.append(effect)

    def last_blocks(self) -> dict[BlockId, bytes]:
        """The value of each block's highest revision; one revision always means the same bytes."""
        seen: dict[tuple[int, int, int], bytes] = {}
        last: dict[BlockId, tuple[int, bytes]] = {}
        for _, _, value in self.blocks:
            head = json.loads(value)
            key, revision = (head["chain_id"], head["number"]), head["revision"]
            assert seen.setdefault((*key, revision), value) == value
            last[key] = max(last.get(key, (-1, b"")), (revision, value))
        return {key: value for key, (_, value) in last.items()}

    def contributions(self) -> dict[tuple[str, int, int, int], dict[str, Any]]:
        """What is left in each view partition of each block: a record replaces older ones; empty lists count as absent."""
        held: dict[tuple[str, int, int, int], tuple[int, dict[str, Any]]] = {}
        for view in self.views:
            value = json.loads(view.value)
            if value["status"] == "clock":
                continue
            assert view.partition is not None
            key = (view.topic, view.partition, value["chain_id"], value["number"])
            if value["revision"] >= held.get(key, (-1, {}))[0]:
                held[key] = value["revision"], value
        out = {}
        for key, (_, value) in held.items():
            part = "pairs" if key[0] == "pair.trades" else "wallets"
            left = {name: moves for name, moves in value[part].items() if moves}
            if left:
                out[key] = left
        return out


class Feeder:
    """Feeds one partition of chain.events to a validator in batches, and counts what may be committed."""

    def __init__(self, log: Sequence[Record], world: World, committed: int = 0) -> None:
        self.log = log
        self.world = world
        self.state = validator()
        self.committed = self.position = committed
        self.world.give(self.state.restore(world.blocks[-AGENT.tail :], committed))

    def step(self, many: int, now: float, most: int | None = None) -> None:
        batch = self.log[self.position : self.position + many]
        result = self.state.handle(batch, now)
        self.world.give(result, most)
        self.position += len(batch)

    def commit(self) -> None:
        floor = self.state.floor()
        first = [held.first_offset for held in self.state.assembly.open.values()]
        assert floor == min(first, default=None)
        self.committed = self.position if floor is None else min(floor, self.position)

    def finish(self, now: float, by: int = 3) -> World:
        """Feed the rest and let everything close."""
        while self.position < len(self.log):
            self.step(by, now)
        self.step(0, now + 10)
        assert self.state.floor() is None
        return self.world


# Random records

_amounts = st.sampled_from(["1", "2"])
_numbers = st.integers(NUMBER, NUMBER + 4)


@st.composite
def events(draw: st.DrawFn, numbers: st.SearchStrategy[int] = _numbers) -> dict[str, Any]:
    """An event of few possible identities and contents, so that duplicates and conflicts are common."""
    number = draw(numbers)
    chain = draw(st.sampled_from(CHAINS))
    index = draw(st.sampled_from([0, 1, 2, None]))
    more: dict[str, Any] = {
        "chain_id": chain,
        "transaction_hash": tx(draw(st.integers(1, 2))),
        "transaction_index": draw(st.sampled_from([0, 1, None])),
        "log_index": index,
        "event_id": draw(st.sampled_from(["a", "b"])),
        "block_hash": draw(st.sampled_from(FORKS)),
        # Now and then another time than the block's.
        "timestamp": TIME + (number - NUMBER) * 1800 + draw(st.sampled_from([0, 0, 0, 7])),
        "amount_in": draw(_amounts),
        "from_address": draw(st.sampled_from([ALICE, BOB, None])),
    }
    if draw(st.booleans()):
        return swap(number, **more, token_out=draw(st.sampled_from([USDC, DAI])))
    return transfer(number, **{**more, "from_address": ALICE, "to_address": draw(st.sampled_from([BOB, DAI]))})


@st.composite
def envelopes(draw: st.DrawFn, numbers: st.SearchStrategy[int] = _numbers) -> dict[str, Any]:
    number = draw(numbers)
    elements: list[Any] = [inside(event) for event in draw(st.lists(events(), max_size=3))]
    elements += draw(st.lists(st.sampled_from([7, {"event_type": "swap"}]), max_size=1))
    head = {
        "chain_id": draw(st.sampled_from(CHAINS)),
        "hash": draw(st.sampled_from(FORKS)),
        "miner": draw(st.sampled_from([None, ALICE])),
        "timestamp": draw(st.sampled_from([None, TIME + (number - NUMBER) * 1800])),
        "transactions": [transaction(n, unheard_of=1) for n in draw(st.lists(st.integers(1, 3), max_size=2))],
    }
    status = draw(st.sampled_from(["complete", "partial", "removed"]))
    return envelope(*elements, number=number, status=status, **{k: v for k, v in head.items() if v is not None})


def values(numbers: st.SearchStrategy[int] = _numbers) -> st.SearchStrategy[bytes]:
    bad = st.sampled_from([b"[", b"5", b"[1, {}]", encoded(swap(amount_in="0")), encoded(swap(chain_id=ELSEWHERE))])
    lists = st.lists(events(numbers), max_size=4)
    return st.one_of(
        events(numbers).map(encoded),
        lists.map(encoded),
        envelopes(numbers).map(encoded),
        envelopes(numbers).map(encoded),
        bad,
    )


@st.composite
def logs(draw: st.DrawFn, numbers: st.SearchStrategy[int] = _numbers) -> list[Record]:
    """A partition of chain.events; producers repeat themselves."""
    made: list[bytes] = []
    for value in draw(st.lists(values(numbers), min_size=1, max_size=14)):
        made.append(draw(st.sampled_from(made)) if made and draw(st.integers(0, 4)) == 0 else value)
    return records(made, partition=HERE)


steps = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.0, 0.3, 2.0, 6.0])), max_size=12)
"""Batches: how many records, and how much later than the one before."""

quick = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def run(log: Sequence[Record], batches: Sequence[tuple[int, float]]) -> World:
    feeder, now = Feeder(log, World()), NOW
    for many, pause in batches:
        now += pause
        feeder.step(many, now)
        feeder.commit()
    return feeder.finish(now)


@quick
@given(logs(), steps, steps)
def test_the_last_state_does_not_depend_on_batches_or_time(
    log: list[Record], one: list[tuple[int, float]], two: list[tuple[int, float]]
) -> None:
    first, second = run(log, one), run(log, two)
    assert first.last_blocks() == second.last_blocks()
    assert first.letters == second.letters
    assert first.sent_on == second.sent_on
    assert first.contributions() == second.contributions()
    # One revision means the same bytes, in either run.
    World(blocks=first.blocks + second.blocks).last_blocks()


@quick
@given(logs(st.integers(NUMBER, NUMBER + 9)), steps, steps, st.integers(0, 2))
def test_nor_where_blocks_are_forgotten(
    log: list[Record], one: list[tuple[int, float]], two: list[tuple[int, float]], sweep: int
) -> None:
    with patch.object(assembly, "HELD_BLOCKS", 3), patch.object(assembly, "SWEEP", sweep):
        first = run(log, one)
    with patch.object(assembly, "HELD_BLOCKS", 3):
        second = run(log, two)
    assert first.last_blocks() == second.last_blocks()
    assert first.letters == second.letters


@quick
@given(logs(), steps)
def test_revisions_grow_and_views_name_what_earlier_revisions_named(
    log: list[Record], batches: list[tuple[int, float]]
) -> None:
    world = run(log, batches)
    revisions: dict[BlockId, list[int]] = {}
    for _, _, value in world.blocks:
        block = Block.model_validate_json(value)
        revisions.setdefault((block.chain_id, block.number), []).append(block.revision)
    assert all(found == sorted(set(found)) for found in revisions.values())

    for topic, part, schema in (("pair.trades", "pairs", PairTrades), ("wallet.activity", "wallets", WalletActivity)):
        named: dict[tuple[BlockId, int], set[str]] = {}
        for view in world.views:
            if view.topic != topic:
                continue
            schema.model_validate_json(view.value)
            value = json.loads(view.value)
            assert all(partition(key.encode(), PARTITIONS) == view.partition for key in value[part])
            if value["status"] != "clock":
                block_id = value["chain_id"], value["number"]
                named.setdefault((block_id, value["revision"]), set()).update(value[part])
        for block_id, found in revisions.items():
            earlier: set[str] = set()
            for revision in found:
                names = named.get((block_id, revision), set())
                assert earlier <= names
                earlier = names


@settings(quick, max_examples=300)
@given(logs(), steps, st.data())
def test_a_kill_anywhere_changes_nothing(
    log: list[Record], batches: list[tuple[int, float]], data: st.DataObject
) -> None:
    undisturbed = run(log, batches)

    world, now = World(), NOW
    floors = [0]
    for _ in range(data.draw(st.integers(1, 3), label="kills")):
        # Commits come late and may fail: any floor since the last one that is known to have gone through may stand.
        feeder = Feeder(log, world, committed=data.draw(st.sampled_from(floors), label="committed"))
        floors = [feeder.committed]
        for _ in range(data.draw(st.integers(0, 6), label="batches")):
            now += data.draw(st.sampled_from([0.0, 0.3, 2.0, 6.0]), label="pause")
            feeder.step(data.draw(st.integers(0, 5), label="many"), now)
            feeder.commit()
            floors.append(feeder.committed)
        most = data.draw(st.integers(0, 12), label="confirmed")
        feeder.step(data.draw(st.integers(0, 8), label="many at the kill"), now, most)
    feeder = Feeder(log, world, committed=data.draw(st.sampled_from(floors), label="committed"))
    feeder.finish(now, by=data.draw(st.integers(1, 5), label="by"))

    assert world.last_blocks() == undisturbed.last_blocks()
    assert world.letters == undisturbed.letters
    assert world.sent_on == undisturbed.sent_on
    assert world.contributions() == undisturbed.contributions()
    World(blocks=world.blocks + undisturbed.blocks).last_blocks()
    # No hour is lost. (A time that a later record took back may have been told, if the block closed in between.)
    told = {
        (clock["chain_id"], clock["timestamp"] // 3600) for clock in decoded(world.views) if clock["status"] == "clock"
    }
    for block in map(json.loads, world.last_blocks().values()):
        if (time := block.get("timestamp")) is not None:
            assert any(chain == block["chain_id"] and hour >= time // 3600 for chain, hour in told)


# Single promises


def take(*values: Any, state: Validator | None = None, first: int = 0, now: float = NOW, **headers: bytes) -> Result:
    """What becomes of values, given as one batch."""
    batch = records(values, first, HERE, list(headers.items()))
    return (state or validator()).handle(batch, now)


def last(result: Result) -> dict[str, Any]:
    return decoded(result.outputs)[-1]


def reasons(result: Result) -> list[tuple[str, str | None]]:
    return [(letter.reason, letter.index) for letter in result.dead_letters]


def test_a_complete_envelope_closes_at_once() -> None:
    result = take(envelope(inside(swap())))
    assert last(result)["status"] == "complete"
    assert last(result)["revision"] == 0


def test_a_block_closes_when_a_newer_block_of_its_chain_is_seen() -> None:
    state = validator()
    assert take(swap(), swap(chain_id=CHAINS[1], block_number=NUMBER + 1), state=state).outputs == []
    result = take(swap(NUMBER + 1), state=state, first=2)
    assert [(b["number"], b["status"]) for b in decoded(result.outputs)] == [(NUMBER, "partial")]
    # And what is late to an older block closes at once.
    assert last(take(swap(log_index=1), state=state, first=3))["revision"] == 3


def test_a_block_closes_after_two_quiet_seconds() -> None:
    state = validator()
    take(swap(), state=state)
    take(swap(log_index=1), state=state, first=1, now=NOW + 1.5)
    assert state.handle([], NOW + 3.4).outputs == []
    assert state.floor() == 0
    assert last(state.handle([], NOW + 3.5))["revision"] == 1
    assert state.floor() is None


def test_a_block_is_open_for_five_seconds_at_the_most() -> None:
    state = validator()
    for place in range(5):
        assert take(swap(log_index=place), state=state, first=place, now=NOW + place).outputs == []
    assert len(last(take(swap(log_index=9), state=state, first=9, now=NOW + 5))["events"]) == 6


def test_an_assembled_block_is_partial_and_a_complete_envelope_replaces_it() -> None:
    state = validator()
    take(swap(log_index=5), state=state)
    assert last(state.handle([], NOW + 2))["status"] == "partial"
    result = take(envelope(inside(swap(log_index=6))), state=state, first=1)
    assert [event["log_index"] for event in last(result)["events"]] == [6]
    assert last(result)["status"] == "complete"


def test_events_stand_in_order_and_absent_indexes_last() -> None:
    places = [(1, 9), (None, 3), (0, 4), (None, None), (0, 2), (1, None)]
    values = [
        transfer(transaction_index=t, log_index=log, event_id=f"e{n}", transaction_hash=tx(n))
        for n, (t, log) in enumerate(places)
    ]
    found = last(take(*values, swap(NUMBER + 1)))["events"]
    assert [event["event_id"] for event in found] == ["e4", "e2", "e0", "e5", "e1", "e3"]


def test_the_first_of_an_identity_wins_and_other_content_is_refused() -> None:
    same = swap(event_id="other", amount_in="1.50")
    result = take([swap(), same, swap(amount_in="2")], swap(NUMBER + 1))
    assert [event["event_id"] for event in last(result)["events"]] == ["e1"]
    assert reasons(result) == [("conflicting_duplicate", "2")]


def test_without_a_log_index_the_event_id_is_the_identity() -> None:
    values = [swap(log_index=None, event_id=name) for name in ("a", "b", "a")]
    assert len(last(take(values, swap(NUMBER + 1)))["events"]) == 2


def test_a_block_goes_on_without_what_is_refused_and_counts_it() -> None:
    good, zero = inside(swap()), inside(swap(log_index=1, amount_in="0"))
    bad = transaction(2, gas_limit=1)
    value = (
        b'{"chain_id":1,"number":18000000,"status":"complete","events":[ '
        + b" , ".join(
            [encoded(good), encoded(zero) + b" ", b'{"event_type":"swap"}', encoded({**good, "amount_out": "1"})]
        )
        + b'],"transactions":['
        + encoded(transaction(1))
        + b" , "
        + encoded(bad)
        + b"]}"
    )
    result = take(value)
    assert last(result)["rejected"] == 4
    assert len(last(result)["events"]) == len(last(result)["transactions"]) == 1
    assert [(letter.index, letter.reason, letter.raw) for letter in result.dead_letters] == [
        ("1", "amount_positive", encoded(zero)),
        ("2", "missing_field", b'{"event_type":"swap"}'),
        ("3", "conflicting_duplicate", encoded({**good, "amount_out": "1"})),
        ("transactions/1", "gas_limit", encoded(bad)),
    ]


def test_nulls_are_unknown_and_nothing_is_made_up() -> None:
    names = ("hash", "parent_hash", "timestamp", "base_fee", "transactions")
    bare = {"hash": tx(1), "index": 0, **dict.fromkeys(("from_address", "value_wei", "gas_used", "status"))}
    result = take(
        {**envelope(inside(swap())), **dict.fromkeys(names)}, envelope(number=NUMBER + 1, transactions=[bare])
    )
    first, second = decoded(result.outputs)
    assert result.dead_letters == []
    assert not {*names} - {"transactions"} & {*first}
    assert "timestamp" not in first["events"][0]
    assert second["transactions"] == [{"hash": tx(1), "index": 0}]
    trades = [value for value in decoded(result.after) if value.get("pairs") and value["status"] != "clock"]
    assert "timestamp" not in trades[0]


def test_unknown_fields_are_kept_out_of_the_result() -> None:
    result = take(envelope({**inside(swap()), "mood": 1}, transactions=[transaction(1, mood=1)], mood=1))
    assert b"mood" not in result.outputs[0].value
    assert result.dead_letters == []


@pytest.mark.parametrize("status", ["complete", "partial"])
def test_an_envelope_sent_twice_is_no_new_revision(status: str) -> None:
    """Even where it came from bytes with unknown fields the first time, and with values that parsers share."""
    value = envelope(
        {**inside(swap()), "mood": 1}, status=status, transactions=[transaction(1, mood=1)], base_fee=7, miner=ALICE
    )
    state = validator()
    take(value, state=state)
    assert len(state.handle([], NOW + 5).outputs) == (status == "partial")
    assert take(value, state=state, first=1, now=NOW + 6).outputs == []
    assert state.floor() is None


def test_another_forks_late_event_changes_nothing() -> None:
    state = validator()
    take(envelope(inside(swap()), hash=FORKS[1]), state=state)
    result = take(swap(log_index=1, block_hash=FORKS[2]), state=state, first=1)
    assert (reasons(result), result.outputs) == ([("other_fork", None)], [])
    result = take(swap(log_index=1, block_hash=FORKS[1]), swap(log_index=2), state=state, first=2)
    assert (reasons(result), len(last(result)["events"])) == ([], 3)


def test_a_partial_envelope_of_another_fork_changes_nothing_even_if_only_its_events_say_so() -> None:
    state = validator()
    take(envelope(inside(swap()), hash=FORKS[1]), state=state)
    late = inside(swap(log_index=1, block_hash=FORKS[2]))
    assert reasons(take(envelope(late, status="partial"), state=state, first=1)) == [("other_fork", None)]
    assert reasons(take(envelope(late, status="partial", hash=FORKS[2]), state=state, first=2)) == [
        ("other_fork", None)
    ]


def test_a_block_is_removed_and_another_fork_takes_its_number() -> None:
    state = validator()
    take(envelope(inside(swap()), hash=FORKS[1], transactions=[transaction(1)]), state=state)
    assert reasons(take(envelope(status="removed", hash=FORKS[2]), state=state, first=1)) == [("other_fork", None)]
    removed = last(take(envelope(status="removed", hash=FORKS[1]), state=state, first=2))
    assert (removed["status"], removed["revision"]) == ("removed", 2)
    assert removed["events"] == removed["transactions"] == []
    assert reasons(take(swap(block_hash=FORKS[1]), state=state, first=3)) == [("other_fork", None)]
    assert take(envelope(status="removed", hash=FORKS[1]), state=state, first=4).outputs == []
    take(swap(block_hash=FORKS[2], log_index=7), state=state, first=5)
    new = last(state.handle([], NOW + 2))
    assert (new["status"], new["hash"], new["revision"]) == ("partial", FORKS[2], 5)
    assert [event["log_index"] for event in new["events"]] == [7]


def test_a_removed_block_does_not_come_back_in_secret() -> None:
    state = validator()
    take(envelope(status="removed"), state=state)
    assert take(envelope(status="partial"), state=state, first=1).outputs == []
    back = last(state.handle([], NOW + 2))
    assert (back["status"], back["events"], back["revision"]) == ("partial", [], 1)


def test_a_removal_of_a_block_never_seen_is_a_revision_too() -> None:
    result = take(envelope(status="removed", hash=FORKS[1]))
    assert (last(result)["status"], result.dead_letters) == ("removed", [])


def test_a_complete_envelope_of_another_fork_replaces_a_block() -> None:
    state = validator()
    take(envelope(inside(swap()), hash=FORKS[1]), state=state)
    result = take(envelope(inside(swap(token_out=DAI)), hash=FORKS[2]), state=state, first=1)
    assert last(result)["hash"] == FORKS[2]
    pairs = {key: trades for value in decoded(result.after) for key, trades in value.get("pairs", {}).items()}
    assert pairs[f"1:{USDC}:{WETH}"] == []
    assert len(pairs[f"1:{DAI}:{WETH}"]) == 1


def test_a_removal_names_all_that_the_block_named_with_empty_lists() -> None:
    state = validator()
    before = take(envelope(inside(swap()), transactions=[transaction(1)]), state=state)
    after = take(envelope(status="removed"), state=state, first=1)

    def named(result: Result) -> dict[tuple[str, int | None, str], int]:
        return {
            (output.topic, output.partition, key): len(moves)
            for output in result.after
            for value in [json.loads(output.value)]
            for key, moves in (value.get("pairs") or value.get("wallets") or {}).items()
        }

    assert named(before).keys() == named(after).keys()
    assert set(named(after).values()) == {0}
    assert all(named(before).values())


def test_late_is_only_what_is_below_the_512_highest_blocks() -> None:
    state = validator()
    take(*[envelope(number=NUMBER + n, timestamp=TIME) for n in range(1, 512)], state=state)
    assert reasons(take(swap(), state=state, first=600)) == []  # 511 are held: it is one of 512 now
    assert reasons(take(swap(NUMBER - 1), state=state, first=601)) == [("too_late", None)]
    take(envelope(number=NUMBER + 512), state=state, first=602)
    assert reasons(take(swap(log_index=1), state=state, first=603)) == [("too_late", None)]
    assert reasons(take(swap(NUMBER + 1), state=state, first=604)) == []
    assert reasons(take(swap(NUMBER - 1, chain_id=CHAINS[1]), state=state, first=605)) == []


def test_blocks_below_are_forgotten() -> None:
    state = validator()
    for n in range(700):
        take(envelope(number=NUMBER + n, timestamp=TIME), state=state, first=n)
    assert len(state.assembly.blocks) <= assembly.HELD_BLOCKS + assembly.SWEEP
    assert min(number for _, number in state.assembly.blocks) <= NUMBER + 700 - assembly.HELD_BLOCKS


def test_a_new_hour_of_a_chain_is_told_once_to_every_partition_of_every_view() -> None:
    state = validator()

    def clocks(result: Result) -> list[tuple[str, int | None, int, int]]:
        return [
            (output.topic, output.partition, value["chain_id"], value["timestamp"])
            for output, value in zip(result.after, decoded(result.after), strict=True)
            if value["status"] == "clock"
        ]

    def everywhere(chain: int, time: int) -> list[tuple[str, int | None, int, int]]:
        return [(topic, n, chain, time) for topic in ("pair.trades", "wallet.activity") for n in range(PARTITIONS)]

    hour = TIME // 3600 * 3600
    assert clocks(take(envelope(timestamp=hour), state=state)) == everywhere(1, hour)
    assert clocks(take(envelope(number=NUMBER + 1, timestamp=hour + 3599), state=state, first=1)) == []
    result = take(envelope(number=NUMBER + 2, timestamp=hour + 3600), state=state, first=2)
    assert clocks(result) == everywhere(1, hour + 3600)
    assert clocks(take(envelope(number=NUMBER + 3, timestamp=hour), state=state, first=3)) == []
    result = take(envelope(chain_id=CHAINS[1], timestamp=hour), state=state, first=4)
    assert clocks(result) == everywhere(CHAINS[1], hour)
    assert clocks(take(envelope(number=NUMBER + 4, timestamp=None), state=state, first=5)) == []


def test_what_is_misplaced_goes_on_as_its_own_bytes_once() -> None:
    alien = b' {"x" :1,' + encoded(swap(chain_id=ELSEWHERE))[1:]
    whole = encoded(envelope(chain_id=ELSEWHERE))
    result = take(
        b"[" + encoded(swap()) + b" ," + alien + b"\n]", whole, alien, traceparent=TRACE, request_id=b"r", other=b"o"
    )
    key = str(ELSEWHERE).encode()
    assert [(o.topic, o.key, o.value, o.partition) for o in result.sent_on] == [
        ("chain.events", key, value, None) for value in (alien.strip(), whole, alien)
    ]
    for output, place in zip(result.sent_on, ("0/1", "1", "2"), strict=True):
        origin = f"chain.events/{HERE}/{place}".encode()
        carried = [("request_id", b"r"), ("rerouted", b"1"), ("traceparent", TRACE)]
        assert sorted(output.headers) == [("origin", origin), *carried]
    assert result.dead_letters == []


def test_what_is_misplaced_and_larger_than_its_topic_takes_is_a_dead_letter() -> None:
    """The broker leaves room for headers, which a value may have used; sent on it would count as a fault of ours."""
    size = CHAIN_EVENTS.max_bytes + 1
    (record,) = records([envelope(chain_id=ELSEWHERE)])
    value = record.raw[:-1] + b',"x":"' + b"x" * (size - len(record.raw) - 7) + b'"}'
    assert len(value) == size
    result = validator().handle([record._replace(raw=value)], NOW)
    assert (reasons(result), result.sent_on) == ([("too_large", None)], [])
    assert "8,388,609 bytes" in result.dead_letters[0].detail


def test_what_is_misplaced_twice_is_a_dead_letter() -> None:
    result = take(swap(chain_id=ELSEWHERE), swap(), rerouted=b"1")
    assert (reasons(result), result.sent_on) == ([("misplaced", None)], [])


def test_refusals_of_whole_values() -> None:
    future = envelope(timestamp=int(NOW) + 61)
    result = take(b"{", b"null", swap(amount_in="0"), future, {"events": [], "number": "x"}, [swap(), envelope()])
    assert [(letter.reason, letter.field, letter.index) for letter in result.dead_letters] == [
        ("malformed_json", "", None),
        ("wrong_type", "", None),
        ("amount_positive", "amount_in", None),
        ("future_time", "timestamp", None),
        ("wrong_type", "number", None),
        ("wrong_type", "", "1"),
    ]


def test_values_of_any_size_never_make_the_handler_raise() -> None:
    """orjson knows 64 bits only: what is wider must be refused before a block is encoded."""
    mint = {"event_type": "mint", "pool": POOL}
    names = ("observed_at", "gas_used", "timestamp", "tick")
    wide = [swap(log_index=n, **{name: 10**30}) for n, name in enumerate(names)]
    wide += [transfer(log_index=9, **mint, **{name: -(10**30)}) for name in ("tick_lower", "tick_upper")]
    result = take(wide, envelope(inside(swap(tick=-(2**63), observed_at=2**63 - 1))))
    assert [letter.field for letter in result.dead_letters] == [*names, "tick_lower", "tick_upper"]
    assert last(result)["events"][0]["tick"] == -(2**63)


def test_restoring_sends_views_again_only_of_what_may_not_have_been_sent() -> None:
    state = validator()
    first = take(envelope(inside(swap())), state=state)
    second = take(envelope(inside(swap(NUMBER + 1)), number=NUMBER + 1), state=state, first=1)
    tail = written(*first.outputs, *second.outputs)
    again = validator().restore(tail, committed=1)
    assert (again.outputs, again.dead_letters) == ([], [])
    assert [output.value for output in again.after] == [output.value for output in second.after]
    assert validator().restore(tail, committed=2).after == []


def test_restoring_names_what_every_revision_read_had_named() -> None:
    """A zombie's late copy of an older revision among them."""
    tokens = [DAI, USDC, "0x" + "77" * 20]
    revisions = [
        written(*take(envelope(inside(swap(token_out=token))), first=offset).outputs)[0]
        for offset, token in enumerate(tokens, start=3)
    ]
    zombie, older, newest = revisions[1], revisions[0], revisions[2]
    again = validator().restore([older, newest, zombie], committed=5)
    pairs = {key: len(trades) for value in decoded(again.after) for key, trades in value.get("pairs", {}).items()}
    assert pairs == {f"1:{min(WETH, t)}:{max(WETH, t)}": int(t == tokens[2]) for t in tokens}


def test_a_replay_that_has_not_reached_the_newest_blocks_is_not_late() -> None:
    """Blocks that were emitted out of the committed offset's reach do not push a block out before they are read again."""
    with patch.object(assembly, "HELD_BLOCKS", 3):
        log = [
            swap(NUMBER + 1),
            envelope(number=NUMBER + 2),
            swap(),
            *[envelope(number=NUMBER + n) for n in range(3, 7)],
        ]
        undisturbed = take(*log)
        state = validator()
        # Of that batch only the newer blocks were confirmed.
        state.restore(
            written(*(output for output in undisturbed.outputs if json.loads(output.value)["number"] != NUMBER)), 0
        )
        again = take(*log, state=state)
    assert reasons(again) == reasons(undisturbed) == []
    assert [block["number"] for block in decoded(again.outputs)] == [NUMBER]


def test_a_replay_makes_no_dead_letters_of_what_was_refused_as_a_whole() -> None:
    state = validator()
    first = take(envelope(inside(swap()), hash=FORKS[1]), state=state)
    late = envelope({"event_type": "swap"}, status="partial", hash=FORKS[2])
    assert reasons(take(late, state=state, first=1)) == [("other_fork", None)]
    second = take(swap(log_index=1), state=state, first=2)
    again = validator()
    again.restore(written(*first.outputs, *second.outputs), committed=1)
    assert reasons(take(late, state=again, first=1)) == []


def test_a_partial_envelope_sent_again_changes_nothing() -> None:
    state = validator()
    value = envelope(inside(swap()), inside(swap(log_index=1, amount_in="0")), status="partial")
    assert reasons(take(value, value, state=state)) == [("amount_positive", "1")] * 2
    closed = state.handle([], NOW + 10)
    assert (last(closed)["rejected"], last(closed)["revision"]) == (1, 0)
    more = take(envelope(inside(swap(log_index=2)), {"event_type": "swap"}, status="partial"), state=state, first=2)
    assert reasons(more) == [("missing_field", "1")]
    assert last(state.handle([], NOW + 20))["rejected"] == 2


def test_an_envelope_takes_its_hash_from_no_refused_event() -> None:
    refused = inside(swap(amount_in="0", block_hash=FORKS[1]))
    good = inside(swap(log_index=1, block_hash=FORKS[2]))
    result = take(envelope(refused, good))
    assert reasons(result) == [("wrong_block", "0")]
    assert last(result)["hash"] == FORKS[2] and len(last(result)["events"]) == 1


def test_counts_tell_what_became_of_events() -> None:
    result = take([swap(), swap(), swap(log_index=1)], envelope(chain_id=ELSEWHERE))
    assert result.taken == {"new": 2, "duplicate": 1, "rerouted": 1}


def test_a_partial_envelope_counts_only_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "ASSEMBLED_EVENTS", 3)
    monkeypatch.setattr(assembly, "ASSEMBLED_TRANSACTIONS", 2)
    state = validator()
    events = [inside(swap(log_index=n)) for n in range(4)]
    transactions = [transaction(n) for n in range(3)]
    whole = envelope(*events[:3], status="partial", transactions=transactions[:2])
    assert reasons(take(whole, whole, state=state)) == []
    assert reasons(take(envelope(events[3], status="partial"), state=state, first=2)) == [("too_large", None)]
    more = envelope(transactions=transactions[2:], status="partial")
    assert reasons(take(more, state=state, first=3)) == [("too_large", None)]
    large = envelope(*map(dict, events), status="partial", number=NUMBER + 1)
    assert reasons(take(large, state=state, first=4)) == [("too_large", None)]
    assert (1, NUMBER + 1) not in state.assembly.blocks  # refused, it leaves no trace
    complete = envelope(*map(dict, events), transactions=transactions)
    assert len(last(take(complete, state=state, first=5))["events"]) == 4


def test_a_block_stops_changing_when_too_many_names_would_have_to_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "NAMED", 5)
    state = validator()
    wallets = [f"0x{n:040x}" for n in range(1, 20)]
    refused = 0
    for offset, wallet in enumerate(wallets):
        refused += len(take(envelope(inside(swap(from_address=wallet))), state=state, first=offset).dead_letters)
    assert refused > 10 and len(state.assembly.blocks[1, NUMBER].named) < 10


def block_of(number: int, revision: int, window: str | None = None, chain_id: int = 1) -> Written:
    value = {
        "chain_id": chain_id,
        "number": number,
        "revision": revision,
        "status": "complete",
        "events": [],
        "transactions": [],
    }
    headers = [] if window is None else [("held", window.encode())]
    return Written(f"{chain_id}:{number}:{revision}", headers, encoded(value))


def test_a_restart_reads_back_as_far_as_it_must() -> None:
    """All blocks that late events can change, of every chain, and half as many records again from before what is committed."""
    tail = [block_of(n, n, f"{max(0, n - 99)}:{min(n + 1, 100)}") for n in range(300)]
    assert resumed.enough(tail, committed=300) and resumed.enough(tail[-100:], committed=300)
    assert not resumed.enough(tail[-99:], committed=300)
    assert not resumed.enough(tail[-100:], committed=250)  # what was lowest then is not among them
    assert resumed.enough(tail, committed=150) and not resumed.enough(tail, committed=149)
    assert not resumed.enough([*tail, block_of(5, 300, "4:2", chain_id=2)], committed=301)
    assert resumed.enough([*tail, block_of(5, 300, "5:1", chain_id=2)], committed=301)
    assert not resumed.enough([block_of(n, n) for n in range(511)], committed=511)  # written before windows were told
    assert resumed.enough([], committed=0)


def test_a_tail_that_lacks_the_highest_blocks_is_not_enough() -> None:
    """Block 1000 came first, then older ones were filled in: they are the newest records and not the highest blocks."""
    with patch.object(assembly, "HELD_BLOCKS", 4):
        state = validator()
        first = take(envelope(inside(swap(1_000)), number=1_000), state=state)
        after = take(*(envelope(number=n) for n in range(100, 106)), state=state, first=1)
        tail = written(*after.outputs)
        assert not resumed.enough(tail[-4:], committed=7)
        assert resumed.enough(written(*first.outputs) + tail, committed=7)
        again = validator()
        again.restore(tail[-4:], committed=7)  # nothing older is to be had
        assert reasons(take(swap(101, log_index=9), state=again, first=7)) == [("too_late", None)]
        assert reasons(take(swap(1_000, log_index=9), state=again, first=8)) == []


def test_a_chain_whose_blocks_are_all_there_may_begin_lower() -> None:
    state = validator()
    tail = [*written(*take(envelope(number=50), state=state).outputs), block_of(5, 9, "1:3", chain_id=CHAINS[1])]
    again = validator()
    again.restore(tail, committed=10)
    assert reasons(take(swap(7), swap(4, chain_id=CHAINS[1]), state=again, first=10)) == [("too_late", None)]


JUNK = [b"1", b"{}", b"[]", b'""', b"null", b'{"a":1}']


@pytest.mark.parametrize("junk", JUNK)
def test_a_record_crowded_with_junk_is_one_dead_letter_and_not_a_hundred_thousand(junk: bytes) -> None:
    crowd = b",".join([junk] * 60_000)
    whole = b'{"chain_id":1,"number":%d,"status":"complete","events":[%s]}' % (NUMBER, crowd)
    values = [encoded(swap(NUMBER, log_index=1)), b"[" + crowd + b"]", whole, encoded(swap(NUMBER, log_index=2))]
    result = validator().handle(
        [one._replace(raw=raw) for one, raw in zip(records([{}] * 4), values, strict=True)], NOW
    )
    assert [(one.record.offset, one.reason, one.index) for one in result.dead_letters] == [
        (1, "too_many_faults", None),
        (2, "too_many_faults", None),
    ]
    assert [one.raw for one in result.dead_letters] == values[1:3]
    assert result.taken == {"new": 2}


def test_junk_among_events_is_refused_alone() -> None:
    values: list[Any] = [*(swap(NUMBER, log_index=number) for number in range(40)), *[1, {}, None] * 20]
    result = validator().handle(records([values]), NOW)
    assert result.taken == {"new": 40}
    assert [one.index for one in result.dead_letters] == [str(40 + number) for number in range(60)]


def test_what_a_block_costs_does_not_depend_on_how_many_are_open() -> None:
    """It once did: 4,000 events of as many blocks took 2 s, those of one block 0.05 s. Calls are counted, generators' steps too."""

    def calls(blocks: int) -> float:
        state, batch = validator(), records([swap(NUMBER + n) for n in range(blocks)])
        many = 0

        def count(*_: Any) -> None:
            nonlocal many
            many += 1

        sys.setprofile(count)
        try:
            result = state.handle(batch, NOW)
        finally:
            sys.setprofile(None)
        assert len(result.outputs) == blocks - 1
        return many / blocks

    calls(10)
    assert calls(600) < 1.3 * calls(100)


@pytest.mark.parametrize("kind", ["array", "envelope", "transactions"])
def test_a_record_of_very_many_bad_elements_is_one_dead_letter_and_none_of_it_is_taken(kind: str) -> None:
    """A letter each, 4 MiB of `[1,1,...]` took a minute and 900 MB."""

    def value(bad: int) -> Any:
        if kind == "array":
            return [swap(), *[1] * bad]
        if kind == "envelope":
            return envelope(inside(swap()), *[1] * bad)
        return envelope(inside(swap()), *[1] * (bad // 2), transactions=[1] * (bad - bad // 2))

    state = validator()
    (letter,) = take(value(1_001), state=state).dead_letters
    assert (letter.reason, letter.field, letter.index, letter.raw) == ("too_many_faults", "", None, letter.record.raw)
    assert f"more than 1,000 of its {1_002:,} elements" in letter.detail and "wrong_type" in letter.detail
    assert state.assembly.blocks == {} and state.floor() is None
    assert len(take(value(1_000), state=state, first=1).dead_letters) == 1_000
    assert (1, NUMBER) in state.assembly.blocks


@pytest.mark.parametrize("whole", [False, True])
def test_a_record_of_more_elements_than_can_be_good_is_refused_unread(whole: bool) -> None:
    elements: Any = [1] * 100_001
    (letter,) = take(envelope(*elements) if whole else elements).dead_letters
    assert (letter.reason, letter.index) == ("too_many_faults", None) and "at most 100000 element(s)" in letter.detail
