"""What the parts of judging an event cost in this process, one after another: no Kafka, and nothing done with what comes out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from pydantic_core import from_json

from console.bench import events
from models.chain import rules
from topics import codecs

BLOCKS = 200
TIMES = 7
"""The fastest of so many counts: whatever else runs only makes it slower."""


def measure(form: str) -> dict[str, float]:
    """Microseconds an event of `form` (`single`, `envelope`), by what is done: each holds the one before."""
    faults = events.SINGLE if form == "single" else events.INSIDE
    blocks = list(events.blocks(BLOCKS, faults=faults))
    raws = (
        [block.envelope() for block in blocks] if form == "envelope" else [v for block in blocks for v in block.values]
    )
    done: dict[str, Callable[[Sequence[bytes]], int]] = {
        "JSON without a schema": _read,
        "decoded": _decode,
        "judged": _judge,
    }
    expected = {"judged": BLOCKS * events.BLOCK_GOOD}
    found = {}
    for name, do in done.items():
        taken = []
        for _ in range(TIMES):
            began = time.process_time()
            many = do(raws)
            taken.append(time.process_time() - began)
            if many != expected.get(name, many):
                raise AssertionError(f"{form}: {many} events are good, not {expected[name]}")
        found[name] = min(taken) / (BLOCKS * events.BLOCK_EVENTS) * 1e6
    return found


def _read(raws: Sequence[bytes]) -> int:
    for raw in raws:
        try:
            from_json(raw)
        except ValueError:  # one that is planted
            continue
    return len(raws)


def _decode(raws: Sequence[bytes]) -> int:
    return sum(1 for _ in codecs.decode_chain_events(raws))


def _judge(raws: Sequence[bytes]) -> int:
    now, good = time.time(), 0
    alone = rules.Context(now)
    for value in codecs.decode_chain_events(raws):
        if isinstance(value, codecs.Envelope):
            context = rules.Context(now, value.chain_id, value.number, value.hash, value.timestamp)
            good += sum(one.__class__ is dict and rules.keeps(one, context) for one in value.events)
        else:
            good += value.__class__ is dict and rules.keeps(value, alone)
    return good
