"""How long a complete envelope takes from its place in a schedule to its valid block in chain.blocks, in a reader's hand."""

from __future__ import annotations

import gc
import re
import threading
import time
from dataclasses import dataclass, field

from confluent_kafka import Consumer, Producer

from console.bench.events import BLOCK_EVENTS, FIRST_BLOCK, INSIDE, blocks
from console.bench.race import SOBA, begin, running, wait_for_work
from console.bench.stage import Stage
from console.local.errors import LocalError
from topics import clients
from topics.registry import CHAIN_BLOCKS, CHAIN_EVENTS

WARM_UP_S = 3.0
LAST_S = 15.0
_number = re.compile(rb'"number":(\d+)').search


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
    producer = Producer({**clients.producer(stage.settings), "linger.ms": 0})
    with running(stage, SOBA, "envelope", tag) as process:
        came = _Reader(stage)
        came.start()
        producer.produce(CHAIN_EVENTS.name, values[0], b"1")
        producer.flush()
        with stage.probe(CHAIN_BLOCKS.name) as probe:
            wait_for_work([process], probe)
        came.wait_for(1)
        gc.collect()
        gc.freeze()  # of the driver, whose pauses would count as Soba's
        times = Times()
        due: dict[int, float] = {}
        began = time.perf_counter() + 0.1
        for place in range(1, count):
            due[FIRST_BLOCK + place] = at = began + place * BLOCK_EVENTS / rate
            while (early := at - time.perf_counter()) > 0:
                time.sleep(early)
            if place >= warm:
                times.late.append((time.perf_counter() - at) * 1000)
            producer.produce(CHAIN_EVENTS.name, values[place], b"1")
            producer.poll(0)
        producer.flush()
        came.wait_for(count)
        came.stop.set()
        came.join()
        gc.unfreeze()
    for number in range(FIRST_BLOCK + warm, FIRST_BLOCK + count):
        if number in came.at:
            times.took.append((came.at[number] - due[number]) * 1000)
        else:
            times.missing += 1
    if not times.took:
        raise LocalError("no block came out")
    return times


class _Reader(threading.Thread):
    """Notes when each block is there first."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.at: dict[int, float] = {}
        self._config = clients.consumer(stage.settings, "bench.latency")

    def run(self) -> None:
        consumer = Consumer(self._config)
        consumer.subscribe([CHAIN_BLOCKS.name])
        while not self.stop.is_set():
            message = consumer.poll(0.2)
            if message is None or message.error() is not None:
                continue
            now, found = time.perf_counter(), _number(message.value() or b"")
            if found:
                self.at.setdefault(int(found[1]), now)
        consumer.close()

    def wait_for(self, blocks: int) -> None:
        """Until so many are there, or for a while."""
        give_up_at = time.monotonic() + LAST_S
        while len(self.at) < blocks and time.monotonic() < give_up_at:
            time.sleep(0.05)
