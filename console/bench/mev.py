"""`soba bench mev`: how fast blocks are decoded and looked through, and how long their findings take, as in production."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import dropwhile, islice
from statistics import median
from typing import Annotated, Any

import psutil
import typer
from confluent_kafka import Message

from agents.app import WORKERS
from base.settings import load
from console import figures
from console.bench.arrivals import Arrivals, offer
from console.bench.mev_blocks import CHAIN, Sent, blocks, cycle, files
from console.bench.race import PEERS, VALIDATE_GROUP, Candidate, running, wait_for_work
from console.bench.reply import percentile
from console.bench.rows import chosen, measure
from console.bench.stage import Stage, say, stage
from console.figures import Figure
from console.local.errors import LocalError
from ingest.decode import decode
from ingest.files import read
from models.mev import detect
from topics.headers import get
from topics.registry import ALERTS, CHAIN_BLOCKS, CHAIN_EVENTS, MEV_FINDINGS, PAIR_TRADES, WALLET_ACTIVITY

VALIDATE = Candidate("validate", "Soba's validate", ("-m", "console", "worker", "validate"), topic=CHAIN_BLOCKS.name)
CHAIN_WORKER = Candidate("chain", "Soba's chain", ("-m", "console", "worker", "chain"), topic=MEV_FINDINGS.name)
TOPICS = (CHAIN_EVENTS.name, CHAIN_BLOCKS.name, PAIR_TRADES.name, WALLET_ACTIVITY.name, MEV_FINDINGS.name, ALERTS.name)
GROUPS = (VALIDATE_GROUP, WORKERS["chain"].app_id)
USUAL = 100
"""Blocks a second: how much input a second of measuring needs, about."""
PATIENCE = 12
"""So many times longer than asked for it may take."""
OFFERED = 20
"""Blocks a second of the steady load: some 3,500 transactions, three and a half times the target of 1,000."""
TURNS = 5
WARM_UP_S = 3.0
MEASURED = "mev-inspect-py about 2, mev-inspect-js 0.1 to 10 (measured elsewhere)"
INSPECT = "mev-inspect 0.9.0 (npm)"


@dataclass
class Bench:
    """What rows are measured with, and what they found."""

    seconds: float
    stage: Stage | None = None
    figures: list[Figure] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str, reference: str = "", pass_: str = "", aim: str = "") -> None:
        """Note a figure."""
        digits = 0 if abs(value) >= 1000 else 2
        self.figures.append(Figure(name, round(value, digits), unit, reference or None, pass_ or None, aim or None))


def core(bench: Bench) -> None:
    """Decode and detect of each sample block in this process: CPU seconds of the fastest of some turns."""
    spent, transactions = [], 0
    for file in files():
        raw, took = read(file), math.inf
        for _ in range(TURNS):
            began = time.process_time()
            block = decode(raw, str(file)).block
            detect(block)
            took = min(took, time.process_time() - began)
        spent.append(took)
        transactions += len(block.transactions)
    bench.add("decode + detect, median block, one core", 1 / median(spent), "blocks/s", MEASURED, ">= 200", "500")
    bench.add("decode + detect, all 30 blocks, one core", len(spent) / sum(spent), "blocks/s")
    bench.add("decode + detect, one core", transactions / sum(spent), "transactions/s", "claimed 1,000", "> 1000")


def inspect(bench: Bench) -> None:
    """mev-inspect on the same blocks, each from its own form of the file to what it reports."""
    ours = {figure.name: figure.value for figure in bench.figures}
    found = _inspected()
    if found is None:
        bench.add("mev-inspect: node and npm are not here", 0, "blocks/s", MEASURED)
        return
    through = [one for one in found if "gave_up" not in one]
    rate = 1 / median(one["seconds"] for one in through)
    bench.add(f"{INSPECT}, median block, one core", rate, "blocks/s", "arbitrages and liquidations only")
    bench.add(f"{INSPECT}, blocks that it gave up on", len(found) - len(through), "of 30 blocks")
    bench.add(f"{INSPECT}, arbitrages reported", sum(one["arbitrages"] for one in through), "findings")
    bench.add(f"{INSPECT}, liquidations reported", sum(one["liquidations"] for one in through), "findings")
    if mine := ours.get("decode + detect, median block, one core"):
        bench.add(f"Soba to {INSPECT}, median block", mine / rate, "x")


def _inspected() -> list[dict[str, Any]] | None:
    """A line a block of `benchmarks/peers/mev_inspect/inspect.mjs`; None without Node."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return None
    folder = load().data_dir / "bench" / "mev-inspect"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "inspect.mjs"):
        shutil.copy(PEERS / "mev_inspect" / name, folder / name)
    say(f"installing {INSPECT} in {folder}")
    subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True, capture_output=True
    )
    say(f"{INSPECT} looks through the sample blocks")
    told = subprocess.run(
        ["node", "inspect.mjs", *map(str, files())], cwd=folder, check=True, capture_output=True, text=True
    )
    return [json.loads(line) for line in told.stdout.splitlines()]


@contextmanager
def _workers(there: Stage, tag: str) -> Iterator[list[psutil.Process]]:
    """The production workers validate and chain, on cores of their own where there are enough."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(running(there, candidate, "envelope", f"{tag}-{candidate.name}", number))
            for number, candidate in enumerate((VALIDATE, CHAIN_WORKER))
        ]


def _begin(bench: Bench) -> Stage:
    """Nothing of an earlier run is left: neither outputs, from which a restart would take up its work, nor offsets."""
    assert bench.stage is not None
    bench.stage.fresh(*TOPICS)
    for group in GROUPS:
        bench.stage.forget(group)
    return bench.stage


def flow(bench: Bench) -> None:
    """chain.events → chain.blocks → mev.findings and rows, by both workers, from the first finding to the last of all blocks.

    To the end, since validate runs ahead: while it has the core too, findings come more slowly than blocks go through in all.
    """
    there = _begin(bench)
    of_cycle, transactions, found = cycle()
    count = max(2, -(-int(USUAL * bench.seconds) // of_cycle)) * of_cycle
    there.fill(((str(CHAIN), one.value) for one in blocks(count)), CHAIN_EVENTS.name, "blocks")
    with _workers(there, "flow") as processes, there.probe(MEV_FINDINGS.name) as probe:
        wait_for_work(processes, probe)
        first, began, used = probe.count(), time.perf_counter(), _cpu(processes)
        wanted = found * count // of_cycle
        give_up_at = began + PATIENCE * bench.seconds
        while probe.count() < wanted:
            if time.perf_counter() > give_up_at:
                raise LocalError(f"{probe.count():,} of {wanted:,} findings after {PATIENCE * bench.seconds:g} s")
            time.sleep(0.02)
        seconds, spent = time.perf_counter() - began, _cpu(processes) - used
    done = (wanted - first) * of_cycle / found
    bench.add("chain.events to mev.findings", done / seconds, "blocks/s", "validate and chain", ">= 100")
    claimed = ("claimed 1,000", "> 1000")
    bench.add("chain.events to mev.findings", done / seconds * transactions / of_cycle, "transactions/s", *claimed)
    bench.add("chain.events to mev.findings, CPU of both workers", done / spent, "blocks/CPU-s")


def _cpu(processes: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return float(sum(one.user + one.system for one in times))


def latency(bench: Bench) -> None:
    """From a block's place in a schedule to the last of its findings in a reader's hand."""
    there = _begin(bench)
    warm, count = int(OFFERED * WARM_UP_S), int(OFFERED * (WARM_UP_S + bench.seconds))
    # The first one has findings, so that both workers are known to be at work when the schedule begins.
    first, *sent = islice(dropwhile(lambda one: not one.findings, blocks(2 * count)), count + 1)
    with (
        _workers(there, "latency") as processes,
        Arrivals.reading(there, MEV_FINDINGS.name, _finding) as came,
        there.probe(MEV_FINDINGS.name) as probe,
    ):
        there.fill([(str(CHAIN), first.value)], CHAIN_EVENTS.name, "a first block")
        wait_for_work(processes, probe)
        came.wait_for(len(first.findings))
        due = offer(there, CHAIN_EVENTS.name, [(str(CHAIN), one.value, []) for one in sent], OFFERED)
        wanted = frozenset().union(*(one.findings for one in (first, *sent)))
        came.wait_for(len(wanted))
    took = [
        (max(came.at[id] for id in one.findings) - at) * 1000
        for one, at in list(zip(sent, due, strict=True))[warm:]
        if one.findings and one.findings <= came.at.keys()
    ]
    if not took:
        raise LocalError("no finding came out")
    offered = f"{OFFERED} blocks/s, {_transactions(sent[warm:]) / bench.seconds:,.0f} transactions/s"
    bench.add("a block's findings, p50", percentile(took, 0.5), "ms", offered)
    bench.add("a block's findings, p99", percentile(took, 0.99), "ms", offered, "< 100")
    bench.add("a block's findings, longest", max(took), "ms", offered)
    bench.add(
        "findings lost or not detect's own", len(wanted ^ came.at.keys()), "findings", f"{len(wanted):,} in all", "= 0"
    )


def _transactions(sent: list[Sent]) -> int:
    return sum(one.transactions for one in sent)


def _finding(message: Message) -> str:
    headers: Any = message.headers() or []
    return (get(headers, "ce_id") or b"").decode().rpartition(":")[0]


ALONE = {"core": core, "inspect": inspect}
STAGED = {"flow": flow, "latency": latency}
ROWS = {**ALONE, **STAGED}


def mev(
    rows: Annotated[str, typer.Option(help=f"Which, by comma: {', '.join(ROWS)}.")] = ",".join(ROWS),
    seconds: Annotated[float, typer.Option(min=1, help="How long flow and latency are measured each.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    keep: Annotated[bool, typer.Option(help="Keep the result in benchmarks/results.")] = False,
) -> None:
    """Blocks decoded and looked through a second, beside mev-inspect, and how long findings take; docs/models/mev.md says how."""
    names = chosen(rows, ROWS)
    bench = Bench(seconds)
    measure(bench, [name for name in names if name in ALONE], ALONE)
    if staged := [name for name in names if name in STAGED]:
        with stage() as bench.stage:
            measure(bench, staged, STAGED)
    if keep:
        figures.keep(
            "mev", bench.figures, {"rows": names, "seconds": seconds, "offered": OFFERED, "cores": psutil.cpu_count()}
        )
    raise typer.Exit(figures.show(bench.figures, as_json))
