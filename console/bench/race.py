"""Candidates that do the same work on the same input, each alone on a core, and how fast they are.

What a candidate has done is what stands in its output topic: with acks=all a record there was acknowledged, whoever counts.
"""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from base.settings import ROOT, load
from console.bench.events import BLOCK_EVENTS, BLOCK_GOOD
from console.bench.stage import OUT, Probe, Stage, end, say
from console.local.errors import LocalError
from topics.registry import CHAIN_BLOCKS, CHAIN_EVENTS, PAIR_TRADES, WALLET_ACTIVITY

PEERS = ROOT / "benchmarks" / "peers"
VALIDATE_GROUP = "DATA_PROCESSING.validate.validate"
OUTPUTS = (CHAIN_EVENTS.dlq, CHAIN_BLOCKS.name, PAIR_TRADES.name, WALLET_ACTIVITY.name, OUT)
WARM_UP_S = 2.0
START_S = 90.0
STEP_S = 0.25


@dataclass(frozen=True, slots=True)
class Candidate:
    """A process. `command` is what Soba's own Python runs, `script` one of `benchmarks/peers` in an environment of its own."""

    name: str
    title: str
    command: tuple[str, ...] = ()
    script: str = ""
    requirements: str = ""
    topic: str = OUT
    judges: bool = True
    """False where what comes out of it is not what comes out of the others: it passes everything on, or gives no reasons."""

    def good_of(self, form: str) -> float:
        """Valid events of each record of its output."""
        if form == "envelope" or self.topic == CHAIN_BLOCKS.name:
            return BLOCK_GOOD
        return 1.0 if self.judges else BLOCK_GOOD / BLOCK_EVENTS


SOBA = Candidate("soba", "Soba", command=("-m", "console", "worker", "validate"), topic=CHAIN_BLOCKS.name)
SCHEMA_ONLY = Candidate(
    "schema", "Soba, rules off", command=("-m", "console.bench.schema_only"), topic=CHAIN_BLOCKS.name
)
RAW = Candidate("raw", "raw confluent-kafka pass-through", script="raw.py", judges=False)
BARE = Candidate("bare", "Kafka, decoding and rules alone", script="bare.py", topic=CHAIN_BLOCKS.name, judges=False)
QUIX = Candidate("quix", "Quix Streams", script="quix.py", requirements="quix.txt")
QUIX_VIEWS = Candidate("quix-views", "Quix Streams, views too", script="quix_views.py", requirements="quix.txt")
"""It does all that validate does with an envelope of events, but for merging it with what is known of its block, and for telling
the views of each new hour."""
CANDIDATES = (
    SOBA,
    RAW,
    BARE,
    QUIX,
    Candidate("bytewax", "Bytewax", script="bytewax_flow.py", requirements="bytewax.txt"),
    Candidate("faust", "naive Faust agent", script="faust_naive.py"),
    Candidate("aiokafka", "aiokafka getmany", script="aiokafka_getmany.py"),
)


@dataclass(slots=True)
class Run:
    """One run. Rates are valid events a second, of the wall and of the process's own time."""

    wall: float
    cpu: float
    seconds: float
    share: float
    """CPU-seconds a second."""
    memory: list[tuple[float, float]] = field(default_factory=list)
    """(valid events done, MB)."""

    def memory_at(self, part: float) -> float:
        """MB when `part` of the window's events were done."""
        first, last = self.memory[0][0], self.memory[-1][0]
        return next(mb for done, mb in self.memory if done >= first + part * (last - first))


@dataclass(slots=True)
class Result:
    """The runs of a candidate."""

    candidate: Candidate
    runs: list[Run] = field(default_factory=list)

    @property
    def wall(self) -> float:
        """Valid events a second, the median."""
        return median(run.wall for run in self.runs)

    @property
    def cpu(self) -> float:
        """Valid events a CPU-second, the median."""
        return median(run.cpu for run in self.runs)

    @property
    def memory(self) -> float:
        """MB at the end of a window, the median."""
        return median(run.memory[-1][1] for run in self.runs)


def python(candidate: Candidate) -> str:
    """The interpreter of a candidate; its environment is made when it is not there yet."""
    if not candidate.requirements:
        return sys.executable
    wanted = PEERS / candidate.requirements
    folder = load().data_dir / "bench" / wanted.stem
    stamp, mark = folder / "made-from", hashlib.sha256(wanted.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != mark:
        say(f"making an environment for {candidate.title} in {folder}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "-r", str(wanted)], check=True, stdout=sys.stderr)
        stamp.write_text(mark)
    return str(folder / "bin" / "python")


@contextmanager
def running(stage: Stage, candidate: Candidate, form: str, tag: str, worker: int = 0) -> Iterator[psutil.Process]:
    """The process of a candidate, stopped at the end."""
    folder = stage.settings.data_dir / "peers" / tag
    folder.mkdir(parents=True)
    environment = stage.environment(
        PYTHONPATH=str(ROOT),
        BENCH_BROKERS=stage.settings.brokers,
        BENCH_GROUP=f"bench.{tag}",
        BENCH_FORM=form,
        BENCH_FOLDER=str(folder),
    )
    more = ["worker"] if candidate.name == "faust" else []
    arguments = candidate.command or (str(PEERS / candidate.script), *more)
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [python(candidate), *arguments],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
            preexec_fn=stage.pin(worker),
        )
    try:
        yield psutil.Process(process.pid)
        if process.poll() is not None:
            raise LocalError(f"{candidate.title} ended with exit code {process.returncode}", _end_of(log))
    finally:
        end(process)


def begin(stage: Stage, candidate: Candidate) -> None:
    """Nothing of an earlier run is left: neither outputs, from which a restart would take up its work, nor offsets."""
    stage.fresh(*OUTPUTS)
    if candidate.command:
        stage.forget(VALIDATE_GROUP)


def run(stage: Stage, candidate: Candidate, form: str, tag: str, seconds: float, available: int) -> Run:
    """Warm up, then measure for `seconds`. `available` is how many valid events the input holds.

    Raises:
        LocalError: it fails, does nothing, or is through with the input too soon.
    """
    begin(stage, candidate)
    with stage.probe(candidate.topic) as probe, running(stage, candidate, form, tag) as process:
        made = window([process], probe, candidate.good_of(form), seconds, available)
    say(
        f"{candidate.title}, {form}: {made.wall:,.0f} valid/s, {made.cpu:,.0f} a CPU-second, "
        f"{made.share:.0%} of its core, {made.memory[-1][1]:.0f} MB, {made.seconds:.1f} s"
    )
    return made


def window(
    processes: list[psutil.Process],
    probe: Probe,
    good: float,
    seconds: float,
    available: int,
    warm_up: float = WARM_UP_S,
) -> Run:
    wait_for_work(processes, probe)
    time.sleep(warm_up)

    def sample() -> tuple[float, float, float]:
        done = probe.count() * good
        used = [process.cpu_times() for process in processes]
        return time.perf_counter(), done, sum(one.user + one.system for one in used)

    def megabytes() -> float:
        return sum(float(process.memory_info().rss) for process in processes) / 2**20

    first = last = sample()
    memory = [(first[1], megabytes())]
    while last[0] - first[0] < seconds:
        time.sleep(STEP_S)
        now = sample()
        if now[1] > 0.98 * available:  # what is left may be the last block, which closes after two quiet seconds
            if math.isfinite(seconds) and last[0] - first[0] < 0.8 * seconds:
                raise LocalError(f"the input was over after {last[0] - first[0]:.1f} s: give more --events")
            break
        last = now
        memory.append((last[1], megabytes()))
    wall, done, cpu = (b - a for a, b in zip(first, last, strict=True))
    return Run(done / wall, done / max(cpu, 1e-9), wall, cpu / wall, memory)


def wait_for_work(processes: list[psutil.Process], probe: Probe, more_than: int = 0) -> None:
    """Until a first output is there."""
    give_up_at = time.monotonic() + START_S
    while probe.count() <= more_than:
        if any(process.status() == psutil.STATUS_ZOMBIE for process in processes):
            return  # `running` tells how it ended
        if time.monotonic() > give_up_at:
            raise LocalError(f"no output within {START_S:.0f} s")
        time.sleep(0.05)


def race(
    stage: Stage, candidates: list[Candidate], form: str, tag: str, seconds: float, runs: int, available: int
) -> dict[str, Result]:
    """All candidates on what chain.events holds, `runs` times in turn."""
    results = {candidate.name: Result(candidate) for candidate in candidates}
    for candidate in candidates:
        python(candidate)
    for turn in range(runs):
        for candidate in candidates:
            name = f"{tag}-{candidate.name}-{turn}"
            results[candidate.name].runs.append(run(stage, candidate, form, name, seconds, available))
    return results


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]
