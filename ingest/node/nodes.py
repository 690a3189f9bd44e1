"""Several nodes of one chain: the first one that is well is asked, and one that fails rests."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import aiohttp

from base import metrics
from ingest.node.rpc import Call, Endpoint, NodeError, Refused

log = logging.getLogger("soba.ingest")

FIRST_REST_S = 0.25
LONGEST_REST_S = 15.0
T = TypeVar("T")


class WrongChain(Exception):
    """A node is on another chain than it should be."""


class Nodes:
    """The nodes in the order in which they are preferred."""

    def __init__(
        self, urls: Sequence[str], session: aiohttp.ClientSession, chain_id: int | None, timeout_s: float
    ) -> None:
        self.endpoints = [Endpoint(url, session, timeout_s) for url in urls]
        self._chain_id = chain_id

    @property
    def chain_id(self) -> int:
        """The chain's id, once `check` found it."""
        assert self._chain_id is not None, "check() comes first"
        return self._chain_id

    async def check(self) -> int:
        """Ask every node for its chain id; one that does not answer is asked before it is used. Waits until one has answered.

        Raises:
            WrongChain: the nodes are on different chains, or not on the chain that was named.
        """
        asked = await asyncio.gather(*map(self._identify, self.endpoints), return_exceptions=True)
        for endpoint, told in zip(self.endpoints, asked, strict=True):
            if isinstance(told, NodeError):
                self._rest(endpoint, told)
            elif isinstance(told, BaseException):
                raise told
            else:
                self._compare(endpoint)
        if self._chain_id is None:
            names = ", ".join(endpoint.name for endpoint in self.endpoints)
            log.error("no node answers yet; one must run at %s, or give another by --rpc: asked until one does", names)
            await self.use(self._nothing)
        return self.chain_id

    async def ask(self, calls: Sequence[Call]) -> list[Any]:
        """`Endpoint.ask` of the first node that answers, however long it takes until one does."""

        async def work(endpoint: Endpoint) -> list[Any]:
            return await endpoint.ask(calls)

        return await self.use(work)

    async def use(self, work: Callable[[Endpoint], Awaitable[T]]) -> T:
        """Do `work` with the first node that is not resting, again and with others until it does not raise `NodeError`."""
        while True:
            endpoint = await self._pick()
            try:
                if endpoint.chain_id is None:
                    await self._identify(endpoint)
                    self._compare(endpoint)
                done = await work(endpoint)
            except NodeError as error:
                self._rest(endpoint, error)
            except WrongChain as error:
                log.error("%s; it is asked no more", error)
                self.endpoints.remove(endpoint)
                if not self.endpoints:
                    raise
            else:
                if endpoint.failures:
                    log.info("%s answers again", endpoint.name)
                    endpoint.failures = 0
                return done

    async def _pick(self) -> Endpoint:
        """The first node that is not resting; waits for the one that rests for the shortest time."""
        clock = asyncio.get_running_loop().time
        while True:
            now = clock()
            for endpoint in self.endpoints:
                if endpoint.rests_until <= now:
                    return endpoint
            await asyncio.sleep(min(endpoint.rests_until for endpoint in self.endpoints) - now)

    async def _identify(self, endpoint: Endpoint) -> None:
        """Learn a node's chain id."""
        (told,) = await endpoint.ask([Call("eth_chainId", [])])
        if not isinstance(told, str):
            raise NodeError(f"answered {told} for its chain id" if isinstance(told, Refused) else "told no chain id")
        try:
            endpoint.chain_id = int(told, 16)
        except ValueError:
            raise NodeError(f"answered {told[:40]!r} for its chain id") from None

    def _compare(self, endpoint: Endpoint) -> None:
        """Hold a node's chain id against the one that was named, else the first one that was learnt."""
        if self._chain_id is None:
            self._chain_id = endpoint.chain_id
        if endpoint.chain_id != self._chain_id:
            raise WrongChain(
                f"{endpoint.name} is on chain {endpoint.chain_id}, not {self._chain_id}; "
                "give only nodes of one chain, and its id by --chain-id"
            )

    def _rest(self, endpoint: Endpoint, error: NodeError) -> None:
        """Let a node that failed rest, longer each time; a failure of what was asked at the same time counts once."""
        metrics.INGEST_FAILURES.labels(error.reason).inc()
        now = asyncio.get_running_loop().time()
        if endpoint.rests_until > now and error.wait_s is None:
            return
        rest = min(FIRST_REST_S * 2**endpoint.failures, LONGEST_REST_S) * random.uniform(0.8, 1.2)
        endpoint.failures = min(endpoint.failures + 1, 16)
        endpoint.rests_until = now + max(rest, error.wait_s or 0.0)
        log.warning("%s: %s; asked again in %.1f s", endpoint.name, error, endpoint.rests_until - now)

    @staticmethod
    async def _nothing(_: Endpoint) -> None:
        """The chain id comes before any work."""
