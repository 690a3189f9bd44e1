"""Validated blocks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from facade.answers import looked_up
from facade.context import Here
from facade.gate import needs
from facade.requests import Lookup, awaited, parameters, query, tagged
from facade.routes.paths import BlockNumber
from tables import readers
from tables.registry import BLOCKS, BlockRow

router = APIRouter()


@router.get(
    "/api/blocks/{number}",
    tags=["DATA_PROCESSING"],
    dependencies=[needs("read")],
    responses=looked_up(BlockRow),
    openapi_extra=parameters(Lookup),
    summary="What is known of a block, without its events",
)
async def block(
    request: Request, number: BlockNumber, told: Annotated[Lookup, Depends(query(Lookup))], here: Here
) -> Response:
    """404 when the block was never seen or has expired."""
    key, missing = f"{told.chain_id}:{number}", f"block {number} of chain {told.chain_id} is not in the table"
    found = await awaited(lambda: readers.row(here.redis, BLOCKS, BlockRow, key), told, missing)
    return tagged(request, found.model_dump(mode="json", exclude_none=True))
