"""`/`: where to look."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from facade.errors import json_response

router = APIRouter()


@router.get("/", include_in_schema=False)
async def index(request: Request) -> Response:
    """The routes by path, from the OpenAPI document."""
    paths = request.app.openapi()["paths"]
    routes = [
        {"method": method.upper(), "path": path, "summary": operation.get("summary", "")}
        for path, operations in paths.items()
        for method, operation in operations.items()
    ]
    return json_response({"name": "Soba", "openapi": "/openapi.json", "routes": routes})
