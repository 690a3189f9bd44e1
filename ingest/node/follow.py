"""Follow a chain: every block once, in order, complete; and taken back, newest first, when it left the chain."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

from base import metrics
from ingest.node.blocks import read_ancestor, read_blocks, read_head
from ingest.node.cursor import KEPT, Cursor, Link
from ingest.node.envelopes import Envelopes, Ready
from ingest.node.heads import POLL_S, Heads
from ingest.node.lasting import Lasting
from ingest.node.nodes import Nodes
from ingest.node.outlet import Outlet
from ingest.node.rpc import Endpoint

log = logging.getLogger("soba.ingest")

IN_FLIGHT = 4
"""Reads that nodes are asked for at the same time."""
AHEAD = 2 * IN_FLIGHT
"""Reads at the same time with those that are decoded, or wait for their turn: nodes are not idle meanwhile."""
MOST_AT_ONCE = 64
"""Blocks in a read; fewer where they are large."""
LARGE, SMALL = 4 << 20, 1 << 20
"""Bytes of a read's envelopes above which the next ones are for half as many blocks, and below which for twice as many."""
TELL_SHORTER_S = 30.0
"""How long the nodes' chain is shorter than what was sent before it is said, and between two words of it: a node that is a block or
two behind the others is so for moments."""


class NoAncestor(Exception):
    """None of the blocks that were sent is on the nodes' chain."""


class Follower:
    """One chain, followed from a cursor."""

    def __init__(
        self,
        nodes: Nodes,
        envelopes: Envelopes,
        outlet: Outlet,
        cursor: Cursor,
        path: Path,
        heads: Heads,
        *,
        confirmations: int = 0,
        told: Callable[[int, int], None] = lambda number, target: None,
    ) -> None:
        """`told` hears up to which number Kafka has confirmed the blocks, and up to which they are to be sent."""
        self._nodes, self._envelopes, self._outlet, self._heads = nodes, envelopes, outlet, heads
        self._cursor, self._path = cursor, path
        self._confirmations = confirmations
        self._told = told
        self._at_once = 4
        self._asking = asyncio.Semaphore(IN_FLIGHT)
        self._target_number = -1
        self._shorter = Lasting(TELL_SHORTER_S)
        self._sending: int | None = None
        """The number of the newest block of those that Kafka was handed and did not confirm yet."""

    async def run(self, start: int | None) -> None:
        """Follow until cancelled, from the cursor; where it is new from `start`, or from the newest block where that is None.

        Raises:
            NoAncestor: the chain is not the one that the cursor knows.
            KafkaGone: Kafka takes nothing.
        """
        if not self._cursor.blocks and self._cursor.confirmed < 0:
            first = await self._target() if start is None else start
            self._cursor.confirmed = max(first, 0) - 1
        else:
            await self._go_back()
        try:
            while True:
                target = await self._target()
                if self._shorter.due(target < self._cursor.confirmed, asyncio.get_running_loop().time()):
                    self._tell_shorter()
                if self._cursor.confirmed < target:
                    await self._forward(target)
                else:
                    await self._heads.wait()
                await self._heed_the_gone()
        finally:
            log.info("stopped; the last block that Kafka confirmed is %d", self._cursor.confirmed)

    def _tell_shorter(self) -> None:
        """Say that the nodes' chain does not reach up to what was sent, and what it may be."""
        log.warning(
            "the nodes' newest block is %d, and block %d was sent already: it waits for block %d; should their chain have begun "
            "anew, end this and see docs/ingest.md, A chain that began anew",
            self._target_number + self._confirmations,
            self._cursor.confirmed,
            self._cursor.confirmed + 1 + self._confirmations,
        )

    async def _target(self) -> int:
        """The newest block that is to be sent."""
        head = await self._nodes.use(read_head)
        metrics.INGEST_HEAD.set(head)
        self._target_number = head - self._confirmations
        return self._target_number

    async def _forward(self, target: int) -> None:
        """Send blocks up to `target`, or until one does not follow on the last: then take back what left the chain."""
        async with aclosing(self._ahead(self._cursor.confirmed + 1, target)) as ahead:
            async for blocks in ahead:
                if not self._follow_on(blocks):
                    await self._settle()
                    if not await self._go_back():  # nodes of two minds
                        await asyncio.sleep(POLL_S)
                    return
                await self._send(blocks)
                if self._heads.gone:
                    break
        await self._settle()

    def _follow_on(self, blocks: list[Ready]) -> bool:
        """Whether `blocks`, themselves a chain, follow on what was sent, and are those that may have been sent before."""
        known = {link.number: link.hash for link in self._cursor.blocks}
        first = blocks[0].link
        return known.get(first.number - 1, first.parent) == first.parent and all(
            known.get(block.link.number, block.link.hash) == block.link.hash for block in blocks
        )

    async def _ahead(self, first: int, last: int) -> AsyncGenerator[list[Ready], None]:
        """The blocks `first` to `last` in order, several reads at a time; ends early where the chain changes under them."""
        reads: deque[tuple[int, asyncio.Task[list[Ready]]]] = deque()
        following = first
        try:
            while following <= last or reads:
                while following <= last and len(reads) < AHEAD:
                    count = min(self._at_once, last - following + 1)
                    reads.append((count, asyncio.create_task(self._read(following, count))))
                    following += count
                count, read = reads.popleft()
                blocks = await read
                size = sum(block.size for block in blocks)
                if size > LARGE:
                    self._at_once = max(1, self._at_once // 2)
                elif size < SMALL and len(blocks) == count:
                    self._at_once = min(MOST_AT_ONCE, max(self._at_once, count * 2))
                yield blocks
                if len(blocks) < count:
                    return
        finally:
            for _, read in reads:
                read.cancel()
            await asyncio.gather(*(read for _, read in reads), return_exceptions=True)

    async def _read(self, first: int, count: int) -> list[Ready]:
        """Read and decode `count` blocks, fewer where the node has fewer."""

        async def work(endpoint: Endpoint) -> list[Ready]:
            async with self._asking:
                raws = await read_blocks(endpoint, range(first, first + count))
            made: list[Ready] = []
            for raw in raws:
                await asyncio.sleep(0)  # other reads can ask for more
                made.append(await self._envelopes.make(endpoint, raw))
            return made

        return await self._nodes.use(work)

    async def _send(self, blocks: list[Ready]) -> None:
        """Hand blocks to Kafka once it has the ones before, and they are written down."""
        await self._settle(save=False)
        known = {link.number: link for link in self._cursor.blocks}
        known.update((block.link.number, block.link) for block in blocks)
        self._cursor.blocks = [link for number, link in known.items() if number > self._cursor.confirmed - KEPT]
        self._save()
        self._sending = blocks[-1].link.number
        self._outlet.begin([record for block in blocks for record in block.records])
        for block in blocks:
            complete = len(block.records) == 1
            if not complete:
                log.warning("block %d is larger than a record; sent in %d parts", block.link.number, len(block.records))
            metrics.INGEST_BLOCKS.labels("complete" if complete else "partial").inc()
            for reason, count in block.undecoded.items():
                metrics.INGEST_UNDECODED.labels(reason).inc(count)

    async def _settle(self, save: bool = True) -> None:
        """Wait until Kafka has all that was handed to it."""
        if self._sending is None:
            return
        await self._outlet.confirmed()
        self._cursor.confirmed, self._sending = self._sending, None
        metrics.INGEST_NUMBER.set(self._cursor.confirmed)
        self._told(self._cursor.confirmed, self._target_number)
        if save:
            self._save()

    async def finish(self) -> None:
        """After `run` was cancelled: wait for Kafka, and write down what it confirmed. Without it that is sent again."""
        await self._settle()

    def _save(self) -> None:
        self._cursor.save(self._path)

    # When the chain changes

    async def _heed_the_gone(self) -> None:
        """Take back blocks whose logs a node took back, even if another node still has them."""
        gone, self._heads.gone = self._heads.gone, set()
        for place, link in enumerate(self._cursor.blocks):
            if link.hash in gone:
                await self._take_back(self._cursor.blocks[place:])
                return

    async def _go_back(self) -> bool:
        """Take back the blocks that are not on the nodes' chain; False when all are.

        Raises:
            NoAncestor: that is all of them, and the one before them too.
        """
        blocks = self._cursor.blocks
        if not blocks:
            return False
        kept = await self._nodes.use(lambda endpoint: read_ancestor(endpoint, blocks))
        if kept is None:
            raise NoAncestor(
                f"none of the blocks {blocks[0].number} to {blocks[-1].number} that were sent is on the nodes' chain: it is "
                f"another of the same id, or was reorganised deeper than {len(blocks)} blocks. A test chain that began anew: give "
                "it another id (anvil --chain-id), or drop all that was made of the old one (bin/soba up --fresh). To go on over "
                f"the old blocks instead, delete {self._path} and say by --from where to begin: blocks below the 512 newest that "
                "were sent are refused (too_late), and what was found in them stays"
            )
        gone = blocks[kept:]
        if gone:
            await self._take_back(gone)
        return bool(gone)

    async def _take_back(self, gone: list[Link]) -> None:
        """Say of blocks, the newest ones, that they are removed, newest first; then forget them."""
        log.warning(
            "reorganisation: %d blocks from %d on left the chain and are taken back",
            len(gone),
            gone[0].number,
            extra={"metadata": {"hashes": [link.hash for link in gone[:20]]}},
        )
        metrics.INGEST_REORGANISATIONS.inc()
        metrics.INGEST_BLOCKS.labels("removed").inc(len(gone))
        await self._settle()
        # First written down as no longer confirmed: should we die here, and they are on the chain again, they are sent again.
        self._cursor.confirmed = min(self._cursor.confirmed, gone[0].number - 1)
        self._save()
        self._outlet.begin([self._envelopes.removal(link) for link in reversed(gone)])
        await self._outlet.confirmed()
        self._cursor.blocks = self._cursor.blocks[: -len(gone)]
        self._save()
