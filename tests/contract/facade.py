"""A facade on real sockets for tests, and rows for it to find."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import redis
import uvicorn

from base.settings import ROOT, Settings
from facade.app import create_app
from facade.errors import CODES
from models.alerts import from_finding
from models.fraud.assess import Case, assess
from tables.readers import WORKERS_SEEN
from tables.registry import (
    ALERTS,
    ALERTS_BY_CHAIN,
    BLOCKS,
    MEV,
    MEV_BY_ADDRESS,
    MEV_BY_CHAIN,
    MEV_BY_POOL,
    MEV_BY_TRANSACTION,
    RISK,
    RISK_BY_TRANSACTION,
    RISK_BY_WALLET,
    WORKERS,
    BlockRow,
    MevRow,
    WorkerRow,
)
from tables.rows import Pointer, Row, stage
from tests.conftest import wait_for
from tests.contract.conformance import conforms
from topics.schemas.mev import Finding, Kind, Role, TokenAmount
from topics.schemas.risk import REQUEST

ATTACKER, POOL = "0x" + "aa" * 20, "0x" + "bb" * 20


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[httpx.Client]:
    """A facade in a thread; the client's base is its address, and every answer must be as the OpenAPI document says."""
    app = create_app(settings)
    document = app.openapi()

    def hold(answer: httpx.Response) -> None:
        answer.read()
        conforms(document, answer)

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    # A kept connection is not closed between two requests: just then the second might be on its way.
    more: dict[str, Any] = {"timeout_graceful_shutdown": 1, "timeout_keep_alive": 3_600}
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, **more))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started)
        base, hooks = f"http://127.0.0.1:{listener.getsockname()[1]}", {"response": [hold]}
        # Longer than the facade waits for an answer, and than a busy machine stands still.
        patient = max(30.0, settings.reply_timeout_s) + 60
        with httpx.Client(base_url=base, timeout=patient, event_hooks=hooks) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()
    assert not thread.is_alive(), "the facade has not ended within 60 s"


@contextlib.contextmanager
def ready(settings: Settings) -> Iterator[httpx.Client]:
    """A facade that has found Kafka: it connects in the background, and until then it refuses questions."""
    with serving(settings) as client:
        wait_for(lambda: client.get("/ready").status_code == 200)
        yield client


def failed(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The error of an answer that must be this failure in the contract's envelope."""
    body = answer.json()
    assert (answer.status_code, body["success"], body["error"]["code"]) == (status, False, code), body
    assert set(body) == {"success", "error", "timestamp"}
    assert set(body["error"]) == {"code", "message", "details", "request_id"}
    assert body["error"]["request_id"] == answer.headers["x-request-id"]
    assert CODES[code][0] == status
    error: dict[str, Any] = body["error"]
    return error


@contextlib.contextmanager
def working(name: str, settings: Settings, log: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A real worker, with `more` in its environment."""
    with child(["-m", "console", "worker", name], settings, log, **more) as worker:
        yield worker


def assessing(settings: Settings, folder: Path) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """A real fraud worker with the model of tests/fraud.py; it logs to `worker.log` in `folder`."""
    return child(["-m", "tests.pipeline.fraud_worker", str(folder)], settings, folder / "worker.log")


@contextlib.contextmanager
def child(argv: list[str], settings: Settings, log: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Python with these arguments against the servers of `settings`, ended in order."""
    environment = settings.environment(
        brokers=settings.brokers, redis_url=settings.redis_url, data_dir=settings.data_dir, worker_port=0
    )
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, *argv], cwd=ROOT, env={**environment, **more}, stdout=output, stderr=output
        )
        try:
            yield worker
        finally:
            worker.terminate()
            try:
                worker.wait(60)  # one that is killed holds its partitions for a while: the next tests' would wait
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


def validating(settings: Settings, log: Path) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """A real validate worker."""
    return working("validate", settings, log)


def new_chain() -> int:
    """A chain id of one's own, so that tests do not see each other's rows."""
    return random.randrange(10**9, 10**12)


def hash_of(number: int) -> str:
    """A transaction hash that is nobody else's."""
    return f"0x{number:064x}"


PARTS: dict[str, tuple[str, ...]] = {
    "sandwich": ("front", "victims", "back"),
    "jit": ("front", "victims", "back"),
    "backrun": ("victims", "back"),
    "frontrun": ("front", "victims"),
    "arbitrage": ("transactions",),
    "liquidation": ("transactions",),
}
"""Kind → where its transactions stand."""
VICTIM = "0x" + "cc" * 20
WHO = {
    **{kind: [Role(address=VICTIM, role="victim")] for kind, parts in PARTS.items() if "victims" in parts},
    "liquidation": [Role(address=VICTIM, role="borrower"), Role(address="0x" + "dd" * 20, role="builder")],
}
"""Kind → who else had a part."""


def finding(
    chain_id: int,
    number: int,
    at: int = 0,
    status: str = "final",
    timestamp: int | None = None,
    kind: Kind = "sandwich",
) -> Finding:
    """A finding of a kind, the `at`-th of its block."""
    first = number * 1000 + at * 10
    return Finding(
        id=f"{chain_id}:{number}:{at}",
        chain_id=chain_id,
        block_number=number,
        block_timestamp=timestamp,
        revision=1,
        status=status,
        kind=kind,
        **{part: [hash_of(first + place)] for place, part in enumerate(PARTS[kind])},
        attackers=[ATTACKER],
        roles=[Role(address=ATTACKER, role="searcher"), *WHO.get(kind, ())],
        pools=[POOL],
        protocols=["uniswap_v2"],
        profit=[TokenAmount(token="ETH", amount_raw="1000")],
        confidence=0.9,
        evidence=["same pool"],
        model=f"{kind}-1",
    )


def mev_row(chain_id: int, number: int, findings: list[Finding], version: int = 1) -> Row:
    """The row that the mev agent would write."""
    keys = {(MEV_BY_CHAIN, str(chain_id))}
    for one in findings:
        keys |= {(MEV_BY_TRANSACTION, f"{chain_id}:{tx}") for tx in one.named()}
        keys |= {(MEV_BY_ADDRESS, f"{chain_id}:{address}") for address in one.parties()}
        keys |= {(MEV_BY_POOL, f"{chain_id}:{pool}") for pool in one.pools}
    row = MevRow(chain_id=chain_id, number=number, revision=version, status="complete", findings=findings)
    pointers = tuple(Pointer(index, key, number) for index, key in keys)
    return Row(MEV, f"{chain_id}:{number}", version, row, pointers)


def block_row(chain_id: int, number: int) -> Row:
    """The row that the blocks agent would write."""
    row = BlockRow(
        chain_id=chain_id,
        number=number,
        revision=1,
        status="complete",
        transactions=3,
        events={"swap": 2},
        rejected=0,
    )
    return Row(BLOCKS, f"{chain_id}:{number}", 1, row)


def alert_row(
    chain_id: int, number: int, severity: str = "high", status: str = "final", timestamp: int | None = None
) -> Row:
    """The row that the alerts agent would write, of another severity."""
    alert = from_finding(finding(chain_id, number, status=status, timestamp=timestamp))
    alert = alert.model_copy(update={"severity": severity})
    return Row(ALERTS, alert.id, alert.revision, alert, (Pointer(ALERTS_BY_CHAIN, str(chain_id), number),))


def risk_row(chain_id: int, number: int) -> Row:
    """The row that the assess agent would write of a request that names transaction `number`."""
    told = {"fromAddress": ATTACKER, "amount": 1, "chainId": chain_id, "txHash": hash_of(number)}
    case = Case(f"{chain_id}:{number}", 1, REQUEST.validate_python(told), None, None)
    (one,) = assess([case], None, "", False, 1_700_000_000.0 + number)
    places = ((RISK_BY_TRANSACTION, hash_of(number)), (RISK_BY_WALLET, ATTACKER))
    pointers = tuple(Pointer(index, f"{chain_id}:{key}", number) for index, key in places)
    return Row(RISK, one.id, 1, one, pointers)


def write(client: redis.Redis, *rows: Row) -> None:
    """Write rows as the runtime does."""
    with client.pipeline(transaction=False) as pipe:
        stage(pipe, rows)
        pipe.execute()


def beat(
    client: redis.Redis,
    app_id: str,
    at: float,
    *,
    started: float = 0.0,
    handled: int = 0,
    failed: int = 0,
    idle: float = 0.0,
    lag: int = 0,
    busy: float | None = None,
    instance: str = "test",
) -> None:
    """A heartbeat as the runtime writes it."""
    row = WorkerRow(
        service=app_id.partition(".")[0],
        app_id=app_id,
        instance=instance,
        pid=1,
        port=1,
        started_at=started,
        beat_at=at,
        progress_at=at - idle,
        handled=handled,
        failed=failed,
        dead_letters=0,
        lag=lag,
        busy_since=None if busy is None else at - busy,
    )
    write(client, Row(WORKERS, f"{app_id}:{instance}", int(at * 1000), row))
    client.zadd(WORKERS_SEEN, {f"{app_id}:{instance}": at})
