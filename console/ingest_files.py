"""`soba ingest files`: blocks that lie in files, to chain.events."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import orjson
import typer

from base.settings import Settings
from base.wording import counted
from console import records
from console.local.errors import LocalError
from console.local.progress import Progress, counting
from ingest.decode import assemble
from ingest.facts import Facts
from ingest.node.envelopes import pieces, record_of
from ingest.node.outlet import KafkaGone, Outlet, Record
from ingest.protocols.base import Undecoded
from ingest.raw import Malformed
from ingest.sources import Index, index
from topics.registry import CHAIN_EVENTS

AT_ONCE_BYTES = 16 << 20
AT_ONCE = 200
"""So many records or bytes are confirmed together, so that the order of blocks holds when Kafka fails in between."""
NAMED = 20
"""How many refused blocks are named one by one."""
WHY = {
    Undecoded.UNKNOWN_TOPIC: "events of no protocol that is known (approvals, votes, auctions, ...)",
    Undecoded.BAD_LAYOUT: "their signature is known, their layout is another",
    Undecoded.UNKNOWN_POOL: "swaps in a pool whose tokens nothing here tells",
    Undecoded.NO_EVENT: "they only tell of a pool",
    Undecoded.ONE_SIDED: "swaps that paid nothing, took nothing, or took what they paid",
    Undecoded.FOREIGN_WRAPPER: "deposits of another contract than the chain's wrapped coin",
}

Paths = Annotated[
    list[Path], typer.Argument(help="Files, or folders that are looked through for .json and .jsonl files.")
]
ChainId = Annotated[
    int | None, typer.Option(min=1, help="The chain of blocks that do not tell theirs; those of another are refused.")
]


@dataclass(slots=True)
class Outcome:
    """What became of the blocks."""

    files_passed_over: int = 0
    blocks: int = 0
    """Acknowledged by Kafka."""
    statuses: Counter[str] = field(default_factory=Counter)
    events: int = 0
    undecoded: Counter[str] = field(default_factory=Counter)
    """Logs that became no event, by reason."""
    unknown_pools: int = 0
    """Pools and markets that a node could tell of."""
    refused: list[str] = field(default_factory=list)
    interrupted: bool = False


def files(
    paths: Paths,
    chain_id: ChainId = None,
    json: Annotated[bool, typer.Option("--json", help="The result as one JSON object.")] = False,
) -> None:
    """Decode blocks in files and send them to chain.events, in order of their numbers.

    Takes mev-blocks, and results of eth_getBlockByNumber, eth_getBlockReceipts and eth_getLogs, together or in files of their own,
    also compressed (.gz) and one a line. Sent twice, a block is the same as once. Exit code 1 when one is refused.
    """
    try:
        found = index(paths)
    except Malformed as error:
        raise LocalError(str(error)) from None
    if not found.blocks:
        others = len(found.passed_over)
        why = (
            f"{counted(others, 'file')} with something else" if others else "no .json or .jsonl file, nor one with .gz"
        )
        raise LocalError(f"no block in {' '.join(map(str, paths))}: {why}")
    settings, there = records.connected()
    records.known(CHAIN_EVENTS.name, there)
    outcome = Outcome(len(found.passed_over))
    with counting(f"to {CHAIN_EVENTS.name}", len(found.blocks)) as bar:
        try:
            asyncio.run(_send(settings, found, chain_id, outcome, bar))
        except KafkaGone as error:
            sent = f"{counted(outcome.blocks, 'block')} {'was' if outcome.blocks == 1 else 'were'} sent"
            raise LocalError(f"{error}.", f"{sent}; run it again for the rest.") from None
    _report(outcome, json)
    if outcome.interrupted:
        raise typer.Exit(130)
    if outcome.refused:
        raise typer.Exit(1)


async def _send(settings: Settings, found: Index, chain_id: int | None, outcome: Outcome, bar: Progress) -> None:
    """Send all blocks, a group at a time; on Ctrl-C what was handed over is still waited for."""
    stopping = asyncio.Event()
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stopping.set)
    outlet, facts = Outlet(settings), Facts()
    group: list[Record] = []
    blocks = size = 0

    async def confirm() -> None:
        nonlocal blocks, size
        outlet.begin(group)
        await outlet.confirmed()
        outcome.blocks += blocks
        group.clear()
        blocks = size = 0

    for number in found.blocks:
        if stopping.is_set():
            outcome.interrupted = True
            break
        bar.advance(1)
        made = _decoded(found, number, chain_id, facts, outcome)
        if made:
            group += made
            blocks += 1
            size += sum(len(record.value) for record in made)
        if len(group) >= AT_ONCE or size >= AT_ONCE_BYTES:
            await confirm()
        await asyncio.sleep(0)
    if group:
        await confirm()


def _decoded(found: Index, number: int, chain_id: int | None, facts: Facts, outcome: Outcome) -> list[Record]:
    """The records of a block; none where it is refused."""
    try:
        raw = found.put_together(number, chain_id)
        # What an earlier block proved of a pool holds for later ones.
        decoded = assemble(raw if raw.facts.pools else replace(raw, facts=facts), f"block {number}")
    except Malformed as error:
        outcome.refused.append(str(error))
        return []
    outcome.statuses[decoded.header.status] += 1
    outcome.events += len(decoded.events)
    outcome.undecoded += decoded.undecoded
    outcome.unknown_pools += sum(one.family != "token" for one in decoded.wanted)
    return [record_of(decoded.header.chain_id, one) for one in pieces(decoded)]


def _report(outcome: Outcome, json: bool) -> None:
    if json:
        row = {
            "blocks": outcome.blocks,
            "statuses": dict(outcome.statuses),
            "events": outcome.events,
            "undecoded": dict(outcome.undecoded.most_common()),
            "unknown_pools": outcome.unknown_pools,
            "refused": outcome.refused,
            "files_passed_over": outcome.files_passed_over,
            "interrupted": outcome.interrupted,
        }
        print(orjson.dumps(row).decode())
        return
    if outcome.blocks:
        statuses = ", ".join(f"{count:,} {status}" for status, count in outcome.statuses.most_common())
        blocks, events = counted(outcome.blocks, "block"), counted(outcome.events, "event")
        print(f"{CHAIN_EVENTS.name}: {blocks} acknowledged ({statuses}), {events}")
    else:
        why = "every block was refused" if outcome.refused else "interrupted before the first block"
        print(f"{CHAIN_EVENTS.name}: nothing was sent: {why}")
    if outcome.undecoded:
        print(f"logs that became no event: {outcome.undecoded.total():,}")
        for reason, count in outcome.undecoded.most_common():
            print(f"  {reason:<16} {count:>9,}  {WHY[Undecoded(reason)]}")
    if outcome.unknown_pools:
        times = counted(outcome.unknown_pools, "time")
        print(f"{times} a pool or market was met that only a node could tell of (soba ingest node asks)")
    if outcome.files_passed_over:
        print(f"{counted(outcome.files_passed_over, 'file')} with nothing of a block")
    for told in outcome.refused[:NAMED]:
        print(f"refused: {told}", file=sys.stderr)
    if (more := len(outcome.refused) - NAMED) > 0:
        print(f"and {more:,} more {'is' if more == 1 else 'are'} refused (--json names all)", file=sys.stderr)
    if outcome.interrupted:
        print("interrupted: run it again for the rest")
