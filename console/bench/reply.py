"""`soba bench reply`: how long a question takes."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from base.settings import ROOT, Settings, load
from console import reach
from console.bench.stage import end
from console.figures import Figure, show
from console.figures import keep as keep_figures
from console.local.errors import LocalError
from console.local.servers import LocalServers
from facade.context import opened
from facade.questions import Questions
from facade.requests import Trace
from topics.admin import create
from topics.registry import REQUESTS_DATA
from topics.schemas.requests import ValidateEvents, Verdicts

SWAP = json.loads((ROOT / "benchmarks" / "event.json").read_text())[0]
WARM_UP_S = 3.0
START_S = 60.0


def reply(
    rate: Annotated[int, typer.Option(min=1, help="Questions a second.")] = 1000,
    seconds: Annotated[int, typer.Option(min=1, help="How long, after the warm-up.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    keep: Annotated[bool, typer.Option(help="Keep the result in benchmarks/results.")] = False,
) -> None:
    """From a question's produce to its answer in hand, through Kafka, the validate worker and Redis; without HTTP.

    Questions start on a schedule, whether or not earlier ones were answered.

    Each is timed from its place in the schedule, so that a stall counts for every question that it held up.
    """
    # The loop that serves HTTP in production, too: uvicorn takes uvloop by itself.
    loop = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    with _servers() as settings, _worker(settings), loop as runner:
        times, wrong, late_ms = runner.run(_measure(settings, rate, seconds))
    figures = [
        Figure("p50", percentile(times, 0.50), "ms", "prototype 4.4", "< 6" if rate == 1000 else None),
        Figure("p95", percentile(times, 0.95), "ms", "prototype 7.9", "< 15" if rate == 1000 else None),
        Figure("p99", percentile(times, 0.99), "ms"),
        Figure("longest", round(max(times), 2), "ms"),
        Figure("asked", len(times), "questions"),
        Figure("offered", rate, "questions/s"),
        Figure("answered wrong or not", wrong, "questions", pass_="= 0"),
        Figure("schedule kept within, p99", percentile(late_ms, 0.99), "ms"),
    ]
    if keep:
        used = {"rate": rate, "seconds": seconds, "warm_up_seconds": WARM_UP_S, "partitions": settings.partitions}
        keep_figures("reply", figures, used)
    raise typer.Exit(show(figures, as_json))


@contextmanager
def _servers() -> Iterator[Settings]:
    """The servers that run, else ones of our own in a folder that is thrown away."""
    settings = load()
    if settings.brokers:
        reach.kafka(settings)
    if settings.redis_url:
        reach.redis(settings)
    if settings.brokers and settings.redis_url:
        yield settings
        return
    with tempfile.TemporaryDirectory(prefix="soba-bench-") as folder, LocalServers(Path(folder), settings) as servers:
        own = settings.model_copy(
            update={"brokers": servers.brokers, "redis_url": servers.redis_url, "data_dir": Path(folder)}
        )
        create(own)
        yield own


@contextmanager
def _worker(settings: Settings) -> Iterator[None]:
    """A real validate worker; where one runs already, the two share the work."""
    environment = settings.environment(
        brokers=settings.brokers, redis_url=settings.redis_url, data_dir=settings.data_dir, worker_port=0
    )
    log = Path(tempfile.gettempdir()) / f"soba-bench-{os.getpid()}.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "console", "worker", "validate"],
            cwd=ROOT,
            env=environment,
            stderr=output,
            stdout=output,
        )
        try:
            yield
        finally:
            end(worker)
    log.unlink()


async def _measure(settings: Settings, rate: int, seconds: int) -> tuple[list[float], int, list[float]]:
    """Milliseconds of each question, how many were answered wrong, and how late each was sent."""
    async with opened(settings) as context:
        await _first_answer(context.questions)
        await _offer(context.questions, rate, WARM_UP_S)
        return await _offer(context.questions, rate, seconds)


async def _first_answer(questions: Questions) -> None:
    """Wait until the worker answers."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with suppress(Exception):
            async with asyncio.timeout(2):
                await _ask(questions)
                return
        await asyncio.sleep(0.2)
    raise LocalError(f"the worker has not answered within {START_S:g} s: see why with bin/soba worker validate")


async def _offer(questions: Questions, rate: int, seconds: float) -> tuple[list[float], int, list[float]]:
    clock = time.perf_counter  # uvloop's own clock counts whole milliseconds
    times, late, wrong = [], [], 0

    async def one(due: float) -> None:
        nonlocal wrong
        late.append((clock() - due) * 1000)
        try:
            right = await _ask(questions)
        except Exception:
            right = False
        times.append((clock() - due) * 1000)
        wrong += not right

    began = clock() + 0.1
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due = began + number / rate
            if (early := due - clock()) > 0:
                await asyncio.sleep(early)
            group.create_task(one(due))
    return times, wrong, late


async def _ask(questions: Questions) -> bool:
    """Ask about one valid event; whether the answer says so."""
    trace = Trace.of({})
    answer = await questions.ask(REQUESTS_DATA.name, _question(), trace.request_id, trace.context)
    return Verdicts.model_validate_json(answer).verdicts[0].is_valid


def _question() -> bytes:
    event = {**SWAP, "event_id": uuid.uuid4().hex, "transaction_hash": "0x" + random.randbytes(32).hex()}
    return ValidateEvents(op="validate_events", events=[event]).model_dump_json().encode()


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that `part` of all do not exceed."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 2)
