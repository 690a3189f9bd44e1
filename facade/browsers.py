"""Open mode is for this machine's programs and our own page: other pages in a browser here must not use it as well.

A page of any site can send requests to a loopback address. Two things give it away: the Origin that browsers add to whatever
may change something, and, where its name was bound anew to 127.0.0.1 so that it may even read, the Host.
"""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from redis.exceptions import RedisError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from base.settings import Settings
from facade.context import Context
from facade.errors import ApiError, failure, unavailable
from facade.keys import is_loopback

log = logging.getLogger("soba.facade")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class OpenModeGuard:
    """ASGI middleware; with keys it has nothing to do, because a page that has no key gets nowhere."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._origins = frozenset(settings.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            fault = _fault(scope["method"], Headers(scope=scope), self._origins)
            if fault and (refusal := await _refusal(scope["app"].state.context, fault)):
                await failure(refusal, scope["soba.trace"].request_id)(scope, receive, send)
                return
        await self.app(scope, receive, send)


async def _refusal(context: Context, fault: str) -> ApiError | None:
    try:
        return ApiError("forbidden", fault) if await context.keys.is_open() else None
    except (RedisError, OSError) as error:
        log.warning("not known whether there are keys: %r", error)
        return unavailable("Redis cannot be reached")


def _fault(method: str, headers: Headers, origins: frozenset[str]) -> str | None:
    """What is wrong with a request in open mode; programs that are no browser may leave both headers out."""
    host, origin = headers.get("host"), headers.get("origin")
    if host is not None and not _is_local(host):
        return "without API keys only requests to a loopback address are answered: use localhost or 127.0.0.1 as host"
    if method in SAFE or origin is None or not origins.isdisjoint((origin, "*")):
        return None
    if host and _authority(origin) == host.lower():
        return None
    said = "without API keys only the facade's own pages and the configured CORS origins may send this"
    return f"{said}, not {origin[:100]!r}; SOBA_CORS_ORIGINS names more"


def _is_local(host: str) -> bool:
    """Whether a Host header names this machine, with any port."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)


def _authority(origin: str) -> str:
    """`localhost:3000` of `http://localhost:3000`; empty for `null`."""
    scheme, separator, authority = origin.lower().partition("://")
    return authority if separator and scheme in ("http", "https") else ""
