"""How wallets have been judged up to now: what their labels are compared with."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from zlib import crc32

import redis.asyncio

from base.settings import Settings
from console import releases
from console.local.errors import LocalError
from models.fraud.wallet_rules import BY_LISTS, worst
from models.releases import Model
from tables import readers
from tables.registry import PROFILES, RISK_BY_WALLET, ProfileRow
from topics.schemas.labels import Label, Prior
from topics.schemas.risk import Assessment, Party
from topics.schemas.wallet import LEVELS, Level

AT_ONCE = 100


def of(settings: Settings, labels: Sequence[Label]) -> dict[str, Prior]:
    """By the key of each label, how its wallet stands: by its profile, else by the last request that it was part of.

    Raises LocalError when no Redis is known, where that is kept.
    """
    if not labels:
        return {}
    if not settings.redis_url:
        raise LocalError("no Redis is known, where judgements of wallets are; start bin/soba up or set REDIS_URL")
    one = releases.known("fraud")
    _, found = releases.book()
    return asyncio.run(_all(settings.redis_url, labels, releases.standing(one, found.serving.get(one.name)).model))


async def _all(url: str, labels: Sequence[Label], champion: Model) -> dict[str, Prior]:
    found: dict[str, Prior] = {}
    cuts: Sequence[float] = champion.loaded.cuts.tolist()
    async with redis.asyncio.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
        for start in range(0, len(labels), AT_ONCE):
            part = labels[start : start + AT_ONCE]
            for label, prior in zip(
                part, await asyncio.gather(*(_prior(client, one, cuts) for one in part)), strict=True
            ):
                if prior is not None:
                    # Of an older model nobody knows any more what it was trained on.
                    known = prior.model == champion.id and crc32(label.campaign.encode()) in champion.loaded.groups
                    found[label.key] = prior.model_copy(update={"trained_on": known})
    return found


async def _prior(client: redis.asyncio.Redis, label: Label, cuts: Sequence[float]) -> Prior | None:
    row = await readers.row(client, PROFILES, ProfileRow, label.key)
    if row is not None and row.moves:
        return Prior(level=_level(row, cuts), probability=row.probability, model=row.model, evidence=row.moves)

    def party(one: Assessment) -> list[tuple[Party, str]]:
        sides = (
            side
            for side in (one.receiver, one.sender)
            if side is not None and side.probability is not None and not side.lists
        )
        return [(side, one.model) for side in sides if side.address == label.address]

    page = await readers.page(client, RISK_BY_WALLET, label.key, Assessment, party, 1, None)
    for side, model in page.items:
        return Prior(level=side.level, probability=side.probability, model=model, evidence=side.evidence)
    return None


def _level(row: ProfileRow, cuts: Sequence[float]) -> Level:
    """What a wallet's own behaviour amounted to, without what lists raised.

    Cuts of an older model are not known any more; its probabilities were calibrated as those of the one that serves.
    """
    habits = [alert.severity for alert in row.alerts if alert.code not in BY_LISTS]
    if len(habits) == len(row.alerts) or row.probability is None:
        return row.level
    return worst([LEVELS[bisect_right(cuts, row.probability)], *habits])
