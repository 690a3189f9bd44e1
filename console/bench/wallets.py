"""How many wallets a second are updated and scored, on one core."""

from __future__ import annotations

import gc
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

import orjson

from agents import profiles
from agents.activity import Activity
from agents.agent import Record
from agents.outlet import Outlet
from agents.releases import shipped
from agents.runtime import Runner
from agents.stream import BATCH, BATCH_BYTES
from base.garbage import collect_rarely
from base.settings import ROOT
from console.bench.stage import Stage, say
from console.figures import Figure
from ingest.files import read_blocks
from models.chain import views
from models.fraud.scorer import FRAUD
from topics import codecs
from topics.registry import WALLET_ACTIVITY

SAMPLES = ROOT / "samples" / "blocks"
FIRST, FIRST_TIME, SLOT_S = 20_000_000, 1_750_000_000, 12
WARM_UP = 2
"""Times that the sample goes by before it counts."""
ROUND_S = 0.65
"""How long once takes, at about the 15,000 updates a second that are asked."""


def measure(place: Stage, seconds: float) -> list[Figure]:
    """Views of real blocks through the agent `profiles` and its runtime, to rows in a real Redis and levels in a real Kafka.

    In this process, on a core of its own, the servers on the others; the sample's 30 blocks go by as often as they do in about so
    many seconds. Once each wallet comes back with every round, after six minutes of chain time, while its row is in memory; once it
    is another wallet each time, but for the ten busiest; and once it comes back and has to be read from Redis, as it is after a
    restart or a longer time. A batch holds up to 64 blocks, so a wallet that comes back is twice in it.
    """
    rounds = math.ceil(seconds / ROUND_S)
    with _on(place):
        return [
            *_measured(place, "wallets that come back", rounds, chain_id=1, fresh=False),
            *_measured(place, "wallets never seen", rounds, chain_id=2, fresh=True),
            *_measured(place, "wallets that come back, forgotten", rounds, chain_id=3, fresh=False, cached=0),
        ]


@contextmanager
def _on(place: Stage) -> Iterator[None]:
    """This process as a worker would be: on one core, its garbage collected seldom."""
    before, thresholds = os.sched_getaffinity(0) if place.own else set(), gc.get_threshold()
    if place.own:
        os.sched_setaffinity(0, {place.own[0]})
    collect_rarely()
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
        if before:
            os.sched_setaffinity(0, before)


def _measured(
    place: Stage, name: str, rounds: int, chain_id: int, fresh: bool, cached: int = profiles.AGENT.cached
) -> Iterator[Figure]:
    model = shipped(FRAUD)
    outlet = Outlet(place.settings, Activity())
    outlet.models = lambda: {FRAUD.name: model}
    runner = Runner(replace(profiles.AGENT, cached=cached), outlet)
    values = list(_views(WARM_UP + rounds, chain_id, fresh))
    warm = len(values) * WARM_UP // (WARM_UP + rounds)
    wallets, moves = sum(one.wallets for one in values[warm:]), sum(one.moves for one in values[warm:])
    records = [Record(WALLET_ACTIVITY.name, 0, at, b"0", [], one.raw, None) for at, one in enumerate(values)]
    _run(runner, records[:warm])
    say(f"{name}: {wallets:,} updates of {moves:,} moves")
    wall, cpu = time.perf_counter(), time.process_time()
    _run(runner, records[warm:])
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    asked = (">= 15000", ">= 40000") if cached else (None, None)
    yield Figure(name, round(wallets / wall), "wallet updates/s", None, *asked)
    yield Figure(f"{name}: moves", round(moves / wall), "moves/s")
    yield Figure(f"{name}: of processor time", round(cpu / wallets * 1e6, 1), "µs/update")


def _run(runner: Runner, records: list[Record]) -> None:
    """In batches as `agents.stream` takes them from a backlog."""
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record.raw)
        if len(batch) == BATCH or size >= BATCH_BYTES or record is records[-1]:
            runner.begin(batch)
            batch, size = [], 0
    runner.finish()


class _View(NamedTuple):
    """A value of wallet.activity, and what it holds."""

    raw: bytes
    wallets: int
    moves: int


def _views(rounds: int, chain_id: int, fresh: bool) -> Iterator[_View]:
    """The sample's blocks as one chain, again and again."""
    blocks = [orjson.loads(codecs.encode(found.block)) for found in read_blocks(SAMPLES)]
    seen: dict[str, int] = {}
    for block in blocks:
        for key in views.activity({**block, "chain_id": chain_id}):
            seen[key] = seen.get(key, 0) + 1
    busy = set(sorted(seen, key=lambda key: -seen[key])[:10])
    for number in range(rounds * len(blocks)):
        head = {"chain_id": chain_id, "number": FIRST + number, "revision": number}
        block = {**blocks[number % len(blocks)], **head, "timestamp": FIRST_TIME + SLOT_S * number}
        (value,) = views.wallet_records(block, (), lambda _: 0).values()
        turn, told = number // len(blocks), value["wallets"].items()
        for move in chain.from_iterable(value["wallets"].values()):
            # No two blocks pay the same: what is worked out for one must not do for its like of another turn.
            if "value_wei" in move:
                move["value_wei"] = str(int(move["value_wei"]) * (100_003 + turn) // 100_003)
            if "gas_price_wei" in move:
                move["gas_price_wei"] += 1_000_003 * turn
        if fresh:
            mark = f"{turn:04x}"
            value["wallets"] = {key if key in busy else key[:-4] + mark: moves for key, moves in told}
        yield _View(orjson.dumps(value), len(value["wallets"]), sum(map(len, value["wallets"].values())))
