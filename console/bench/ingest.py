"""`soba bench ingest`: how fast blocks come from a node to chain.events, beside web3.py's own reads of the same blocks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import psutil
import typer

from base.garbage import collect_rarely
from console.bench.chain import ETHER, GAS, GWEI, Chain, calldata
from console.bench.stage import Stage, confine, say, stage
from console.bench.uniswap import Uniswap, path
from console.figures import Figure, show
from console.figures import keep as keep_figures
from ingest.node.cursor import Cursor
from ingest.node.envelopes import Envelopes
from ingest.node.follow import Follower
from ingest.node.heads import Heads
from ingest.node.nodes import Nodes
from ingest.node.outlet import Outlet
from ingest.node.recursion import as_deep_as_before
from ingest.node.rpc import TIMEOUT_S
from topics.registry import CHAIN_EVENTS

CHAIN_ID = 31337
SWAPS = 200
"""In a block: 1,000 logs."""
READ_BY_WEB3 = 3
"""Blocks that web3.py reads: it takes half a second and more for each."""


def ingest(
    blocks: Annotated[int, typer.Option(min=10, help="Blocks of 200 swaps.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    keep: Annotated[bool, typer.Option(help="Keep the result in benchmarks/results.")] = False,
) -> None:
    """From a local node to chain.events: 200 swaps a block in Uniswap V2 pairs, read, decoded, sent and confirmed.

    Anvil recovers the signers of its own blocks again for each read. Other nodes keep them, and so does an anvil that forks
    another one: the same blocks are read from both. web3.py reads a few of them with its formatters (the block in full, then each
    receipt), in the same run.
    """
    with stage() as held:
        # All cores, before the nodes start: each makes a thread for every one that it has then, and with one it answers one
        # request at a time.
        confine(os.getpid(), held.own + held.rest)
        with Chain(CHAIN_ID, "--gas-limit", str(SWAPS * GAS), "--code-size-limit", "100000") as chain:
            first = _fill(chain, blocks)
            collect_rarely()
            own = asyncio.run(_follow(held, chain, first))
            with _fork(chain, first) as fork:
                kept = asyncio.run(_follow(held, fork, first))
            with held.probe(CHAIN_EVENTS.name) as probe:
                got = probe.count()
            web3_s, web3_cpu_s = _by_web3(chain, first)
    rate, web3_rate, spent = blocks / own.took_s, READ_BY_WEB3 / web3_s, own.ours_s + kept.ours_s
    figures = [
        Figure("node to chain.events, confirmed", round(rate, 1), "blocks/s", "web3.py: 1-2", ">= 20", "50"),
        Figure("transactions", round(rate * SWAPS), "/s", None, None, "1000"),
        Figure("the same from a node that keeps signers: a fork", round(blocks / kept.took_s, 1), "blocks/s"),
        Figure("blocks in chain.events, of both", got, "blocks", None, f"= {2 * blocks}"),
        Figure("blocks a second of our CPU", round(2 * blocks / spent, 1), "blocks/s"),
        Figure("CPU a block, ours", round(500 * spent / blocks, 1), "ms"),
        Figure("CPU a block, anvil's", round(1000 * own.node_s / blocks, 1), "ms"),
        Figure("CPU a block, the fork's", round(1000 * kept.node_s / blocks, 1), "ms"),
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


@contextlib.contextmanager
def _fork(chain: Chain, first: int) -> Iterator[Chain]:
    """A node that forks `chain`, and has read its blocks from there: it answers the same of them, from memory."""
    options = ("--fork-url", chain.url, "--no-storage-caching", "--no-rate-limit")
    with Chain(CHAIN_ID, *options) as fork:
        for number in map(hex, range(first, chain.head + 1)):
            for question in (
                ("eth_getBlockByNumber", number, True),
                ("eth_getBlockReceipts", chain.hash(int(number, 16))),
            ):
                assert fork.rpc(*question) == chain.rpc(*question), question
        yield fork


@dataclass(frozen=True, slots=True)
class _Run:
    """Seconds until all blocks were confirmed, and seconds of CPU that we and the node took."""

    took_s: float
    ours_s: float
    node_s: float


async def _follow(held: Stage, chain: Chain, first: int) -> _Run:
    """Follow `chain` from block `first` to its newest."""
    done = asyncio.Event()
    last = chain.head

    def told(number: int, _: int) -> None:
        if number >= last:
            done.set()

    async with aiohttp.ClientSession() as session:
        nodes = Nodes([chain.url], session, CHAIN_ID, TIMEOUT_S)
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
        began, ours, node = time.perf_counter(), time.process_time(), _spent(chain)
        following = asyncio.create_task(follower.run(first))
        await asyncio.wait((following, asyncio.create_task(done.wait())), return_when=asyncio.FIRST_COMPLETED)
        run = _Run(time.perf_counter() - began, time.process_time() - ours, _spent(chain) - node)
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
    return run


def _spent(chain: Chain) -> float:
    """Seconds of CPU that the node has taken so far."""
    times = psutil.Process(chain.pid).cpu_times()
    return float(times.user + times.system)


def _by_web3(chain: Chain, first: int) -> tuple[float, float]:
    """Seconds, and seconds of CPU, that web3.py takes for some of the blocks."""
    with as_deep_as_before():
        from web3 import HTTPProvider, Web3

    w3 = Web3(HTTPProvider(chain.url))
    assert w3.eth.chain_id == CHAIN_ID
    began, spent = time.perf_counter(), time.process_time()
    for number in range(first, first + READ_BY_WEB3):
        block: Any = w3.eth.get_block(number, full_transactions=True)
        for transaction in block["transactions"]:
            w3.eth.get_transaction_receipt(transaction["hash"])
    return time.perf_counter() - began, time.process_time() - spent
