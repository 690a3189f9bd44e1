"""The rate limit: requests in any 60 seconds for each caller and route, counted in Redis for all replicas together."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis

WINDOW_MS = 60_000
HEADERS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy")

TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local used = redis.call('ZCARD', KEYS[1])
local taken = 0
if used < limit then
  redis.call('ZADD', KEYS[1], now, now .. ':' .. used)
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  taken, used = 1, used + 1
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
return {taken, limit - used, math.ceil((tonumber(first) + window - now) / 1000)}
"""
"""Takes one of ARGV[1] places in the last ARGV[2] ms; returns whether it did, how many are left, and in how many ms the
next place comes free. A log of times and not a counter by the minute: no twofold burst where minutes meet."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a caller has left."""

    taken: bool
    limit: int
    remaining: int
    reset_s: int

    def headers(self) -> dict[str, str]:
        """RateLimit headers, and Retry-After where the request was refused."""
        values = (self.limit, self.remaining, self.reset_s, f"{self.limit};w={WINDOW_MS // 1000}")
        told = {name: str(value) for name, value in zip(HEADERS, values, strict=True)}
        return told if self.taken else {**told, "Retry-After": str(self.reset_s)}


async def take(redis: Redis, caller: str, route: str, limit: int) -> Allowance:
    """Count one request of `caller` on `route`."""
    answer = cast(list[int], await redis.eval(TAKE, 1, f"rate:{caller}:{route}", limit, WINDOW_MS))
    taken, remaining, reset_ms = answer
    return Allowance(bool(taken), limit, remaining, max(1, math.ceil(reset_ms / 1000)))


class WrongKeys:
    """Requests without a right key, counted by address and in Redis for all replicas.

    Where an address has used up its places, even a right key is refused until one comes free: else a guesser would still
    learn which one is right. Each replica remembers whom it refuses, so that a request with a right key costs nothing more.
    """

    def __init__(self, redis: Redis, limit: int) -> None:
        self._redis, self._limit = redis, limit
        self._until: dict[str, float] = {}

    def refused(self, address: str) -> Allowance | None:
        """What to tell an address that is refused now."""
        left = self._until.get(address, 0.0) - time.monotonic()
        return Allowance(False, self._limit, 0, math.ceil(left)) if left > 0 else None

    async def count(self, address: str) -> Allowance:
        """Count one."""
        allowance = await take(self._redis, f"address:{address}", "unauthorized", self._limit)
        if not allowance.remaining:
            now = time.monotonic()
            self._until = {other: until for other, until in self._until.items() if until > now}
            self._until[address] = now + allowance.reset_s
        return allowance
