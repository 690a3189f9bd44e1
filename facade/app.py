"""The HTTP application, and the process that serves it."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import FrameType
from typing import Any

import uvicorn
from aiokafka.errors import KafkaError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from base import tracing
from base.exits import EXIT_FAILING, GRACE_S, end_within
from base.logs import setup_logging
from base.settings import Settings, chosen, get_settings
from base.version import version
from base.wording import wording
from facade.browsers import OpenModeGuard
from facade.context import exposed, opened
from facade.errors import ApiError, failure, refused, unavailable
from facade.limits import HEADERS as LIMIT_HEADERS
from facade.middleware import Watch
from facade.openapi import BARE, describe
from facade.requests import trace
from facade.routes import ROUTERS

log = logging.getLogger("soba.facade")
FINISH_S = 2
"""How long requests under way may take when the process is asked to end; the rest of its grace is for closing what is open."""


def create_app(settings: Settings) -> FastAPI:
    """The application on the servers that `settings` name; connections open when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened(settings) as context:
            app.state.context = context
            yield
        await asyncio.to_thread(tracing.stop)

    # FastAPI's own pages need no key, and /docs would load scripts from a CDN; the document is in facade/routes/index.py.
    app = FastAPI(title="Soba", version=version(), lifespan=lifespan, openapi_url=None)
    for router in ROUTERS:
        app.include_router(router)
    describe(app)
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.add_middleware(OpenModeGuard, settings=settings)
    app.add_middleware(Watch)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "If-None-Match",
                "X-Request-ID",
                "traceparent",
                "tracestate",
            ],
            expose_headers=["ETag", "Retry-After", "X-Request-ID", "traceparent", *LIMIT_HEADERS],
        )
    return app


def wrong_limits(app: FastAPI, settings: Settings) -> str:
    """The routes with limits of their own that are none, and those that there are, in words; empty if all is well."""
    limited = {path for path in app.openapi()["paths"] if path not in BARE}
    unknown = settings.rate_limits.keys() - limited
    if not unknown:
        return ""
    named = f"SOBA_RATE_LIMITS names what is no route with a limit: {', '.join(sorted(unknown))}"
    return f"{named}; there are: {', '.join(sorted(limited))}"


class _Server(uvicorn.Server):
    """Ends within its grace, whatever hangs: what Kafka has not acknowledged was not answered with a 2xx."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        end_within(GRACE_S, log)
        super().handle_exit(sig, frame)


def run() -> None:
    """Serve until SIGTERM or Ctrl-C.

    Exits with 2 when other machines could reach it without a key, when a limit is set for a route that has none, or when its port
    is taken.
    """
    # When it has stopped, uvicorn raises the signal again for whoever handled it before.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    settings = get_settings()
    setup_logging("facade", settings.log_level)
    if asyncio.run(exposed(settings)):
        log.error(
            "refusing to serve %s without an API key; make one with `bin/soba keys create`, or set SOBA_API_KEYS",
            settings.host,
        )
        sys.exit(2)
    tracing.start("facade", settings.otel_endpoint)
    told = {"version": version(), "settings": chosen(settings)}
    log.info("the facade starts on %s:%d", settings.host, settings.port, extra={"metadata": told})
    app = create_app(settings)
    if wrong := wrong_limits(app, settings):
        log.error("%s", wrong)
        sys.exit(2)
    try:
        # Not uvicorn's, which on a taken port would wait for ever for what was begun before it tried.
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        said = "cannot serve on %s:%d: %s; choose another port: SOBA_PORT=3001, or 0 for a free one"
        why = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
        log.error(said, settings.host, settings.port, why)
        sys.exit(2)
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=FINISH_S,
        )
    )
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    if not server.started:
        sys.exit(EXIT_FAILING)


async def _told(request: Request, error: Any) -> Response:
    return failure(error, trace(request).request_id)


async def _redis_away(request: Request, error: Any) -> Response:
    log.warning("Redis: %r", error, extra={"request_id": trace(request).request_id})
    return await _told(request, unavailable("Redis cannot be reached"))


async def _kafka_away(request: Request, error: Any) -> Response:
    log.warning("Kafka: %r", error, extra={"request_id": trace(request).request_id})
    return await _told(request, unavailable("Kafka cannot be reached"))


async def _path(request: Request, error: Any) -> Response:
    """Only paths are left to FastAPI's own validation: bodies and queries are read in facade.requests."""
    return await _told(request, refused([wording({**fault, "loc": fault["loc"][-1:]}) for fault in error.errors()]))


async def _http(request: Request, error: Any) -> Response:
    """What the router itself says: no such path, or not with this method."""
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "internal")
    message = f"no route {request.method} {request.url.path}; GET / lists the routes"
    return await _told(request, ApiError(code, message, headers=error.headers))


_HANDLERS: dict[type[Exception], Any] = {
    ApiError: _told,
    RedisError: _redis_away,
    KafkaError: _kafka_away,
    RequestValidationError: _path,
    HTTPException: _http,
}
