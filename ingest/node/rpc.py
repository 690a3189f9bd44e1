"""One node by JSON-RPC over HTTP: batches of calls, and what went wrong told apart by what to do about it.

web3.py formats each field of each answer, which takes 10 to 300 times as long as the parsing (its issues 2176, 3575 and
3858); blocks and receipts are read here as they come.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp
import orjson

from ingest.node.addresses import name_of

log = logging.getLogger("soba.ingest")

TIMEOUT_S = 30.0
AT_ONCE = 100
"""Calls in a batch at most."""
RATE_CODES = frozenset({-32005, -32017, -32029, 429})
_RATE = re.compile(
    r"too many requests|rate.?limit|request limit|compute units|(capacity|quota) (was |is )?exceeded", re.I
)
_LARGE = re.compile(
    r"(batch|response|request|content|result|payload).{0,30}too (large|big|long)|batch.{0,20}limit|entity too large",
    re.I,
)
_UNKNOWN = re.compile(
    r"method.{0,60}(not|unknown|unsupported)|unknown method|unsupported method|not (supported|available|whitelisted)",
    re.I,
)


class NodeError(Exception):
    """A node did not answer as it should, and may later. The message says what it did, without the address."""

    reason = "unavailable"
    """One word, for metrics."""
    wait_s: float | None = None
    """How long it asked us to wait."""


class RateLimited(NodeError):
    """It wants to be asked less."""

    reason = "rate_limited"

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class TooLarge(NodeError):
    """It wants less in one batch."""

    reason = "too_large"


class Slow(NodeError):
    """It did not answer in time: it is gone, or was asked for more than it can send."""


class Behind(NodeError):
    """It does not have what another one of its kind, or it itself, had: a load balancer before nodes of different heights."""

    reason = "behind"


@dataclass(frozen=True, slots=True)
class Refused:
    """A node's error about one call."""

    code: int
    message: str

    @property
    def unknown_method(self) -> bool:
        """Whether the node does not know, or not offer, what it was asked for."""
        return self.code == -32601 or bool(_UNKNOWN.search(self.message))


class Call(NamedTuple):
    """A method and its parameters."""

    method: str
    params: list[Any]


@dataclass(eq=False)
class Endpoint:
    """One node's address and what was learnt of it."""

    url: str
    session: aiohttp.ClientSession
    timeout_s: float = TIMEOUT_S
    block_receipts: bool = True
    """Whether it knows eth_getBlockReceipts."""
    at_once: int = AT_ONCE
    """How many calls it takes in a batch, as far as is known."""
    in_time: int = AT_ONCE
    """How many calls of a batch it answers in time: half as many where it did not, one more where it did."""
    chain_id: int | None = None
    """None while it was not asked."""
    failures: int = 0
    """In a row."""
    rests_until: float = 0.0
    """By the loop's clock."""
    name: str = field(init=False)
    """Its address without what may be secret."""

    def __post_init__(self) -> None:
        self.name = name_of(self.url)

    async def ask(self, calls: Sequence[Call]) -> list[Any]:
        """The result of each call, in order; a `Refused` in the place of one that the node refused.

        Raises:
            NodeError: no usable answer; `RateLimited` and `TooLarge` where it said so, `Slow` where there was none in time.
        """
        answers: list[Any] = []
        while len(answers) < len(calls):
            some = calls[len(answers) : len(answers) + min(self.at_once, self.in_time)]
            try:
                answers += await self._ask(some)
            except TooLarge as error:
                if len(some) == 1:
                    raise
                self.at_once = len(some) // 2
                log.info("%s: %s; asked for %d at once from now on", self.name, error, self.at_once)
            except Slow:
                if len(some) > 1:  # one call that takes long says nothing of how many it takes
                    self.in_time = len(some) // 2
                raise
            else:
                if len(some) >= self.in_time:
                    self.in_time = min(self.in_time + 1, AT_ONCE)
        return answers

    async def _ask(self, calls: Sequence[Call]) -> list[Any]:
        requests = [
            {"jsonrpc": "2.0", "id": index, "method": call.method, "params": call.params}
            for index, call in enumerate(calls)
        ]
        value = await self._post(orjson.dumps(requests if len(requests) > 1 else requests[0]))
        if isinstance(value, dict):
            if len(calls) > 1:  # an error about the batch as a whole
                refused = _result(value)
                if isinstance(refused, Refused) and re.search("batch", refused.message, re.I):
                    raise TooLarge(refused.message)
                raise NodeError(f"answered a batch with one object: {refused}")
            value = [value]
        if not isinstance(value, list):
            raise NodeError(f"answered {type(value).__name__} where an object is wanted")
        results = {one.get("id"): one for one in value if isinstance(one, dict)}
        if len(calls) == 1 and len(value) == 1:
            results = {0: value[0]}
        if missing := [index for index in range(len(calls)) if index not in results]:
            raise NodeError(f"left out {len(missing)} of {len(calls)} answers")
        return [_result(results[index]) for index in range(len(calls))]

    async def _post(self, body: bytes) -> Any:
        """The parsed body of an answer with status 200."""
        try:
            async with self.session.post(
                self.url,
                data=body,
                headers={"content-type": "application/json"},
                timeout=aiohttp.ClientTimeout(total=self.timeout_s),
            ) as response:
                data = await response.read()
                if response.status == 429:
                    raise RateLimited("HTTP 429", _seconds(response.headers.get("Retry-After")))
                if response.status == 413:
                    raise TooLarge("HTTP 413")
        except TimeoutError:
            raise Slow(f"no answer within {self.timeout_s:g} s") from None
        except aiohttp.ClientConnectorError as error:
            raise NodeError(f"nothing answers there ({error.strerror or 'connection failed'})") from None
        except (aiohttp.ClientError, OSError) as error:
            raise NodeError(
                f"{type(error).__name__}: {getattr(error, 'strerror', None) or 'connection failed'}"
            ) from None
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise NodeError(f"HTTP {response.status} and no JSON") from None
        # Some tell of a refused call, or of a limit, by 400 or 500 and a body in order.
        if response.status >= 500 or (response.status >= 400 and not isinstance(value, dict | list)):
            if isinstance(value, dict):
                _result(value)
            raise NodeError(f"HTTP {response.status}")
        return value


def _result(answer: Any) -> Any:
    """A result, or what the node refused.

    Raises:
        NodeError: it refused because of how much it was asked, or answered neither.
    """
    if not isinstance(answer, dict) or ("result" not in answer and "error" not in answer):
        raise NodeError("an answer with neither result nor error")
    error = answer.get("error")
    if error is None:
        return answer.get("result")
    told = error if isinstance(error, dict) else {"message": str(error)}
    code = told.get("code")
    refused = Refused(code if isinstance(code, int) else 0, str(told.get("message", ""))[:300])
    if _RATE.search(refused.message) or (refused.code in RATE_CODES and "more than" not in refused.message):
        data = told.get("data")
        wait = data.get("backoff_seconds") or data.get("retry_after") if isinstance(data, dict) else None
        raise RateLimited(f"{refused.code} {refused.message}", float(wait) if isinstance(wait, int | float) else None)
    if _LARGE.search(refused.message):
        raise TooLarge(f"{refused.code} {refused.message}")
    return refused


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds; its form as a date is passed over."""
    return float(header) if header and re.fullmatch(r"\d{1,6}(\.\d{1,6})?", header) else None
