"""The latest alerts."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import Field
from starlette.responses import Response

from base.wording import shown
from facade.answers import Alerts, looked_up
from facade.context import Here
from facade.errors import invalid
from facade.gate import needs
from facade.requests import Listing, Moment, is_since, listed, parameters, query, tagged
from tables.registry import ALERTS_BY_CHAIN
from topics.schemas.alerts import KINDS, Alert

router = APIRouter(tags=["NLP_TRANSLATION"], dependencies=[needs("read")])

LANGUAGES = ("en",)
"""Languages that alerts are rendered in."""


class Filters(Listing):
    """Filters of the latest alerts; together they narrow."""

    lang: Annotated[str, Field(description="The language of `text`; available: " + ", ".join(LANGUAGES))] = "en"
    kind: Annotated[str | None, Field(description="One of its kinds", json_schema_extra={"enum": [*KINDS]})] = None
    severity: Literal["info", "low", "medium", "high", "critical"] | None = None
    since: Annotated[Moment | None, Field(description="From this time on: RFC 3339 or unix")] = None


@router.get(
    "/api/alerts",
    responses=looked_up(Alerts),
    openapi_extra=parameters(Filters),
    summary="The latest alerts, newest first",
)
async def latest(request: Request, told: Annotated[Filters, Depends(query(Filters))], here: Here) -> Response:
    """Retracted alerts are left out."""
    if told.lang.lower() not in LANGUAGES:
        raise invalid("lang", f"alerts are not rendered in {shown(told.lang)}", "one of: " + ", ".join(LANGUAGES))
    if told.kind is not None and told.kind not in KINDS:
        raise invalid("kind", f"{shown(told.kind)} is none of the allowed values", "one of: " + ", ".join(KINDS))

    def fitting(alert: Alert) -> list[Alert]:
        return [alert] if _fits(alert, told) else []

    found = await listed(here.redis, ALERTS_BY_CHAIN, str(told.chain_id), Alert, fitting, told)
    alerts = [alert.model_dump(mode="json", exclude_none=True) for alert in found.items]
    return tagged(request, {"alerts": alerts, "count": len(alerts), "cursor": found.cursor})


def _fits(alert: Alert, told: Filters) -> bool:
    return (
        alert.status != "retracted"
        and (told.kind is None or alert.kind == told.kind)
        and (told.severity is None or alert.severity == told.severity)
        and is_since(alert.block_timestamp or alert.processed_at, told.since)
    )
