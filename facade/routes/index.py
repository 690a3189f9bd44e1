"""Where to look: `/` and the OpenAPI document, which need a key like what they tell of."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from facade.answers import Index, answers
from facade.errors import json_response, success
from facade.gate import needs

router = APIRouter(dependencies=[needs("read")])


@router.get("/", responses=answers(Index, "The routes"), summary="The routes")
async def index(request: Request) -> Response:
    """By path, from the OpenAPI document."""
    paths = request.app.openapi()["paths"]
    routes = [
        {"method": method.upper(), "path": path, "summary": operation["summary"]}
        for path, operations in paths.items()
        for method, operation in operations.items()
    ]
    return success({"name": "Soba", "openapi": "/openapi.json", "routes": routes})


@router.get("/openapi.json", responses={200: {"model": dict[str, Any]}}, summary="The OpenAPI document")
async def document(request: Request) -> Response:
    """Without the envelope: whatever reads such documents wants it as it is."""
    return json_response(request.app.openapi())
