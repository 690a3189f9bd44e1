"""How long a complete envelope takes from its place in a schedule to its valid block in chain.blocks, in a reader's hand."""

from __future__ import annotations

import gc
import re
from dataclasses import dataclass, field

from confluent_kafka import Message

from console.bench.arrivals import Arrivals, offer
from console.bench.events import BLOCK_EVENTS, FIRST_BLOCK, INSIDE, blocks
from console.bench.race import SOBA, begin, running, wait_for_work
from console.bench.stage import Stage
from console.local.errors import LocalError
from topics.registry import CHAIN_BLOCKS, CHAIN_EVENTS

WARM_UP_S = 3.0
_find = re.compile(rb'"number":(\d+)').search


@dataclass(slots=True)
class Times:
    """Milliseconds of each envelope, how late each was sent, and how many blocks never came."""

    took: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    missing: int = 0


def measure(stage: Stage, rate: int, seconds: float, tag: str) -> Times:
    """Offer `rate` events a second, whether or not earlier ones have come out."""
    warm = int(rate * WARM_UP_S / BLOCK_EVENTS)
    count = warm + int(rate * seconds / BLOCK_EVENTS)
    values = [block.envelope() for block in blocks(count, faults=INSIDE)]
    stage.fresh(CHAIN_EVENTS.name)
    begin(stage, SOBA)
    times = Times()

    def late(place: int, milliseconds: float) -> None:
        if place + 1 >= warm:
            times.late.append(milliseconds)

    with (
        running(stage, SOBA, "envelope", tag) as process,
        Arrivals.reading(stage, CHAIN_BLOCKS.name, _number) as came,
        stage.probe(CHAIN_BLOCKS.name) as probe,
    ):
        stage.fill([("1", values[0])], CHAIN_EVENTS.name, "a first block")
        wait_for_work([process], probe)
        came.wait_for(1)
        gc.collect()
        gc.freeze()  # of the driver, whose pauses would count as Soba's
        due = offer(stage, CHAIN_EVENTS.name, [("1", value, []) for value in values[1:]], rate / BLOCK_EVENTS, late)
        came.wait_for(count)
        gc.unfreeze()
    for place in range(warm, count):
        arrived = came.at.get(str(FIRST_BLOCK + place))
        if arrived is None:
            times.missing += 1
        else:
            times.took.append((arrived - due[place - 1]) * 1000)
    if not times.took:
        raise LocalError("no block came out")
    return times


def _number(message: Message) -> str | None:
    found = _find(message.value() or b"")
    return found[1].decode() if found else None
