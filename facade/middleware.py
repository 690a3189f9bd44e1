"""Around every request: its id and trace, one log line, the metrics; and no exception leaves with its text."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from base import tracing
from base.metrics import REQUEST_SECONDS, REQUESTS, REQUESTS_FAILED, REQUESTS_SUCCEEDED
from facade.errors import ApiError, failure, unavailable
from facade.requests import Trace
from topics.headers import TRACEPARENT

log = logging.getLogger("soba.facade")
FACADE = "FACADE"
"""The `service` of routes that no service stands behind."""
PROBES = frozenset({"/health", "/ready", "/metrics"})
"""What machines ask every few seconds: nobody's requests, which would make a failing service look well."""


def endpoint(scope: Any) -> str:
    """The route's path with its parameters' names, or `unmatched`: a label must not take any text a caller sends."""
    route = scope.get("route")
    return cast(str, route.path) if route is not None else "unmatched"


def _service(scope: Scope) -> str:
    tags = getattr(scope.get("route"), "tags", None)
    return str(tags[0]) if tags else FACADE


class Watch:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told = scope["soba.trace"] = Trace.of(dict(scope["headers"]))
        if not tracing.on() or scope["path"] in PROBES:
            await self._watched(scope, receive, send, told)
            return
        asked = {"http.request.method": scope["method"], "url.scheme": scope["scheme"], "url.path": scope["path"]}
        with tracing.span(scope["method"], "SERVER", asked, told.contexts) as span:
            told.span = tracing.current()
            if not told.contexts:
                told.traceparent = told.span.get(TRACEPARENT, told.traceparent)
            status = await self._watched(scope, receive, send, told)
            route = endpoint(scope)
            span.update_name(f"{scope['method']} {route}")
            span.set_attributes({"http.route": route, "http.response.status_code": status})
            if status >= 500:
                tracing.failed()

    async def _watched(self, scope: Scope, receive: Receive, send: Send, told: Trace) -> int:
        """Have the request answered; return the status."""
        began, status = time.perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                named = {"X-Request-ID": told.request_id, "traceparent": told.traceparent, **(told.allowance or {})}
                message["headers"] = [
                    *message["headers"],
                    *((name.lower().encode(), value.encode()) for name, value in named.items()),
                ]
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except asyncio.CancelledError:
            if status:
                raise
            # Only a server that stops cancels a request, when it has waited for it long enough.
            await failure(unavailable("the facade is stopping"), told.request_id)(scope, receive, answer)
        except Exception:
            log.exception("a fault of ours", extra={"request_id": told.request_id})
            if status:  # the answer has begun: it can only be cut off
                raise
            fault = failure(ApiError("internal", "something went wrong here"), told.request_id)
            await fault(scope, receive, answer)
        finally:
            _count(scope, told, status, time.perf_counter() - began)
        return status


def _count(scope: Scope, told: Trace, status: int, seconds: float) -> None:
    service, route = _service(scope), endpoint(scope)
    if route not in PROBES:
        REQUESTS.labels(service, route).inc()
        REQUEST_SECONDS.labels(service).observe(seconds)
        (REQUESTS_SUCCEEDED if status < 400 else REQUESTS_FAILED).labels(service).inc()
    log.log(
        logging.INFO if service != FACADE else logging.DEBUG,
        "%s %s %d",
        scope["method"],
        scope["path"],
        status,
        extra={
            "duration_ms": round(seconds * 1000, 2),
            "request_id": told.request_id,
            "user_id": told.caller,
            "metadata": {"route": route, "status": status, "traceparent": told.traceparent},
        },
    )
