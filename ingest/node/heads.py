"""When there may be something new: a node's subscriptions over a websocket, or the time. Of several nodes one is listened to.

What a subscription says is only a hint to look: blocks are read by `Nodes`, so that a websocket that drops, lags or lies costs time
and nothing else. Only logs that a node takes back (`removed: true`) say something that a look might miss: the block's old hash.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

from ingest.node.addresses import name_of
from ingest.node.nodes import WrongChain
from ingest.node.recursion import as_deep_as_before
from ingest.protocols import BY_TOPIC

log = logging.getLogger("soba.ingest")

POLL_S = 1.0
"""Between two looks without a websocket."""
CHECK_S = 10.0
"""Between two looks with one that is silent."""
CLOSE_S = 1.0
"""How long a node's goodbye is waited for."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 15.0
SILENT_S = 120.0
"""A websocket without a head for so long is given up for the next, or opened anew."""


class Heads:
    """What subscriptions have told since it was last asked."""

    def __init__(self, urls: Sequence[str] = (), chain_id: int | None = None, pending: bool = False) -> None:
        self.gone: set[str] = set()
        """Hashes of blocks whose logs were taken back."""
        self.pending: asyncio.Queue[str] = asyncio.Queue(maxsize=10_000)
        """Hashes of pending transactions; when it is full, newer ones are passed over."""
        self._urls = deque(urls)
        """The one that is listened to stands first."""
        self._chain_id = chain_id
        self._wants_pending = pending
        self._news = asyncio.Event()
        self._open = False

    async def wait(self) -> None:
        """Until a subscription says something, or it is time to look again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CHECK_S if self._open else POLL_S):
                await self._news.wait()
        self._news.clear()

    async def listen(self) -> None:
        """Keep the subscriptions of one node open until cancelled, those of the next where it fails.

        What was missed between two connections is found by looking.

        Raises:
            WrongChain: every websocket is on another chain.
        """
        wait = FIRST_WAIT_S
        while self._urls:
            url = self._urls[0]
            try:
                async for _ in self._messages(url):
                    wait = FIRST_WAIT_S
            except WrongChain as error:
                self._urls.popleft()
                if not self._urls:
                    raise
                log.error("%s; it is listened to no more", error)
                continue
            # web3.py ends its loop with errors of its own, of websockets, and with those of answers that nobody waited for.
            except Exception as error:
                said = str(error).replace(url, name_of(url))
                self._urls.rotate(-1)
                told = (name_of(url), type(error).__name__, said, name_of(self._urls[0]), wait)
                log.warning("the websocket %s failed (%s: %s); %s is opened in %.1f s", *told)
            self._open = False
            self._news.set()
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_S)
        await asyncio.Event().wait()

    async def _messages(self, url: str) -> AsyncIterator[None]:
        """One connection: subscribe and note what comes."""
        with as_deep_as_before():
            from web3 import AsyncWeb3, WebSocketProvider

        # One try: of its own five, the last would come 20 s later. A node that still talks is not listened to while it is left.
        provider = WebSocketProvider(url, {"close_timeout": CLOSE_S}, max_connection_retries=1)
        async with AsyncWeb3(provider) as w3:
            chain_id = await w3.eth.chain_id
            if self._chain_id not in (None, chain_id):
                raise WrongChain(
                    f"the websocket {name_of(url)} is on chain {chain_id}, not {self._chain_id}; give one of the same chain"
                )
            heads = await w3.eth.subscribe("newHeads")
            logs = await w3.eth.subscribe("logs", {"topics": [list(BY_TOPIC)]})
            pending = await w3.eth.subscribe("newPendingTransactions") if self._wants_pending else None
            self._open = True
            self._news.set()  # what came before the subscription
            log.info("subscribed over the websocket")
            messages = aiter(w3.socket.process_subscriptions())
            while True:
                # Not wait_for: where a message comes with it, that of Python 3.11 loses the cancellation.
                async with asyncio.timeout(SILENT_S):
                    message: Any = await anext(messages)
                self._note(message, heads, logs, pending)
                yield

    def _note(self, message: Any, heads: Any, logs: Any, pending: Any) -> None:
        kind, result = message.get("subscription"), message.get("result")
        if kind == heads:
            self._news.set()
        elif kind == logs and result.get("removed"):
            self.gone.add("0x" + bytes(result["blockHash"]).hex())
            self._news.set()
        elif kind == pending:
            with contextlib.suppress(asyncio.QueueFull):
                self.pending.put_nowait("0x" + bytes(result).hex())
