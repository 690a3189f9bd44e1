"""The facade is told to stop under load: it ends in time, every caller has an answer, and what it acknowledged is in Kafka."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from base.settings import ROOT, Settings
from console import records
from console.local import ports
from facade.routes.data import EXAMPLE
from tests.conftest import wait_for
from tests.contract.facade import failed, new_chain, validating
from tests.pipeline.system import PROCESS, VALIDATE
from topics.admin import create
from topics.registry import CHAIN_EVENTS

pytestmark = pytest.mark.pipeline
LIMIT_S = 5.0
FLOWS = 4


@contextmanager
def facade(environment: dict[str, str], log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A facade as a process, and its address."""
    port = ports.pick(1)[0]
    base = f"http://127.0.0.1:{port}"
    with log.open("wb") as out:
        argv = [sys.executable, "-m", "console", "serve"]
        environment = {**environment, "SOBA_PORT": str(port), "SOBA_RATE_LIMIT_PER_MINUTE": "1000000"}
        process = subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=out, stderr=out)
        try:
            wait_for(lambda: process.poll() is not None or _answers(base))
            assert process.poll() is None, log.read_text()[-3000:]
            yield process, base
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _answers(base: str) -> bool:
    try:
        return httpx.post(f"{base}{VALIDATE}", json={"event": EXAMPLE}, timeout=40).status_code == 200
    except httpx.ConnectError:
        return False


def test_sigterm_under_load(settings: Settings, child_env: dict[str, str], tmp_path: Path) -> None:
    """Events flow in; then the worker is paused, so that all that is asked waits for an answer that does not come."""
    create(settings)
    chain, log = new_chain(), tmp_path / "facade.log"
    before = ends(settings)
    answers: list[httpx.Response] = []
    sent: list[float] = []
    """When each request had left, in full."""

    def trace(step: str, _about: object) -> None:
        if step == "http11.send_request_body.complete":
            sent.append(time.monotonic())

    def ask(client: httpx.Client, method: str, path: str, body: object = None) -> httpx.Response:
        return client.request(method, path, json=body, extensions={"trace": trace})

    def flow(client: httpx.Client) -> None:
        """Ask for as long as all is taken; the last answer is a refusal."""
        taken = True
        while taken:
            answer = ask(client, "POST", PROCESS, {"events": [event(chain) for _ in range(20)]})
            answers.append(answer)
            taken = answer.status_code == 200

    with (
        validating(settings, tmp_path / "validate.log") as worker,
        facade(child_env, log) as (process, base),
        ExitStack() as stack,
        ThreadPoolExecutor(FLOWS + 2) as pool,
    ):
        clients = [stack.enter_context(httpx.Client(base_url=base, timeout=40)) for _ in range(FLOWS + 2)]
        try:
            flows = [pool.submit(flow, client) for client in clients[2:]]
            wait_for(lambda: len(answers) >= 40)
            worker.send_signal(signal.SIGSTOP)
            wait_for(lambda: len(sent) == len(answers) + FLOWS and time.monotonic() - max(sent) > 0.5)
            before_these = len(sent)
            asked = pool.submit(ask, clients[0], "POST", VALIDATE, {"event": event(chain)})
            looked = pool.submit(ask, clients[1], "GET", f"/api/blocks/7?chainId={chain}&wait=30000")
            wait_for(lambda: len(sent) == before_these + 2)
            httpx.get(f"{base}/ready", timeout=60)  # what was sent before it has arrived
            told = time.monotonic()
            process.send_signal(signal.SIGTERM)
            code = process.wait(40)
            took = time.monotonic() - told
            for one in flows:
                one.result()
        finally:
            worker.send_signal(signal.SIGCONT)
            process.kill()  # where something went wrong the flows end only with it
    assert code == 0 and took < LIMIT_S, (code, took, log.read_text()[-3000:])
    print(f"ended after {took:.2f} s")
    for refused in (asked.result(), looked.result(), *answers[-FLOWS:]):
        failed(refused, 503, "unavailable")
        assert refused.headers["retry-after"]
    given = [answer for answer in answers if answer.status_code == 200]
    assert len(given) == len(answers) - FLOWS
    acknowledged = {
        (one["partition"], one["offset"]): one["event_id"] for answer in given for one in answer.json()["data"]["ids"]
    }
    assert len(acknowledged) == 20 * len(given)
    there = records.read(settings, CHAIN_EVENTS.name, before, ends(settings))
    held = {(one.partition, one.offset): one.value for one in there}
    assert all(id.encode() in held[place] for place, id in acknowledged.items())


def ends(settings: Settings) -> dict[int, int]:
    """The offset after the last record of each partition of chain.events."""
    spans = records.spans(settings, {CHAIN_EVENTS.name: settings.partitions})[CHAIN_EVENTS.name]
    return {number: end for number, (_, end) in spans.items()}


def event(chain: int) -> dict[str, object]:
    hash = f"0x{uuid.uuid4().int:064x}"
    return {**EXAMPLE, "chain_id": chain, "event_id": uuid.uuid4().hex, "transaction_hash": hash}
