"""How `soba ingest node` is started and ends: addresses that can be none, and an end that comes whatever hangs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import test_utils, web
from pydantic import TypeAdapter, ValidationError

from base.exits import EXIT_MISFIT
from base.settings import ROOT, Settings
from base.tasks import end
from base.wording import wording
from console import ingest_node
from ingest.node.addresses import HttpAddress, WebsocketAddress, name_of
from ingest.node.heads import Heads
from ingest.node.outlet import KafkaGone
from topics import admin

HTTP: TypeAdapter[str] = TypeAdapter(HttpAddress)
WEBSOCKET: TypeAdapter[str] = TypeAdapter(WebsocketAddress)


def refusal(schema: TypeAdapter[str], url: str) -> str:
    with pytest.raises(ValidationError) as refused:
        schema.validate_python(url)
    return wording(refused.value.errors(include_input=False)[0]).said


@pytest.mark.parametrize(
    ("url", "like"),
    [
        ("127.0.0.1:18545", "127.0.0.1:18545"),
        ("localhost:8546/key", "localhost:8546"),
        ("ws://node.example/key", "node.example"),
        ("localhost", "localhost"),
        ("node:8545", "node:8545"),
        ("AbCdEf0123456789SecretKey", "127.0.0.1:8545"),
        ("ftp://AbCdEf0123456789SecretKey", "127.0.0.1:8545"),
        ("http://", "127.0.0.1:8545"),
        ("http://localhost:123456", "127.0.0.1:8545"),
        ("", "127.0.0.1:8545"),
    ],
)
def test_what_is_no_address_of_a_node_is_refused_with_what_to_give(url: str, like: str) -> None:
    told = refusal(HTTP, url)
    assert told == f"it is no address of a node; give http:// or https://, the host and its port, such as http://{like}"


def test_an_address_is_told_without_its_key() -> None:
    assert name_of("wss://me:secret@node.example:8546/v3/key") == "wss://node.example:8546"
    assert refusal(WEBSOCKET, "https://me:secret@node.example/v3/key").endswith("such as ws://node.example")
    for url in ("ws://[::1]:8546", "wss://me:secret@node.example/v3/key"):
        assert WEBSOCKET.validate_python(url) == url


@pytest.fixture
def port() -> Iterator[int]:
    """One where nobody listens: it is held, so that no other process can."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_websocket_that_is_not_there_is_told_without_its_key(port: int, caplog: pytest.LogCaptureFixture) -> None:
    async def heard() -> None:
        heads = Heads([f"ws://me:secret@127.0.0.1:{port}/v3/key"])
        listening = asyncio.create_task(heads.listen())
        async with asyncio.timeout(60):
            while "failed" not in caplog.text:
                await heads.wait()
        await end(listening)

    with caplog.at_level("WARNING", "soba.ingest"):
        asyncio.run(heard())
    assert f"Could not connect to: ws://127.0.0.1:{port}. " in caplog.text
    assert "secret" not in caplog.text and "key" not in caplog.text


def test_json_that_nests_too_deep_does_not_end_it() -> None:
    """In a process of its own, since that is what it would end."""
    script = """
import asyncio, logging
from aiohttp import test_utils, web
from ingest.node.heads import Heads

async def answer(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.receive()
    await socket.send_bytes(b"[" * 100_000)
    return socket

async def heard():
    app = web.Application()
    app.router.add_get("/", answer)
    async with test_utils.TestServer(app) as server:
        url = str(server.make_url("/")).replace("http", "ws")
        async for _ in Heads([url])._messages(url):
            pass

try:
    asyncio.run(heard())
except Exception as error:
    print(repr(error))
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout[:14]) == (0, "RecursionError"), ended


def test_what_does_not_stop_is_ended_with_the_code_of_what_was_the_matter() -> None:
    script = """
import asyncio, sys
from console import ingest_node
from ingest.node.follow import NoAncestor

ingest_node.GRACE_S = 0.2

async def following(stack):
    stack.push_async_callback(asyncio.Event().wait)
    raise NoAncestor("another chain")

sys.exit(asyncio.run(ingest_node._ended(following)))
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == EXIT_MISFIT
    assert "another chain" in ended.stderr


async def answer(request: web.Request) -> web.Response:
    """A node's: all its numbers are 7."""
    asked = await request.json()
    told = [
        {"jsonrpc": "2.0", "id": one["id"], "result": "0x7"} for one in (asked if isinstance(asked, list) else [asked])
    ]
    return web.json_response(told if isinstance(asked, list) else told[0])


async def follow(settings: Settings) -> None:
    """Follow a node that answers."""
    app = web.Application()
    app.router.add_post("/", answer)
    async with test_utils.TestServer(app) as server, contextlib.AsyncExitStack() as stack:
        url = str(server.make_url("/"))
        await ingest_node._follow(settings, [url], [], None, 0, None, False, 60.0, stack)


@pytest.fixture
def away(port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """The settings of a Kafka that is not there, which is waited for no longer than a second."""
    monkeypatch.setattr(admin, "TIMEOUT_S", 1)
    return Settings(brokers=f"127.0.0.1:{port}", data_dir=tmp_path)


def test_a_kafka_that_is_away_at_the_start_is_said(away: Settings) -> None:
    with pytest.raises(KafkaGone, match=rf"Kafka at {away.brokers} does not answer \(.+\)"):
        asyncio.run(follow(away))


def test_it_heeds_a_signal_while_kafka_does_not_answer(away: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    heeded = threading.Event()

    def asked(settings: Settings) -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        assert heeded.wait(60)
        return "a cluster"

    async def following() -> None:
        await follow(away)
        heeded.set()

    monkeypatch.setattr(ingest_node, "cluster_id", asked)
    asyncio.run(following())
    assert not (away.data_dir / "ingest").exists(), "it began nothing"


def test_logs_are_lines_for_people_on_a_terminal_and_json_elsewhere() -> None:
    script = """
from base.settings import Settings
from console import ingest_node

ingest_node._log(Settings(_env_file=None))
ingest_node.log.error("no node answers yet")
"""
    ours, theirs = os.openpty()
    with open(ours, "rb", buffering=0) as terminal, open(theirs, "wb", buffering=0) as stderr:
        subprocess.run([sys.executable, "-c", script], cwd=ROOT, stderr=stderr, timeout=120, check=True)
        shown = terminal.read(4096).decode()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ERROR no node answers yet\r\n", shown), shown
    piped = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, timeout=120, check=True)
    entry = json.loads(piped.stderr)
    assert (entry["service"], entry["level"], entry["message"]) == ("ingest", "ERROR", "no node answers yet")
