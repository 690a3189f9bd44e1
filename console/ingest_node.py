"""`soba ingest node`: follow a chain by its nodes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer
from confluent_kafka import KafkaException
from prometheus_client import start_http_server
from pydantic import TypeAdapter, ValidationError

from base.exits import EXIT_FAILING, EXIT_MISFIT, GRACE_S, end_within
from base.garbage import collect_rarely
from base.logs import setup_logging
from base.settings import Settings
from base.tasks import end
from base.wording import wording
from console import records
from console.local.progress import TELL_EVERY_S, Progress, counting
from ingest.node import cursor
from ingest.node.addresses import HttpAddress, WebsocketAddress
from ingest.node.envelopes import Envelopes
from ingest.node.follow import Follower, NoAncestor
from ingest.node.heads import Heads
from ingest.node.nodes import Nodes, WrongChain
from ingest.node.outlet import KafkaGone, Outlet
from ingest.node.pending import Watch
from ingest.node.rpc import TIMEOUT_S
from topics.admin import cluster_id
from topics.registry import CHAIN_EVENTS

log = logging.getLogger("soba.ingest")
PORT = 8006
FINISH_S = 3.0
"""How long what was handed to Kafka is waited for when it is told to stop; the rest is sent again by the next start."""
BAR_FROM = 100
"""Blocks to catch up with from which on there is a progress bar."""
_HTTP, _WEBSOCKETS = TypeAdapter(list[HttpAddress]), TypeAdapter(list[WebsocketAddress])


def _start(value: str) -> int | None:
    if value == "latest":
        return None
    if not value.isdecimal():
        raise typer.BadParameter(f"{value!r} is no block number; give one, or latest")
    return int(value)


def node(
    rpc: Annotated[list[str], typer.Option(help="HTTP address of a node; repeat it for others to fall back on.")],
    ws: Annotated[
        list[str] | None, typer.Option(help="Websocket of a node, to hear of blocks at once; repeat it for others.")
    ] = None,
    start: Annotated[
        str, typer.Option("--from", metavar="N|latest", help="Where to begin when the chain was not followed before.")
    ] = "latest",
    confirmations: Annotated[int, typer.Option(min=0, help="Send a block once so many follow on it.")] = 0,
    chain_id: Annotated[int | None, typer.Option(min=1, help="End unless the nodes are on this chain.")] = None,
    pending: Annotated[
        bool, typer.Option("--pending", help="Pending swaps to swap.requests, too (takes --ws).")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long an answer may take.")
    ] = TIMEOUT_S,
) -> None:
    """Follow any EVM chain: every block, complete and in order, to chain.events; reorganisations are taken back.

    It goes on where it was stopped or killed: the cursor is a file in the data folder's `ingest`.
    """
    first = _start(start)
    if pending and not ws:
        raise typer.BadParameter("--pending takes --ws: pending transactions are heard of over a websocket")
    rpc, ws = _checked(_HTTP, rpc, "--rpc"), _checked(_WEBSOCKETS, ws or [], "--ws")
    settings, there = records.connected()
    records.known(CHAIN_EVENTS.name, there)
    _log(settings)
    collect_rarely()
    following = partial(_follow, settings, rpc, ws, first, confirmations, chain_id, pending, timeout)
    if code := asyncio.run(_ended(following)):
        raise typer.Exit(code)


def _checked(schema: TypeAdapter[list[str]], urls: list[str], option: str) -> list[str]:
    """Addresses that can be ones; a wrong one is not shown, as it may hold a key."""
    try:
        return schema.validate_python(urls)
    except ValidationError as error:
        said = wording(error.errors(include_input=False, include_url=False)[0]).said
        raise typer.BadParameter(said, param_hint=option) from None


async def _ended(following: Callable[[contextlib.AsyncExitStack], Awaitable[None]]) -> int:
    """Follow until it ends, say at once why, and then clean up, for `GRACE_S` at most: the exit code."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            await following(stack)
            code = 0
        except (WrongChain, NoAncestor, cursor.Unusable) as error:
            log.error("%s", error)
            code = EXIT_MISFIT
        except KafkaGone as error:
            log.error("%s", error)
            code = EXIT_FAILING
        except Exception:
            log.exception("something unforeseen ended it")
            code = EXIT_FAILING
        end_within(GRACE_S, log, code)
    return code


async def _follow(
    settings: Settings,
    urls: list[str],
    ws: list[str],
    first: int | None,
    confirmations: int,
    chain_id: int | None,
    pending: bool,
    timeout: float,
    stack: contextlib.AsyncExitStack,
) -> None:
    """Follow until told to stop; `stack` then stops what was begun."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    session = await stack.enter_async_context(aiohttp.ClientSession())
    nodes = Nodes(urls, session, chain_id, timeout)
    checking = asyncio.create_task(nodes.check())
    stack.push_async_callback(_stop, checking)
    if not await _until(stopping, checking):
        return
    asking = asyncio.create_task(_cluster(settings))
    stack.push_async_callback(_stop, asking)
    if not await _until(stopping, asking):
        return
    path = settings.data_dir / "ingest" / f"{asking.result()}-{nodes.chain_id}.json"
    stack.enter_context(cursor.held(path))
    held = cursor.load(path, nodes.chain_id)
    known = bool(held.blocks)
    _tell(settings, nodes.chain_id, f"goes on behind block {held.confirmed}" if known else "begins", path)
    heads = Heads(ws, nodes.chain_id, pending)
    envelopes = Envelopes(nodes.chain_id)
    told = _Progress(stack.enter_context(contextlib.ExitStack()))
    follower = Follower(nodes, envelopes, Outlet(settings), held, path, heads, confirmations=confirmations, told=told)
    work = [asyncio.create_task(follower.run(first)), asyncio.create_task(heads.listen())]
    if pending:
        work.append(asyncio.create_task(Watch(nodes, heads, envelopes, Outlet(settings)).run()))
    stack.push_async_callback(_finish, follower)
    stack.push_async_callback(_stop, *work)
    await _until(stopping, *work)


async def _cluster(settings: Settings) -> str:
    """The cluster's own name.

    Raises:
        KafkaGone: it does not answer in 15 s.
    """
    try:
        return await asyncio.to_thread(cluster_id, settings)
    except KafkaException as error:
        raise KafkaGone(f"Kafka at {settings.brokers} does not answer ({error.args[0].str()}); is it up?") from None


async def _stop(*work: asyncio.Task[Any]) -> None:
    await end(*work)
    await asyncio.gather(*work, return_exceptions=True)  # what they raised is told, or no news any more


async def _finish(follower: Follower) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FINISH_S):
            await follower.finish()


async def _until(stopping: asyncio.Event, *work: asyncio.Task[Any]) -> bool:
    """Wait until one of `work` is done, or it is time to stop; whether one is done. Raises what it raised."""
    stop = asyncio.create_task(stopping.wait())
    try:
        done, _ = await asyncio.wait((stop, *work), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.cancel()
    for task in done - {stop}:
        task.result()
    return stop not in done


def _log(settings: Settings) -> None:
    """JSON lines for machines; where a person looks on, time, level and message."""
    setup_logging("INGEST", settings.log_level)
    if sys.stderr.isatty():
        for handler in logging.getLogger().handlers:
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))


def _tell(settings: Settings, chain_id: int, how: str, path: Path) -> None:
    """Serve /metrics and say what begins."""
    wanted = PORT if settings.worker_port is None else settings.worker_port
    try:
        server, _ = start_http_server(wanted, settings.worker_host)
    except OSError:  # another one has it
        server, _ = start_http_server(0, settings.worker_host)
    told = {"chain_id": chain_id, "cursor": str(path), "metrics_port": server.server_port}
    log.info("chain %d: %s; metrics on port %d", chain_id, how, server.server_port, extra={"metadata": told})


class _Progress:
    """Says how far a backfill is: a bar for a person, a line every few seconds for a log."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._bar: Progress | None = None
        self._number = self._target = 0
        self._next = 0.0

    def __call__(self, number: int, target: int) -> None:
        behind = target - number
        now = time.monotonic()
        if self._bar is None and behind >= BAR_FROM and sys.stderr.isatty():
            self._bar, self._target = self._stack.enter_context(counting("blocks", behind)), target
        elif self._bar is not None:
            self._bar.advance(number - self._number)
            if number >= self._target:
                self._stack.close()
                self._bar = None
        elif behind >= BAR_FROM and now >= self._next:
            self._next = now + TELL_EVERY_S
            log.info("at block %d, %d behind", number, behind)
        self._number = number
