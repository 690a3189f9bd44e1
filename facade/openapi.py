"""The OpenAPI document: what FastAPI derives, with the failures that every route shares."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from facade.errors import CODES

DESCRIPTION = """\
Results of the pipeline by HTTP. Answers are `{"success": true, "data": {...}, "timestamp"}`, failures
`{"success": false, "error": {"code", "message", "details", "request_id"}, "timestamp"}`.

| code | status | meaning |
|---|---|---|
""" + "\n".join(f"| `{code}` | {status} | {meaning} |" for code, (status, meaning) in CODES.items())

BARE = frozenset({"/health", "/ready", "/metrics", "/api/python/health"})
"""Routes without the envelope, without a key and without a rate limit."""

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
                "details": {"description": "For `invalid_request`: a list of `{field, fault, expected}`."},
                "request_id": {"type": "string"},
            },
        },
    },
}


def describe(app: FastAPI) -> None:
    """Make `app.openapi()` tell of failures and keys."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to extend the document


def _document(app: FastAPI) -> dict[str, Any]:
    told = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    components = told.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Failure"] = _FAILURE
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in told["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            if path not in BARE:
                operation["security"] = [{"key": []}, {}]
                operation["responses"]["default"] = {
                    "description": "A failure",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}},
                }
    return told
