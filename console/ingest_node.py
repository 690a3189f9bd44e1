"""`soba ingest node`: follow a chain by its nodes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer
from prometheus_client import start_http_server

from base.exits import EXIT_FAILING, EXIT_MISFIT
from base.garbage import collect_rarely
from base.logs import setup_logging
from base.settings import Settings
from console import records
from console.local.progress import TELL_EVERY_S, Progress, counting
from ingest.node import cursor
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
    settings, there = records.connected()
    records.known(CHAIN_EVENTS.name, there)
    _log(settings)
    collect_rarely()
    try:
        asyncio.run(_follow(settings, rpc, ws or [], first, confirmations, chain_id, pending, timeout))
    except (WrongChain, NoAncestor, cursor.Unusable) as error:
        log.error("%s", error)
        raise typer.Exit(EXIT_MISFIT) from None
    except KafkaGone as error:
        log.error("%s", error)
        raise typer.Exit(EXIT_FAILING) from None


async def _follow(
    settings: Settings,
    urls: list[str],
    ws: list[str],
    first: int | None,
    confirmations: int,
    chain_id: int | None,
    pending: bool,
    timeout: float,
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with aiohttp.ClientSession() as session:
        nodes = Nodes(urls, session, chain_id, timeout)
        checking = asyncio.create_task(nodes.check())
        if not await _until(stopping, checking):
            checking.cancel()
            return
        path = settings.data_dir / "ingest" / f"{await asyncio.to_thread(cluster_id, settings)}-{nodes.chain_id}.json"
        with cursor.held(path), contextlib.ExitStack() as stack:
            held = cursor.load(path, nodes.chain_id)
            known = bool(held.blocks)
            _tell(settings, nodes.chain_id, f"goes on behind block {held.confirmed}" if known else "begins", path)
            heads = Heads(ws, nodes.chain_id, pending)
            envelopes = Envelopes(nodes.chain_id)
            follower = Follower(
                nodes,
                envelopes,
                Outlet(settings),
                held,
                path,
                heads,
                confirmations=confirmations,
                told=_Progress(stack),
            )
            work = [asyncio.create_task(follower.run(first)), asyncio.create_task(heads.listen())]
            if pending:
                work.append(asyncio.create_task(Watch(nodes, heads, envelopes, Outlet(settings)).run()))
            try:
                await _until(stopping, *work)
            finally:
                for task in work:
                    task.cancel()
                await asyncio.gather(*work, return_exceptions=True)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(follower.finish(), FINISH_S)


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
    """JSON lines for machines; where a person looks on, the messages."""
    setup_logging("INGEST", settings.log_level)
    if sys.stderr.isatty():
        for handler in logging.getLogger().handlers:
            handler.setFormatter(logging.Formatter("%(message)s"))


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
