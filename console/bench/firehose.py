"""`soba bench firehose`: how many events a second go through validate, beside peers that do the same work."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from statistics import median
from typing import Annotated

import typer

from base.settings import ROOT
from console import figures
from console.bench import checks, events, latency, parts
from console.bench.downstream import valid_blocks
from console.bench.race import (
    BARE,
    CANDIDATES,
    PEERS,
    QUIX,
    QUIX_VIEWS,
    SCHEMA_ONLY,
    SOBA,
    Candidate,
    Result,
    Run,
    begin,
    python,
    race,
    running,
    window,
)  # fmt: skip
from console.bench.reply import percentile
from console.bench.rows import chosen, measure
from console.bench.stage import Stage, say, stage
from console.figures import Figure
from console.local.errors import LocalError
from topics.partition import partition
from topics.registry import ALERTS, CHAIN_BLOCKS, CHAIN_EVENTS

SINGLES_A_SECOND, IN_ENVELOPES_A_SECOND = 300_000, 450_000
"""Faster than anybody here: how much input a second of measuring needs."""
BESIDE_S = 3.0
"""What is read before the window begins: the warm-up, and what a fast start reads before it is seen."""
OFFERED = 20_000
NAMES = ",".join(one.name for one in CANDIDATES)
OTHER_CHAINS = (10, 56, 137, 8453, 42161, 43114)


@dataclass
class Bench:
    """What rows are measured with, and what they found."""

    stage: Stage
    seconds: float
    runs: int
    candidates: list[Candidate]
    size: int | None
    """Events of an input; None: enough for the fastest."""
    memory_events: int
    figures: list[Figure] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str, reference: str = "", pass_: str = "", aim: str = "") -> None:
        """Note a figure."""
        digits = 0 if abs(value) >= 1000 else 3
        self.figures.append(Figure(name, round(value, digits), unit, reference or None, pass_ or None, aim or None))

    def fill(self, form: str, *, checksummed: bool = False, faults: Sequence[events.Planted] | None = None) -> int:
        """Have chain.events hold enough for the fastest; returns how many valid events that is."""
        rate = SINGLES_A_SECOND if form == "single" else IN_ENVELOPES_A_SECOND
        count = self.size or int(rate * (self.seconds + BESIDE_S))
        return self.fill_blocks(form, -(-count // events.BLOCK_EVENTS), checksummed=checksummed, faults=faults)

    def fill_blocks(
        self, form: str, count: int, *, checksummed: bool = False, faults: Sequence[events.Planted] | None = None
    ) -> int:
        """Have chain.events hold so many blocks."""
        planted = faults or (events.SINGLE if form == "single" else events.INSIDE)
        made = events.blocks(count, checksummed=checksummed, faults=planted)
        self.stage.fresh(CHAIN_EVENTS.name)
        self.stage.fill(records(form, made), CHAIN_EVENTS.name, f"input, {count * events.BLOCK_EVENTS:,} events")
        return count * events.BLOCK_GOOD


def records(form: str, made: Iterator[events.BlockOf200]) -> Iterator[tuple[str, bytes]]:
    """Blocks as (key, value) of chain.events."""
    for block in made:
        key = str(block.chain_id)
        if form == "envelope":
            yield key, block.envelope()
        else:
            for value in block.values:
                yield key, value


def catching(bench: Bench) -> None:
    """Planted faults of every rule, and real events; the same of every candidate, so that all do the same work."""
    for form, faults in (("single", events.SINGLE), ("envelope", events.INSIDE)):
        bench.fill_blocks(form, checks.CHECK_BLOCKS)
        made = list(events.blocks(checks.CHECK_BLOCKS, faults=faults))
        for candidate in _judges(bench, form):
            found = checks.check(bench.stage, candidate, form, made)
            told = f"{candidate.title}, {form}:"
            ours = candidate is SOBA
            part = 100 * found.caught / found.planted
            bench.add(f"{told} planted faults refused with their reason", part, "%", "", ">= 99" if ours else "", "100")
            wrong = found.refused + found.missing + (found.planted - found.caught)
            say(f"{told} {found}")
            bench.add(f"{told} rejects not planted, events lost or doubled", wrong, "events", "", "= 0")
    real, refused = checks.real_events_refused()
    bench.add("good real events refused", 100 * refused / real, "%", f"{real:,} events", "<= 0.1")


def single(bench: Bench) -> None:
    """Single events, every rule on, beside all candidates."""
    found = race(bench.stage, bench.candidates, "single", "single", bench.seconds, bench.runs, bench.fill("single"))
    _compare(bench, found, "single events, every rule on", ">= 100000", "150000")
    soba = found.get(SOBA.name)
    if soba is None:
        return
    if "quix" in found:
        bench.add("single events, Soba to Quix Streams", soba.wall / found["quix"].wall, "x", "", ">= 1.3")
        bench.add("single events, Soba to Quix Streams, by CPU-second", soba.cpu / found["quix"].cpu, "x")
    if "raw" in found:
        bench.add("single events, Soba to the raw pass-through", soba.wall / found["raw"].wall, "x", aim=">= 0.6")
    if BARE.name in found:
        bench.add("single events, Soba to Kafka, decoding and rules alone", soba.wall / found[BARE.name].wall, "x")
    _flat(bench, "single events, memory at 100 % to 25 % of the window", soba.runs)


def checksummed(bench: Bench) -> None:
    """The same events with EIP-55 addresses, of which none is in normal form."""
    available = bench.fill("single", checksummed=True)
    found = race(bench.stage, _ours(bench), "single", "checksummed", bench.seconds, bench.runs, available)
    _compare(bench, found, "single events, checksummed addresses")


def schema(bench: Bench) -> None:
    """Rules about several fields off, and only schema faults planted. No setting turns them off: this is what they cost."""
    available = bench.fill("single", faults=events.SCHEMA_FAULTS)
    pair = [SCHEMA_ONLY, SOBA]
    found = race(bench.stage, pair, "single", "schema", bench.seconds, bench.runs, available)
    _compare(bench, {"schema": found["schema"]}, "single events, schema rules only", ">= 120000", "170000")
    bench.add("single events, schema faults only, every rule on", found["soba"].wall, "valid/s")


def envelopes(bench: Bench) -> None:
    """Envelopes of 200 events, beside all candidates that judge, and judging alone."""
    available = bench.fill("envelope")
    candidates = [*_judges(bench, "envelope"), *([BARE] if BARE in bench.candidates else [])]
    found = race(bench.stage, candidates, "envelope", "envelope", bench.seconds, bench.runs, available)
    _compare(bench, found, "envelopes of 200 events", ">= 180000", "300000")
    if "soba" in found and "quix" in found:
        bench.add("envelopes, Soba to Quix Streams", found["soba"].wall / found["quix"].wall, "x", "", ">= 1")
        same = found["soba"].wall / found[QUIX_VIEWS.name].wall
        bench.add("envelopes, Soba to Quix Streams, views too", same, "x")
    if "soba" in found and BARE.name in found:
        bench.add("envelopes, Soba to Kafka, decoding and rules alone", found["soba"].wall / found[BARE.name].wall, "x")


def split(bench: Bench) -> None:
    """What decoding and the rules alone cost, without Kafka."""
    for form in ("single", "envelope"):
        for name, took in parts.measure(form).items():
            bench.add(f"{form}, in process: {name}", took, "µs/event")


def memory(bench: Bench) -> None:
    """Single events by the million: whether memory grows."""
    available = bench.fill_blocks("single", bench.memory_events // events.BLOCK_EVENTS)
    begin(bench.stage, SOBA)
    with bench.stage.probe(SOBA.topic) as probe, running(bench.stage, SOBA, "single", "memory") as process:
        made = window([process], probe, events.BLOCK_GOOD, math.inf, available)
    _flat(bench, f"memory at 100 % to 25 % of {bench.memory_events:,} events", [made], "<= 1.1")


def tables(bench: Bench) -> None:
    """Rows into Redis, each batch on disk before the next."""
    found = []
    for _ in range(bench.runs):
        child = subprocess.run(
            [sys.executable, "-m", "console.bench.tables", str(bench.seconds)],
            cwd=ROOT,
            env=bench.stage.environment(),
            preexec_fn=bench.stage.pin(),
            check=True,
            stdout=subprocess.PIPE,
        )
        found.append(json.loads(child.stdout))
    plain, indexed = (median(pair[which] for pair in found) for which in (0, 1))
    bench.add("table writes, newer wins", plain, "rows/s", "appendfsync always", ">= 80000", "120000")
    bench.add("table writes, newer wins, an index entry each", indexed, "rows/s", "appendfsync always")


DOWNSTREAM = Candidate("downstream", "Faust agent", command=("-m", "console.bench.downstream"), topic=ALERTS.name)


def downstream(bench: Bench) -> None:
    """A Faust agent on validated blocks."""
    count = -(-(bench.size or int(IN_ENVELOPES_A_SECOND * (bench.seconds + BESIDE_S))) // events.BLOCK_EVENTS)
    result = Result(DOWNSTREAM)
    bench.stage.fresh(CHAIN_BLOCKS.name)
    bench.stage.fill(valid_blocks(count), CHAIN_BLOCKS.name, "validated blocks")
    for turn in range(bench.runs):
        bench.stage.fresh(ALERTS.name)
        tag = f"downstream-{turn}"
        with (
            bench.stage.probe(ALERTS.name) as probe,
            running(bench.stage, DOWNSTREAM, "envelope", tag) as process,
        ):
            result.runs.append(window([process], probe, events.BLOCK_GOOD, bench.seconds, count * events.BLOCK_GOOD))
    _compare(bench, {"soba": result}, "downstream Faust agent on envelopes", ">= 80000", "200000")


def delay(bench: Bench) -> None:
    """How long an envelope takes at a fixed rate."""
    found = [latency.measure(bench.stage, OFFERED, bench.seconds, f"latency-{n}") for n in range(bench.runs)]
    for part, pass_, aim in ((0.5, "", ""), (0.95, "< 20", ""), (0.99, "< 100", "< 50")):
        value = median(percentile(one.took, part) for one in found)
        bench.add(f"{OFFERED:,} events/s in envelopes, p{part * 100:.0f}", value, "ms", "", pass_, aim)
    bench.add("envelopes that never came out", sum(one.missing for one in found), "envelopes", "", "= 0")
    bench.add("schedule kept within, p99", median(percentile(one.late, 0.99) for one in found), "ms")


def scale(bench: Bench) -> None:
    """One worker and two on the same two chains, each of a partition."""
    partitions = bench.stage.settings.partitions
    other = next((id for id in OTHER_CHAINS if partition(b"%d" % id, partitions) != partition(b"1", partitions)), None)
    if other is None:
        raise LocalError("no two chains fall into different partitions")
    count = (bench.size or int(SINGLES_A_SECOND * (bench.seconds + BESIDE_S))) // events.BLOCK_EVENTS // 2 + 1
    pairs = zip(events.blocks(count), events.blocks(count, chain_id=other), strict=True)
    bench.stage.fresh(CHAIN_EVENTS.name)
    both = (block for pair in pairs for block in pair)
    bench.stage.fill(records("single", both), CHAIN_EVENTS.name, "input of two chains")
    rates: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(bench.runs):
        for workers in rates:
            rates[workers].append(
                _with_workers(bench, workers, f"scale-{workers}-{turn}", 2 * count * events.BLOCK_GOOD)
            )
    one, two = median(rates[1]), median(rates[2])
    bench.add("one worker on two chains", one, "valid/CPU-s")
    bench.add("two workers on two chains", two, "valid/CPU-s")
    bench.add("two workers on two chains to one, by CPU-second", two / one, "x", "", ">= 0.9")


def _with_workers(bench: Bench, workers: int, tag: str, available: int) -> float:
    begin(bench.stage, SOBA)
    with bench.stage.probe(SOBA.topic) as probe, running(bench.stage, SOBA, "single", f"{tag}-a", 0) as first:
        if workers == 1:
            made = window([first], probe, events.BLOCK_GOOD, bench.seconds, available)
        else:
            with running(bench.stage, SOBA, "single", f"{tag}-b", 1) as second:
                # Both have to join first: partitions change hands meanwhile.
                made = window([first, second], probe, events.BLOCK_GOOD, bench.seconds, available, 6.0)
                shares = [sum(process.cpu_times()[:2]) for process in (first, second)]
                if min(shares) < 0.3 * max(shares):
                    raise LocalError("one of two workers had nothing to do", str(shares))
    say(f"{workers} workers: {made.wall:,.0f} valid/s, {made.cpu:,.0f} a CPU-second")
    return made.cpu


def _judges(bench: Bench, form: str) -> list[Candidate]:
    """Those that refuse what is bad; beside Quix for envelopes the one that cuts their views, too."""
    found = [candidate for candidate in bench.candidates if candidate.judges]
    return [*found, QUIX_VIEWS] if form == "envelope" and QUIX in found else found


def _ours(bench: Bench) -> list[Candidate]:
    """Soba and Quix, as far as they are asked for."""
    return [candidate for candidate in bench.candidates if candidate.name in ("soba", "quix")]


def _compare(bench: Bench, found: dict[str, Result], what: str, pass_: str = "", aim: str = "") -> None:
    for name, result in found.items():
        if not result.runs:
            continue
        ours = name in ("soba", "schema")
        title = what if ours else f"{what}, {result.candidate.title}"
        spread = f"{min(r.wall for r in result.runs):,.0f} to {max(r.wall for r in result.runs):,.0f}"
        bench.add(title, result.wall, "valid/s", spread, pass_ if ours else "", aim if ours else "")
        bench.add(f"{title}, CPU", result.cpu, "valid/CPU-s")
        bench.add(f"{title}, memory", result.memory, "MB")


def _flat(bench: Bench, name: str, runs: list[Run], pass_: str = "") -> None:
    growth = median(run.memory_at(1.0) / run.memory_at(0.25) for run in runs)
    bench.add(name, growth, "x", f"{runs[-1].memory_at(0.25):.0f} to {runs[-1].memory_at(1.0):.0f} MB", pass_)


ROWS: dict[str, Callable[[Bench], None]] = {
    "catching": catching,
    "single": single,
    "checksummed": checksummed,
    "schema": schema,
    "envelopes": envelopes,
    "parts": split,
    "tables": tables,
    "downstream": downstream,
    "latency": delay,
    "scale": scale,
    "memory": memory,
}


def firehose(
    rows: Annotated[str, typer.Option(help=f"Which, by comma: {', '.join(ROWS)}.")] = ",".join(ROWS),
    only: Annotated[str, typer.Option(help=f"Which candidates, by comma: {NAMES}.")] = NAMES,
    seconds: Annotated[float, typer.Option(min=1, help="How long a run is measured, after its warm-up.")] = 10,
    runs: Annotated[int, typer.Option(min=1, help="Runs of each, in turn; the median counts.")] = 3,
    number: Annotated[
        int | None, typer.Option("--events", min=1000, help="Events of an input; else enough for the fastest.")
    ] = None,
    memory_events: Annotated[int, typer.Option(min=10_000, help="Events of the row `memory`.")] = 20_000_000,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    keep: Annotated[bool, typer.Option(help="Keep the result in benchmarks/results.")] = False,
) -> None:
    """Events a second through validate, on one core, beside peers doing the same; docs/performance.md says how.

    It starts a Kafka and a Redis of its own, and needs the network once, for the environments of the peers.
    """
    wanted, names = chosen(rows, ROWS), chosen(only, NAMES.split(","), "--only")
    candidates = [one for one in CANDIDATES if one.name in names]
    for candidate in candidates:
        python(candidate)
    with stage() as there:
        bench = Bench(there, seconds, runs, candidates, number, memory_events)
        measure(bench, wanted, ROWS)
    if keep:
        used = {
            "rows": wanted,
            "only": names,
            "seconds": seconds,
            "runs": runs,
            "cores": {"measured": there.own, "rest": there.rest},
            "partitions": there.settings.partitions,
            "versions": {
                name: version(name) for name in ("confluent-kafka", "pydantic", "faust-streaming", "aiokafka")
            },
            "peers": {
                one.name: (PEERS / one.requirements).read_text().splitlines()[1:]
                for one in candidates
                if one.requirements
            },
        }
        figures.keep("firehose", bench.figures, used)
    raise typer.Exit(figures.show(bench.figures, as_json))
