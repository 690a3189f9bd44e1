"""The same inputs through a real Kafka and a real worker, and over HTTP."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
from confluent_kafka import Consumer, Message, TopicPartition
from pydantic_core import from_json

from agents.agent import Record
from agents.outlet import HANDLER_ERROR
from agents.validate import Validator
from base.settings import ROOT
from console.bench.race import VALIDATE_GROUP
from console.bench.stage import Stage, end, say, stage
from console.figures import Figure
from console.fuzz.judge import NOW, good_event
from console.local import ports
from console.local.errors import LocalError
from models.chain.assembly import QUIET_S
from topics import clients
from topics.clients import headers_of
from topics.headers import dead_letter, get
from topics.registry import CHAIN_BLOCKS, CHAIN_EVENTS

KEYS = ("1", "1", "56", "", "\x00", "no chain")
PATIENCE_S = 300.0
CALLERS = 4
VALIDATE, PROCESS = "/api/python/data/validate-blockchain-event", "/api/python/data/process-event-stream"

Letter = tuple[str, str, bytes]
"""Its id (the place of what was refused), its reason and its bytes."""
Blocks = dict[tuple[int, int], tuple[int, bytes]]
"""The newest revision of each block, and its value."""


def through_servers(values: Sequence[bytes]) -> list[Figure]:
    """Have `values` done by real processes; the figures say how that went.

    Raises:
        LocalError: servers that do not start, or a worker that does not come to the end.
    """
    fit = [value for value in values if len(value) <= CHAIN_EVENTS.max_bytes]
    with stage() as there, _process(there, "worker", "validate") as worker:
        good = [good_event(number, number) for number in range(len(fit) // 3)]
        mixed = []
        for at, value in enumerate(fit):
            mixed.append((KEYS[at % len(KEYS)], value))
            if at % 3 == 2:
                mixed.append(("1", good[at // 3]))
        there.fill(mixed, CHAIN_EVENTS.name, "inputs and good events between them")
        _finished(there, worker)
        figures = _compared(there, len(fit), len(good))
        figures += _over_http(there, fit)
        if worker.poll() is not None:
            figures.append(Figure("workers that ended", 1, "workers", f"exit code {worker.returncode}", "= 0"))
        return figures


@contextmanager
def _process(there: Stage, *argv: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    log = there.settings.data_dir / f"{argv[0]}.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "console", *argv]
        process = subprocess.Popen(command, cwd=ROOT, env=there.environment(**more), stdout=output, stderr=output)
    try:
        yield process
    finally:
        end(process)


def _until(call: Callable[[], Any], what: str, process: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not call():
        if process.poll() is not None:
            raise LocalError(f"waiting for {what}, and the process ended with exit code {process.returncode}")
        if time.monotonic() > give_up_at:
            raise LocalError(f"waited {PATIENCE_S:.0f} s in vain for {what}")
        time.sleep(0.1)


def _finished(there: Stage, worker: subprocess.Popen[bytes]) -> None:
    """Wait until validate has committed all there is: rerouted records too, which it makes on the way."""
    asker = Consumer(clients.consumer(there.settings, VALIDATE_GROUP))
    where = [TopicPartition(CHAIN_EVENTS.name, number) for number in range(there.settings.partitions)]

    def done() -> bool:
        committed = asker.committed(where, timeout=15)
        return all(one.offset >= asker.get_watermark_offsets(one, timeout=15)[1] for one in committed)

    try:
        _until(done, "validate to come to the end", worker)
    finally:
        asker.close()


def _compared(there: Stage, inputs: int, good: int) -> list[Figure]:
    """What the worker gave out against what the handler makes of the same records here: whatever the batches were."""
    letters: Counter[Letter] = Counter()
    blocks: Blocks = {}
    records = [_record(message) for message in there.read(CHAIN_EVENTS.name)]
    for partition in range(there.settings.partitions):
        mine = sorted((one for one in records if one.partition == partition), key=lambda one: one.offset)
        validator = Validator(partition, there.settings.partitions)
        for batch in (*(mine[at : at + 100] for at in range(0, len(mine), 100)), []):
            result = validator.handle(batch, NOW + (0 if batch else QUIET_S + 1))
            letters.update(_letter(one) for one in result.dead_letters)
            for output in result.outputs:
                _keep(blocks, output.value)
    found: set[Letter] = set()
    for message in there.read(CHAIN_EVENTS.dlq):
        headers = headers_of(message)
        reason = (get(headers, "dlq.reason") or b"").decode()
        found.add(((get(headers, "ce_id") or b"").decode(), reason, message.value() or b""))
    real: Blocks = {}
    for message in there.read(CHAIN_BLOCKS.name):
        _keep(real, message.value() or b"")
    wrong = sum(real.get(id) != block for id, block in blocks.items()) + len(real.keys() - blocks.keys())
    named = {
        event["log_index"]
        for (_, number), (_, value) in real.items()
        if number >= 50_000_000
        for event in from_json(value)["events"]
    }
    return [
        Figure("through Kafka and a worker", inputs, "inputs", f"{len(found):,} dead letters, {len(real):,} blocks"),
        Figure("dead letters missing or wrong there", len(set(letters) ^ found), "letters", None, "= 0"),
        Figure("blocks missing or wrong there", wrong, "blocks", None, "= 0"),
        Figure("good events lost there", good - len(named), "events", f"{good:,} sent", "= 0"),
        Figure("faults of our own there", sum(reason == HANDLER_ERROR for _, reason, _ in found), "letters", None, "= 0"),
    ]  # fmt: skip


def _keep(blocks: Blocks, value: bytes) -> None:
    block = from_json(value)
    id = (block["chain_id"], block["number"])
    if block["revision"] >= blocks.get(id, (-1, b""))[0]:
        blocks[id] = (block["revision"], value)


def _letter(one: Any) -> Letter:
    record = one.record
    headers = dead_letter(
        topic=record.topic, partition=record.partition, offset=record.offset, index=one.index, reason=one.reason,
        field=one.field, detail=one.detail, agent="validate", carried=record.headers,
    )  # fmt: skip
    return (get(headers, "ce_id") or b"").decode(), one.reason, one.raw


def _record(message: Message) -> Record:
    headers = headers_of(message)
    value = message.value() or b""
    return Record(
        CHAIN_EVENTS.name, int(message.partition() or 0), int(message.offset() or 0), None, headers, value, None
    )


def _over_http(there: Stage, values: Sequence[bytes]) -> list[Figure]:
    """Each input as an event, as a stream of events and as a whole body."""
    (port,) = ports.pick(1, [None])
    base = f"http://127.0.0.1:{port}"
    with (
        _process(there, "serve", SOBA_PORT=str(port), SOBA_RATE_LIMIT_PER_MINUTE="1000000000") as facade,
        httpx.Client(base_url=base, timeout=60, limits=httpx.Limits(max_connections=CALLERS)) as client,
        ThreadPoolExecutor(CALLERS) as callers,
    ):

        def answers() -> bool:
            try:
                return client.post(VALIDATE, json={"event": 1}).status_code == 200
            except httpx.TransportError:
                return False

        _until(answers, "HTTP to answer", facade)
        bodies = [(path, body) for value in values for path, body in _bodies(value)]
        said = Counter(callers.map(lambda body: _status(client, *body), bodies))
        ended = facade.poll() is not None
    say(f"HTTP: {dict(said)}")
    wrong = sum(many for status, many in said.items() if not 200 <= status < 500)
    told = ", ".join(f"{many:,} x {status}" for status, many in sorted(said.items()))
    return [
        Figure("requests over HTTP", len(bodies), "requests", told),
        Figure("answers of 5xx, broken or none", wrong + ended, "requests", None, "= 0"),
    ]  # fmt: skip


def _bodies(value: bytes) -> Iterator[tuple[str, bytes]]:
    yield VALIDATE, b'{"event":' + value + b"}"
    yield PROCESS, b'{"events":[' + value + b"]}"
    yield PROCESS, b'{"events":' + value + b"}"
    yield VALIDATE, value


def _status(client: httpx.Client, path: str, body: bytes) -> int:
    """The status; 0 where there is no answer, 600 where its body is not what it should be."""
    try:
        answer = client.post(path, content=body, headers={"content-type": "application/json"})
        said = answer.json()
    except (httpx.TransportError, ValueError):
        return 0
    if answer.status_code >= 500:
        say(f"{answer.status_code} {answer.text[:300]} to {path} with {body[:300]!r}")
    fine = said.get("success") is (answer.status_code == 200)
    return answer.status_code if fine else 600
