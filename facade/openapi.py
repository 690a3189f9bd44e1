"""The OpenAPI document: what FastAPI derives, with the failures that every route shares."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from facade.errors import CODES
from facade.middleware import PROBES
from topics.schemas.chain import Event
from topics.schemas.forms import form
from topics.schemas.mev_question import AskedTransaction
from topics.schemas.risk import SwapRequest

DESCRIPTION = """\
Results of the pipeline by HTTP. Answers are `{"success": true, "data": {...}, "timestamp"}`, failures
`{"success": false, "error": {"code", "message", "details", "request_id"}, "timestamp"}`.

| code | status | meaning |
|---|---|---|
""" + "\n".join(f"| `{code}` | {status} | {meaning} |" for code, (status, meaning) in CODES.items())

BARE = PROBES | {"/api/python/health"}
"""Routes without the envelope, without a key and without a rate limit: all that there are."""

_FAILURE: dict[str, Any] = {
    "type": "object",
    "required": ["success", "error", "timestamp"],
    "properties": {
        "success": {"const": False},
        "timestamp": {"type": "string", "format": "date-time"},
        "error": {
            "type": "object",
            "required": ["code", "message", "details", "request_id"],
            "properties": {
                "code": {"enum": list(CODES)},
                "message": {"type": "string"},
                "details": {"description": "For `invalid_request`: a list of `{field, code, fault, expected}`."},
                "request_id": {"type": "string"},
            },
        },
    },
}


EVENT = {"$ref": "#/components/schemas/Event"}
"""The form of an event that is valid, for routes that take events of any form to judge them."""

_ALWAYS = {401, 403, 422, 429, 500, 503}
"""Statuses of failures that every route with a key can answer with; others come with a body or a path."""


def describe(app: FastAPI) -> None:
    """Make `app.openapi()` tell of failures and keys."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to extend the document


def _document(app: FastAPI) -> dict[str, Any]:
    told = get_openapi(
        title=app.title,
        version=app.version,
        description=DESCRIPTION,
        routes=app.routes,
        # Rows leave out what they do not know, so a field with a default is not always there.
        separate_input_output_schemas=False,
    )
    components = told.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Failure"] = _FAILURE
    event = form(Event, "#/components/schemas/{model}")
    schemas |= event.pop("$defs")
    schemas["Event"] = event
    schemas["SwapRequest"] = form(SwapRequest)
    schemas["AskedTransaction"] = form(AskedTransaction)
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    components["responses"] = {str(status): _failure(status) for status in sorted({s for s, _ in CODES.values()})}
    for path, operations in told["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            statuses = {403, 500} if path in BARE else set(_ALWAYS)
            statuses |= {400, 413} if "requestBody" in operation else set()
            statuses |= {404} if "{" in path else set()
            for status in sorted(statuses):
                operation["responses"][str(status)] = {"$ref": f"#/components/responses/{status}"}
            if path not in BARE:
                operation["security"] = [{"key": []}, {}]
    return told


def _failure(status: int) -> dict[str, Any]:
    """The response of every code with this status, with an example of each."""
    codes = {code: meaning for code, (its, meaning) in CODES.items() if its == status}
    told: dict[str, Any] = {
        "description": " ".join(f"`{code}`: {meaning}" for code, meaning in codes.items()),
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/Failure"},
                "examples": {code: {"value": _example(code, meaning)} for code, meaning in codes.items()},
            }
        },
    }
    if status in (429, 503):
        told["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return told


def _example(code: str, message: str) -> dict[str, Any]:
    details = [
        {
            "field": "limit",
            "code": "wrong_type",
            "fault": '"ten" is not an integer',
            "expected": "a whole number such as 10",
        }
    ]
    error = {
        "code": code,
        "message": message,
        "details": details if code == "invalid_request" else None,
        "request_id": "0af7651916cd43dd8448eb211c80319c",
    }
    return {"success": False, "error": error, "timestamp": "2026-01-01T00:00:00.000Z"}
