"""validate ends in the same state however it is fed: random records, batched, delayed and killed anywhere.

They are of a few chains, blocks and forks.

`Feeder` stands in for Kafka and the runtime: it gives results out in their order, confirms a prefix of them where it is killed,
commits floors, and begins again from the committed offset and the tail of chain.blocks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.agent import DeadLetter, Output, Record, Result, Written
from agents.validate import AGENT
from models.chain import assembly
from tests.unit.validating import CHAINS, ELSEWHERE, FORKS, HERE, PARTITIONS, validator
from tests.unit.wire import (
    ALICE,
    BOB,
    DAI,
    NOW,
    NUMBER,
    TIME,
    USDC,
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
from topics.schemas.chain import Block, PairTrades, WalletActivity

BlockId = tuple[int, int]


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
