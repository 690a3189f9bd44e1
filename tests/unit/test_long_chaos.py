"""The parts of `soba chaos` that decide: what differs from an undisturbed run, and which kinds of disturbance there are."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any, get_args

from base.settings import ROOT
from models.mev import detect
from tests.chaos.compare import Difference, difference
from tests.chaos.events import IN_PIECES, of_every_kind, samples
from tests.chaos.load import FIRST_PROBE, events_in, posts, probe
from topics.schemas.chain import Block
from topics.schemas.mev import Kind

CALM: dict[str, Any] = {
    "chain.blocks": {"7": {"events": [{"transaction_hash": "0x1", "log_index": 0}, {"transaction_hash": "0x1"}]}},
    "pair.trades": {"clock": 5, "said": {("a:b", 7): [1]}},
    "chain.events.dlq": [["too_late", "x"]],
    "table mev": {"C:7": {"findings": [1]}},
}


def test_what_is_lost_doubled_or_other_is_counted() -> None:
    found = copy.deepcopy(CALM)
    assert not difference(CALM, found)
    found["chain.blocks"]["7"]["events"].pop()
    assert difference(CALM, found) == Difference(lost=1, rows=1)
    found["chain.blocks"]["7"]["events"] += [{"transaction_hash": "0x1"}] * 2
    assert difference(CALM, found) == Difference(twice=1, rows=1)
    found["chain.events.dlq"].append(["too_late", "x"])
    assert difference(CALM, found) == Difference(twice=2, rows=2)
    found["pair.trades"]["clock"] = 6
    found["table mev"].clear()
    assert difference(CALM, found) == Difference(twice=2, rows=4)


def test_events_are_counted_in_every_form() -> None:
    assert events_in(b"{not json") == 1
    assert events_in(b'[{"a": 1}, {"a": 2}]') == 2
    assert events_in(b'{"event_type": "swap"}') == 1
    assert events_in(probe(1, FIRST_PROBE)) >= 3
    assert sum(map(len, posts(1))) == sum(len(samples()[name]["events"]) for name in IN_PIECES)


def test_the_command_names_the_kinds_there_are() -> None:
    argv = [sys.executable, "-m", "console", "chaos", "--only", "kafka,nothing"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "no kind nothing" in done.stderr


def test_every_block_of_the_chaos_tests_has_a_finding_of_each_kind() -> None:
    assert {one.kind for one in detect(of_every_kind(1))} == set(get_args(Kind))
    for name, block in samples().items():
        assert {one.kind for one in detect(Block.model_validate(block))} == set(get_args(Kind)), name
