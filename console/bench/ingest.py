"""`soba bench ingest`: how fast blocks come from a node to chain.events, beside web3.py's own reads of the same blocks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import psutil
import typer

from base.garbage import collect_rarely
from base.settings import ROOT
from console.bench.chain import ETHER, GAS, GWEI, Chain, calldata
from console.bench.stage import Stage, confine, end, say, stage
from console.bench.uniswap import Uniswap, path
from console.figures import Figure, show
from console.figures import keep as keep_figures
from console.local.ports import LOOPBACK
from ingest.node.cursor import Cursor
from ingest.node.envelopes import Envelopes
from ingest.node.follow import Follower
from ingest.node.heads import Heads
from ingest.node.nodes import Nodes
from ingest.node.outlet import Outlet
from ingest.node.rpc import TIMEOUT_S
from topics.registry import CHAIN_EVENTS

CHAIN_ID = 31337
SWAPS = 200
"""In a block: 1,200 logs."""
READ_BY_WEB3 = 3
"""Blocks that web3.py reads: it takes half a second and more for each."""


def ingest(
    blocks: Annotated[int, typer.Option(min=10, help="Blocks of 200 swaps.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    keep: Annotated[bool, typer.Option(help="Keep the result in benchmarks/results.")] = False,
) -> None:
    """From a local node to chain.events: 200 swaps a block in Uniswap V2 pairs, read, decoded, sent and confirmed.

    web3.py reads a few of the same blocks with its formatters (the block in full, then each receipt), in the same run. Anvil
    recovers every signer again for each read, which other nodes keep: hence also a node that has anvil's answers ready.
    """
    with stage() as held:
        # All cores, before the node starts: it makes a thread for each that it has then, and with one it answers one request at
        # a time, which no real node does.
        confine(os.getpid(), held.own + held.rest)
        with Chain(CHAIN_ID, "--gas-limit", str(SWAPS * GAS), "--code-size-limit", "100000") as chain:
            first = _fill(chain, blocks)
            collect_rarely()
            before = _spent(chain)
            took, spent = asyncio.run(_follow(held, chain.url, first, chain.head))
            by_node = _spent(chain) - before
            with _ready(chain, first) as url:
                ready_took, ready_spent = asyncio.run(_follow(held, url, first, chain.head))
            with held.probe(CHAIN_EVENTS.name) as probe:
                got = probe.count()
            web3_s, web3_cpu_s = _by_web3(chain, first)
    rate, web3_rate = blocks / took, READ_BY_WEB3 / web3_s
    figures = [
        Figure("node to chain.events, confirmed", round(rate, 1), "blocks/s", "web3.py: 1-2", ">= 20", "50"),
        Figure("transactions", round(rate * SWAPS), "/s", None, None, "1000"),
        Figure("the same from a node with its answers ready", round(blocks / ready_took, 1), "blocks/s"),
        Figure("blocks in chain.events, of both", got, "blocks", None, f"= {2 * blocks}"),
        Figure("blocks a second of our CPU", round(2 * blocks / (spent + ready_spent), 1), "blocks/s"),
        Figure("CPU a block, ours", round(500 * (spent + ready_spent) / blocks, 1), "ms"),
        Figure("CPU a block, anvil's", round(1000 * by_node / blocks, 1), "ms"),
        Figure("web3.py: block in full, each receipt", round(web3_rate, 2), "blocks/s"),
        Figure(
            "CPU a block, web3.py (nothing decoded, nothing sent)", round(1000 * web3_cpu_s / READ_BY_WEB3, 1), "ms"
        ),
        Figure("times as fast as web3.py", round(rate / web3_rate, 1), "x"),
    ]
    if keep:
        keep_figures("ingest", figures, {"blocks": blocks})
    raise typer.Exit(show(figures, as_json))


def _fill(chain: Chain, blocks: int) -> int:
    """Make the blocks; the number of the first."""
    uniswap = Uniswap(chain, 4)
    for token in uniswap.tokens:
        uniswap.add_ether(token, 10**24, 1000 * ETHER)
    first = chain.head + 1
    chain.mining(False)
    began = time.monotonic()
    nonces = {one: int(chain.rpc("eth_getTransactionCount", one, "latest"), 16) for one in chain.accounts}
    for _ in range(blocks):
        sends = []
        for place in range(SWAPS):
            sender = chain.accounts[place % len(chain.accounts)]
            token = uniswap.tokens[place % len(uniswap.tokens)]
            words = (0, 0x80, sender, 2**40, *path(uniswap.weth, token))
            data = calldata("swapExactETHForTokens(uint256,address[],address,uint256)", *words)
            fields = {
                "from": sender,
                "nonce": hex(nonces[sender]),
                "to": uniswap.router,
                "data": data,
                "value": hex(10**12),
                "gas": hex(GAS),
                "maxPriorityFeePerGas": hex(GWEI),
                "maxFeePerGas": hex(10**5 * GWEI),
            }
            nonces[sender] += 1
            sends.append({"jsonrpc": "2.0", "id": place, "method": "eth_sendTransaction", "params": [fields]})
        _batch(chain, sends)
        chain.mine()
    full = len(chain.rpc("eth_getBlockByNumber", hex(chain.head), False)["transactions"])
    say(f"{blocks} blocks of {full} swaps in {time.monotonic() - began:.0f} s")
    assert full == SWAPS and chain.head == first + blocks - 1
    return first


def _batch(chain: Chain, requests: list[dict[str, Any]]) -> None:
    request = urllib.request.Request(chain.url, json.dumps(requests).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        failed = [one for one in json.load(response) if "error" in one]
    assert not failed, failed[0]


def _spent(chain: Chain) -> float:
    """Seconds of CPU that the node has taken so far."""
    times = psutil.Process(chain.pid).cpu_times()
    return float(times.user + times.system)


@contextlib.contextmanager
def _ready(chain: Chain, first: int) -> Iterator[str]:
    """The address of a node that has the answers about all blocks ready."""
    argv = [sys.executable, "-m", "console.bench.ready_node", chain.url, str(first), str(chain.head)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as node:
        assert node.stdout is not None
        try:
            yield f"http://{LOOPBACK}:{int(node.stdout.readline())}/"
        finally:
            end(node)


async def _follow(held: Stage, url: str, first: int, last: int) -> tuple[float, float]:
    """Seconds, and seconds of CPU, until all blocks are confirmed."""
    done = asyncio.Event()

    def told(number: int, _: int) -> None:
        if number >= last:
            done.set()

    async with aiohttp.ClientSession() as session:
        nodes = Nodes([url], session, CHAIN_ID, TIMEOUT_S)
        await nodes.check()
        follower = Follower(
            nodes,
            Envelopes(CHAIN_ID),
            Outlet(held.settings),
            Cursor(chain_id=CHAIN_ID),
            Path(held.settings.data_dir) / "cursor.json",
            Heads(),
            told=told,
        )
        began, spent = time.perf_counter(), time.process_time()
        following = asyncio.create_task(follower.run(first))
        await asyncio.wait((following, asyncio.create_task(done.wait())), return_when=asyncio.FIRST_COMPLETED)
        times = time.perf_counter() - began, time.process_time() - spent
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
    return times


def _by_web3(chain: Chain, first: int) -> tuple[float, float]:
    """Seconds, and seconds of CPU, that web3.py takes for some of the blocks."""
    from web3 import HTTPProvider, Web3

    w3 = Web3(HTTPProvider(chain.url))
    assert w3.eth.chain_id == CHAIN_ID
    began, spent = time.perf_counter(), time.process_time()
    for number in range(first, first + READ_BY_WEB3):
        block: Any = w3.eth.get_block(number, full_transactions=True)
        for transaction in block["transactions"]:
            w3.eth.get_transaction_receipt(transaction["hash"])
    return time.perf_counter() - began, time.process_time() - spent
