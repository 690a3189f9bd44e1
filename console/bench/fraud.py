"""`soba bench fraud`: how fast the worker `fraud` scores swap requests and wallets, as it runs in production, on one core."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Annotated, Any

import numpy as np
import orjson
import psutil
import typer
from confluent_kafka import Message

from base.settings import ROOT
from console import figures
from console.bench.arrivals import Arrivals, offer
from console.bench.race import PEERS, Candidate, running, wait_for_work, window
from console.bench.reply import percentile
from console.bench.rows import chosen
from console.bench.rows import measure as measure_rows
from console.bench.stage import Stage, end, say, stage
from console.bench.wallets import measure
from console.figures import Figure
from console.local.errors import LocalError
from models.fraud.bitmaps import slot
from models.fraud.features import numbers, of_all, of_profile
from models.fraud.profile import IN, OUT, Move, Profile
from models.fraud.scorer import FRAUD, Scorer
from models.releases import load
from topics.headers import get
from topics.registry import RISK_SCORES, SWAP_REQUESTS, WALLET_ACTIVITY
from topics.releases import unpack

REQUESTS = ROOT / "samples" / "fraud" / "requests.jsonl"
WORKER = Candidate("fraud", "Soba", command=("-m", "console", "worker", "fraud"), topic=RISK_SCORES.name, judges=False)
GROUPS = ("FRAUD_DETECTION.assess", "FRAUD_DETECTION")
OFFERED = 2_000
FAST = 30_000
"""Requests a second that nobody here exceeds: how much input a second of measuring needs."""
SINGLE = 3_000
WARM_UP_S = 3.0
CLIENTS = 16


@dataclass
class Bench:
    """What rows are measured with, and what they found."""

    stage: Stage
    seconds: float
    requests: list[bytes]
    figures: list[Figure] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str, reference: str = "", pass_: str = "", aim: str = "") -> None:
        """Note a figure."""
        digits = 0 if abs(value) >= 1000 else 3
        self.figures.append(Figure(name, round(value, digits), unit, reference or None, pass_ or None, aim or None))

    def request(self, number: int) -> tuple[str, bytes]:
        """The `number`th request with its key, from a wallet of its own."""
        told = orjson.loads(self.requests[number % len(self.requests)])
        sender = f"0x{number:040x}" if number % 2 else told["fromAddress"]
        return sender, orjson.dumps({**told, "fromAddress": sender})


def single(bench: Bench) -> None:
    """Features and model of one wallet, in process."""
    scorer: Scorer = load(unpack(FRAUD.shipped.read_bytes()), FRAUD).loaded
    profiles = [_profile(number) for number in range(2_000)]
    took = []
    for number in range(SINGLE):
        began = time.perf_counter()
        scorer.score(np.array([of_profile(profiles[number % len(profiles)])]))
        took.append((time.perf_counter() - began) * 1000)
    bench.add("features and model, one wallet, p99", percentile(took, 0.99), "ms", "", "< 5", "1")
    bench.add("features and model, one wallet, p50", percentile(took, 0.5), "ms")
    vectors = of_all(numbers(one) for one in profiles)
    began = time.perf_counter()
    scorer.score(vectors)
    bench.add("model, 2,000 wallets at once", len(vectors) / (time.perf_counter() - began), "wallets/s")


def _profile(number: int) -> Profile:
    """No two are alike."""
    profile, value = Profile(), 10**17 + 10**13 * number
    for turn in range(2 + number % 40):
        side, peer = (IN, OUT)[turn % 2], slot(f"0x{(number * 7 + turn) % 97:040x}")
        profile.move(
            Move(1_700_000_000 + turn * 977, side, peer, value * (turn + 1), 21_000, 21_000, 1.1, 3, "0x", False, 5.0)
        )
    return profile


def requests(bench: Bench) -> None:
    """swap.requests → risk.scores and rows, end to end."""
    count = int(FAST * (bench.seconds + WARM_UP_S))
    _begin(bench.stage)
    bench.stage.fill((bench.request(number) for number in range(count)), SWAP_REQUESTS.name, "swap requests")
    with bench.stage.probe(RISK_SCORES.name) as probe, running(bench.stage, WORKER, "single", "requests") as process:
        made = window([process], probe, 1.0, bench.seconds, count)
    bench.add("swap requests to scores and rows", made.wall, "requests/s", "one core", ">= 5000", "10000")
    bench.add("swap requests to scores and rows, CPU", made.cpu, "requests/CPU-s")
    with _service(bench) as port:
        beside = _asked(bench, port)
    bench.add("a FastAPI service with the same model", beside, "requests/s", "one core, HTTP")
    bench.add("Soba to the FastAPI service", made.wall / beside, "x")


def latency(bench: Bench) -> None:
    """From a request's place in a schedule to its score in a reader's hand."""
    warm, count = int(OFFERED * WARM_UP_S), int(OFFERED * (WARM_UP_S + bench.seconds))
    made = [bench.request(number) for number in range(count)]
    _begin(bench.stage)
    with (
        running(bench.stage, WORKER, "single", "latency") as process,
        Arrivals.reading(bench.stage, RISK_SCORES.name, _request) as reader,
        bench.stage.probe(RISK_SCORES.name) as probe,
    ):
        bench.stage.fill([made[0]], SWAP_REQUESTS.name, "a first request")
        wait_for_work([process], probe)
        offered = [(key, value, [("request_id", str(place).encode())]) for place, (key, value) in enumerate(made)]
        due = offer(bench.stage, SWAP_REQUESTS.name, offered, OFFERED)
        reader.wait_for(count + 1)
    took = [(reader.at[str(place)] - due[place]) * 1000 for place in range(warm, count) if str(place) in reader.at]
    if not took:
        raise LocalError("no score came in time")
    for part, pass_, aim in ((0.5, "", ""), (0.99, "< 50", "25")):
        bench.add(f"{OFFERED:,} requests/s, p{part * 100:.0f}", percentile(took, part), "ms", "", pass_, aim)
    bench.add("requests without a score", count - warm - len(took), "requests", "", "= 0")


def wallets(bench: Bench) -> None:
    """Views of blocks → every wallet in them updated and scored."""
    bench.figures += measure(bench.stage, bench.seconds)


def _begin(stage: Stage) -> None:
    stage.fresh(SWAP_REQUESTS.name, RISK_SCORES.name, WALLET_ACTIVITY.name, SWAP_REQUESTS.dlq)
    for group in GROUPS:
        stage.forget(group)


def _request(message: Message) -> str | None:
    headers: Any = message.headers() or []
    return (get(headers, "ce_id") or b"").decode().rpartition(":")[0]


@contextmanager
def _service(bench: Bench) -> Iterator[int]:
    """The FastAPI service, on the core of what is measured."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, str(PEERS / "fastapi_fraud.py"), str(port)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=bench.stage.environment(PYTHONPATH=str(ROOT)), preexec_fn=bench.stage.pin()
    )
    try:
        give_up_at = time.monotonic() + 30
        while not _listens(port) and time.monotonic() < give_up_at:
            time.sleep(0.05)
        yield port
    finally:
        end(process)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _asked(bench: Bench, port: int) -> float:
    """Requests a second that it answers to `CLIENTS` callers, each with one connection."""
    bodies = [bench.request(number)[1] for number in range(2_000)]
    stop, counts = threading.Event(), [0] * CLIENTS

    def ask(which: int) -> None:
        connection = HTTPConnection("127.0.0.1", port)
        place = which
        while not stop.is_set():
            connection.request("POST", "/assess", bodies[place % len(bodies)], {"content-type": "application/json"})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
            counts[which] += 1
            place += CLIENTS

    threads = [threading.Thread(target=ask, args=(which,), daemon=True) for which in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    first, began = sum(counts), time.perf_counter()
    time.sleep(bench.seconds)
    rate = (sum(counts) - first) / (time.perf_counter() - began)
    stop.set()
    for thread in threads:
        thread.join()
    say(f"FastAPI: {rate:,.0f} requests/s")
    return rate


ROWS = {"single": single, "requests": requests, "latency": latency, "wallets": wallets}


def fraud(
    rows: Annotated[str, typer.Option(help=f"Which, by comma: {', '.join(ROWS)}.")] = ",".join(ROWS),
    seconds: Annotated[float, typer.Option(min=1, help="How long each is measured.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    keep: Annotated[bool, typer.Option(help="Keep the result in benchmarks/results.")] = False,
) -> None:
    """Swap requests and wallets scored a second, and how long one takes; docs/models/fraud.md says how."""
    names = chosen(rows, ROWS)
    with stage() as there:
        bench = Bench(there, seconds, REQUESTS.read_bytes().splitlines())
        measure_rows(bench, names, ROWS)
    if keep:
        figures.keep("fraud", bench.figures, {"rows": names, "seconds": seconds, "cores": psutil.cpu_count()})
    raise typer.Exit(figures.show(bench.figures, as_json))
