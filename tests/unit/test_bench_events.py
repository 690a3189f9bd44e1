"""The input of `soba bench firehose`: the same every time, and each planted fault is refused for its reason."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice

import orjson
import pytest

from agents.agent import Record
from agents.validate import Validator
from console.bench import checks, events
from models.chain import rules
from models.chain.normal_form import normalise
from topics import codecs

COUNT = 12  # 48 faults: more than either list has


def records(values: Sequence[bytes]) -> list[Record]:
    return [Record("chain.events", 0, offset, b"1", [], value, None) for offset, value in enumerate(values)]


def made(**options: object) -> list[events.BlockOf200]:
    return list(events.blocks(COUNT, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("checksummed", [False, True])
def test_alone_each_bad_event_is_refused_for_its_reason_and_no_other(checksummed: bool) -> None:
    blocks = made(checksummed=checksummed)
    planted = [(v, r) for block in blocks for v, r in zip(block.values, block.reasons, strict=True) if r]
    values = [value for block in blocks for value in block.values]
    result = Validator(0, 1).handle(records(values), time.time())
    assert [(letter.raw, letter.reason) for letter in result.dead_letters] == planted
    assert result.taken == {"new": COUNT * events.BLOCK_GOOD}


def test_in_envelopes_each_bad_event_is_refused_for_its_reason_and_no_other() -> None:
    blocks = made(faults=events.INSIDE)
    planted = [(v, r) for block in blocks for v, r in zip(block.values, block.reasons, strict=True) if r]
    result = Validator(0, 1).handle(records([block.envelope() for block in blocks]), time.time())
    assert [(letter.raw, letter.reason) for letter in result.dead_letters] == planted
    assert [len(orjson.loads(output.value)["events"]) for output in result.outputs] == [events.BLOCK_GOOD] * COUNT


def test_every_fault_and_event_type_has_its_turn() -> None:
    assert len(events.SINGLE) <= COUNT * events.BLOCK_BAD
    assert len(events.INSIDE) <= COUNT * events.BLOCK_BAD
    good = [v for block in made() for v, r in zip(block.values, block.reasons, strict=True) if not r]
    assert {orjson.loads(value)["event_type"] for value in good} == set(rules.RULES)


def test_every_rule_is_broken_by_some_fault() -> None:
    """Each rule of each kind of event says something about one of the planted."""
    silent = {rule.__name__ for found in rules.RULES.values() for rule in found}
    inside = rules.Context(time.time(), 1, events.FIRST_BLOCK + 1, "0x" + "f1" * 32, events.FIRST_TIME)
    for faults, context in ((events.SINGLE, rules.Context(time.time())), (events.INSIDE, inside)):
        for block in made(faults=faults):
            for value, reason in zip(block.values, block.reasons, strict=True):
                (event,) = codecs.decode_chain_events([value])
                if reason is None or isinstance(event, codecs.Unfit | codecs.Malformed):
                    continue
                model = codecs.event_model(event) if isinstance(event, dict) else event
                normalise(model)
                silent -= {rule.__name__ for rule in rules.RULES[model.event_type] if rule(model, context)}
    assert silent == set()


def test_it_is_the_same_every_time_and_no_event_comes_twice() -> None:
    assert made() == made()
    assert list(islice(events.blocks(10**9), 3)) == made()[:3]
    hashes = [orjson.loads(v)["transaction_hash"] for b in made(faults=events.INSIDE_FAULTS) for v in b.values]
    assert len(set(hashes)) == COUNT * events.BLOCK_EVENTS


def test_lower_case_events_are_in_normal_form_and_checksummed_ones_are_not() -> None:
    for checksummed, share in ((False, 1.0), (True, 0.0)):
        good = [v for b in made(checksummed=checksummed) for v, r in zip(b.values, b.reasons, strict=True) if not r]
        decoded = list(codecs.decode_chain_events(good))
        assert sum(isinstance(event, dict) for event in decoded) / len(decoded) == share


def test_real_events_are_not_refused() -> None:
    real, refused = checks.real_events_refused()
    assert real > 5_000
    assert refused == 0
