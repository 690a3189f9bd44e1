"""`soba models drift`: how far the wallets that are served have moved from those that the model was trained on."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from base.settings import get_settings
from base.wording import counted
from console import releases
from console.local.errors import LocalError
from models.releases import Model
from tables.registry import DriftRow

if TYPE_CHECKING:
    from models.fraud.drift import Reference

SHOWN = 15
"""Features that a table names, though nothing has moved."""
Shift = tuple[str, float]
"""A feature, or the score, and its index."""


def drift(
    days: Annotated[int, typer.Option(min=1, max=30, help="Days of chain time, up to the last one counted.")] = 7,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """How far the wallets that fraud scores are from those it was trained on: the population stability index of each feature.

    Exit code 1 when an index is above 0.25: train anew (soba train fraud --release).
    """
    from models.fraud.drift import ENOUGH, MUCH, SOME

    one = releases.known("fraud")
    settings, found = releases.book()
    model = releases.standing(one, found.serving.get(one.name)).model
    reference: Reference | None = model.loaded.reference
    if reference is None:
        raise LocalError(
            f"{model.id} does not tell what it was trained on",
            "bin/soba train reference adds that to a release; what bin/soba train fraud makes has it",
        )
    if not settings.redis_url:
        raise LocalError("no Redis is known, where wallets are counted; start bin/soba up or set REDIS_URL")
    rows = asyncio.run(_rows(model, days))
    wallets, shifts = sum(row.wallets for row in rows), by_size(reference, [row.counts for row in rows])
    much = wallets >= ENOUGH and any(index > MUCH for _, index in shifts)
    if json:
        told = {"model": model.id, "days": sorted({_day(row) for row in rows}), "wallets": wallets, "enough": ENOUGH}
        print(orjson.dumps({**told, "psi": {name: round(index, 4) for name, index in shifts}}).decode())
    else:
        between = f", {_day(min(rows, key=_by_day))} to {_day(max(rows, key=_by_day))}" if rows else ""
        print(
            f"{model.id}: {counted(wallets, 'wallet')} counted{between} (a sample: one of 64, each at most once a day)"
        )
        if wallets < ENOUGH:
            print(f"too few to tell anything: {ENOUGH} are needed")
        else:
            table(shifts, SOME, MUCH)
    raise typer.Exit(int(much))


async def _rows(model: Model, days: int) -> list[DriftRow]:
    import redis.asyncio

    from tables import readers

    url = get_settings().redis_url
    async with redis.asyncio.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
        return await readers.drift(client, model.manifest.name, model.manifest.version, days)


def by_size(reference: Reference, counts: list[list[list[int]]]) -> list[Shift]:
    """Every feature and the score with its index, the largest first."""
    import numpy as np

    whole = np.sum(counts, axis=0) if counts else np.zeros_like(reference.counts)
    return sorted(zip(reference.names, reference.psi(whole).tolist(), strict=True), key=lambda row: -row[1])


def table(shifts: list[Shift], some: float, much: float) -> None:
    """Print the largest; and the score, wherever it stands."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from models.fraud.behaviour import in_words
    from models.fraud.drift import SCORE

    out = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("feature", "PSI", "", "in words"):
        out.add_column(title, justify="right" if title == "PSI" else "left")
    for place, (name, index) in enumerate(shifts):
        if place < SHOWN or index > some or name == SCORE:
            mark = "much" if index > much else "some" if index > some else ""
            out.add_row(name, f"{index:.3f}", mark, "the probability" if name == SCORE else in_words(name))
    Console(width=None if sys.stdout.isatty() else 140).print(out)
    print(f"above {some}: some shift; above {much}: train anew")


def _by_day(row: DriftRow) -> int:
    return row.day


def _day(row: DriftRow) -> str:
    return f"{datetime.fromtimestamp(row.day * 86_400, UTC):%Y-%m-%d}"
