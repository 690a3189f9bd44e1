"""Who may pass: the key and its scope, then the rate limit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends, Request

from base.metrics import RATE_LIMITED
from facade.context import Context, Here
from facade.errors import ApiError
from facade.keys import Key, Scope
from facade.limits import take
from facade.middleware import endpoint
from facade.requests import Trace, trace


def needs(scope: Scope) -> Any:
    """A route's dependency: a live key with `scope` (none in open mode), and a place within the rate limit."""
    return Depends(_gate(scope))


def _gate(scope: Scope) -> Callable[[Request, Context], Awaitable[None]]:
    async def gate(request: Request, here: Here) -> None:
        told, key = trace(request), None
        if not await here.keys.is_open():
            key = await _key(request, here)
            told.caller = key.name
        await _limit(request, here, told, key)
        if key is not None and not key.may(scope):
            raise ApiError("forbidden", f"this key lacks the scope {scope}", {"needed": scope, "held": key.scopes})

    return gate


async def _key(request: Request, here: Context) -> Key:
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    challenge = {"WWW-Authenticate": 'Bearer realm="soba"'}
    if not secret or kind.lower() != "bearer":
        raise ApiError("unauthorized", "send Authorization: Bearer <api-key>", headers=challenge)
    key = await here.keys.find(secret.strip())
    if key is None:
        raise ApiError("unauthorized", "this API key is unknown, expired or revoked", headers=challenge)
    return key


async def _limit(request: Request, here: Context, told: Trace, key: Key | None) -> None:
    route = endpoint(request.scope)
    limit = here.settings.rate_limits.get(route, here.settings.rate_limit_per_minute)
    caller = f"key:{key.name}" if key else f"address:{request.client.host if request.client else ''}"
    allowance = await take(here.redis, caller, f"{request.method} {route}", limit)
    told.allowance = allowance.headers()
    if not allowance.taken:
        RATE_LIMITED.labels(route).inc()
        raise ApiError("rate_limited", f"at most {limit} requests a minute; try again in {allowance.reset_s} s")
