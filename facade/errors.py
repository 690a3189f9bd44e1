"""Every way a request fails, and the envelopes of success and failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from base.wording import Wording, wordings

NAMED = 3
"""How many faults a message names; `details` has all."""

CODES: dict[str, tuple[int, str]] = {
    "malformed_json": (400, "The body is not JSON."),
    "unauthorized": (401, "No API key, or one that is unknown, expired or revoked."),
    "forbidden": (403, "The key lacks the scope of this route; without keys: the page or host name may not do this."),
    "not_found": (404, "No such route, or the subject is not in the table."),
    "method_not_allowed": (405, "The route exists, with another method."),
    "too_large": (413, "The body is larger than 1 MiB, or Kafka takes no record as large as one made of it."),
    "invalid_request": (
        422,
        "A field is missing or wrong; `details` names each, its fault (also as `code`) and what was expected.",
    ),
    "rate_limited": (429, "More requests than this key or address may send; `Retry-After` says when to try again."),
    "internal": (500, "A fault of ours; the request id finds it in the log."),
    "timeout": (503, "The service that answers did not do so in time."),
    "unavailable": (503, "Kafka or Redis cannot be reached, no service is healthy, or the facade is stopping."),
}
"""Error code → HTTP status and meaning; the OpenAPI document lists them."""


class ApiError(Exception):
    """A failure that the caller is told of. Nothing internal goes into its message or details."""

    def __init__(self, code: str, message: str, details: Any = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.details = code, message, details
        self.headers = dict(headers or {})


def unavailable(message: str, details: Any = None) -> ApiError:
    """503 because something behind us cannot be reached."""
    return ApiError("unavailable", message, details, {"Retry-After": "2"})


def too_large() -> ApiError:
    """413 because of a record made of the body. Our topics have room for any, so the broker was set to take less."""
    return ApiError("too_large", "Kafka takes no record as large as one made of this body; send less at once")


def invalid(field: str, fault: str, expected: str) -> ApiError:
    """422 for one field; `expected` is what to give, as a noun."""
    return refused([Wording(field, fault, expected)])


def invalid_fields(error: ValidationError, where: str) -> ApiError:
    """422 for everything a schema has against a body or a query; `where` names it when no field can."""
    return refused([replace(told, field=told.field or where) for told in wordings(error.errors(include_url=False))])


def refused(faults: Sequence[Wording]) -> ApiError:
    """422 for these faults: the first ones as the message, all of them as details."""
    details = [{"field": one.field, "code": one.code, "fault": one.fault, "expected": one.fix} for one in faults]
    more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    return ApiError("invalid_request", "; ".join(map(str, faults[:NAMED])) + more, details)


def now() -> str:
    """RFC 3339, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`content` as JSON, which has no infinity: null stands for it."""
    return Response(to_json(content, inf_nan_mode="null"), status, headers, media_type="application/json")


def success(data: Any, headers: Mapping[str, str] | None = None) -> Response:
    """The envelope of an answer; `data` is an object."""
    return json_response({"success": True, "data": data, "timestamp": now()}, headers=headers)


def failure(error: ApiError, request_id: str) -> Response:
    """The envelope of a failure."""
    status, _ = CODES[error.code]
    body = {"code": error.code, "message": error.message, "details": error.details, "request_id": request_id}
    return json_response({"success": False, "error": body, "timestamp": now()}, status, error.headers)
