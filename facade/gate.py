"""Who may pass: the key and its scope, then the rate limit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends, Request

from base.metrics import RATE_LIMITED
from facade.context import Context, Here
from facade.errors import ApiError
from facade.keys import Key, Scope
from facade.limits import Allowance, take
from facade.middleware import endpoint
from facade.requests import Trace, trace


def needs(scope: Scope) -> Any:
    """A route's dependency: a live key with `scope` (none in open mode), and a place within the rate limit."""
    return Depends(_gate(scope))


def _gate(scope: Scope) -> Callable[[Request, Context], Awaitable[None]]:
    async def gate(request: Request, here: Here) -> None:
        told, key = trace(request), None
        if not await here.keys.is_open():
            key = await _key(request, here, told)
            told.caller = key.name
        await _limit(request, here, told, key)
        if key is not None and not key.may(scope):
            raise ApiError("forbidden", f"this key lacks the scope {scope}", {"needed": scope, "held": key.scopes})

    return gate


async def _key(request: Request, here: Context, told: Trace) -> Key:
    if refused := here.wrong_keys.refused(_address(request)):
        raise _too_many_wrong(request, told, refused)
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    given = secret.strip() if kind.lower() == "bearer" else ""
    key = await here.keys.find(given) if given else None
    if key is not None:
        return key
    allowance = await here.wrong_keys.count(_address(request))
    if not allowance.taken:
        raise _too_many_wrong(request, told, allowance)
    fault = "this API key is unknown, expired or revoked" if given else "send Authorization: Bearer <api-key>"
    raise ApiError("unauthorized", fault, headers={"WWW-Authenticate": 'Bearer realm="soba"'})


def _too_many_wrong(request: Request, told: Trace, allowance: Allowance) -> ApiError:
    told.allowance = allowance.headers()
    RATE_LIMITED.labels(endpoint(request.scope)).inc()
    fault = f"{allowance.limit} requests without a right API key came from this address within a minute"
    return ApiError("rate_limited", f"{fault}; try again in {allowance.reset_s} s")


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


async def _limit(request: Request, here: Context, told: Trace, key: Key | None) -> None:
    route = endpoint(request.scope)
    limit = here.settings.rate_limits.get(route, here.settings.rate_limit_per_minute)
    caller = f"key:{key.name}" if key else f"address:{_address(request)}"
    allowance = await take(here.redis, caller, f"{request.method} {route}", limit)
    told.allowance = allowance.headers()
    if not allowance.taken:
        RATE_LIMITED.labels(route).inc()
        raise ApiError("rate_limited", f"at most {limit} requests a minute; try again in {allowance.reset_s} s")
