"""How `soba ingest node` is started and ends: addresses that can be none, and an end that comes whatever hangs."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from base.exits import EXIT_MISFIT
from base.settings import ROOT
from base.wording import wording
from console.local.ports import pick
from ingest.node.addresses import HttpAddress, WebsocketAddress, name_of
from ingest.node.heads import Heads

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


def test_a_websocket_that_is_not_there_is_told_without_its_key(caplog: pytest.LogCaptureFixture) -> None:
    (port,) = pick(1)

    async def heard() -> None:
        heads = Heads([f"ws://me:secret@127.0.0.1:{port}/v3/key"])
        listening = asyncio.create_task(heads.listen())
        async with asyncio.timeout(20):
            while "failed" not in caplog.text:
                await heads.wait()
        listening.cancel()

    with caplog.at_level("WARNING", "soba.ingest"):
        asyncio.run(heard())
    assert f"Could not connect to: ws://127.0.0.1:{port}. " in caplog.text
    assert "secret" not in caplog.text and "key" not in caplog.text


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
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == EXIT_MISFIT
    assert "another chain" in ended.stderr
