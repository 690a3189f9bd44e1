"""How wallets have been judged up to now: what their labels are compared with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from zlib import crc32

import redis.asyncio

from base.settings import Settings
from console import releases
from console.local.errors import LocalError
from models.fraud.judging import Judge, Known
from models.fraud.profile import IN
from models.fraud.wallet import current
from models.fraud.wallet_rules import BY_LISTS, worst
from models.releases import Model
from tables import readers
from tables.registry import PROFILES, RISK_BY_WALLET, ProfileRow
from topics.schemas.labels import Label, Prior
from topics.schemas.risk import Assessment
from topics.schemas.wallet import Level

AT_ONCE = 100


def of(settings: Settings, labels: Sequence[Label]) -> dict[str, Prior]:
    """By the key of each label, how its wallet stands: by its profile, else by the last request that it was part of.

    Lists are left out: what stands is how the wallet moves, and only who was judged by that stands at all.

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
    judge = Judge(champion.loaded)
    async with redis.asyncio.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
        for start in range(0, len(labels), AT_ONCE):
            part = labels[start : start + AT_ONCE]
            for label, prior in zip(
                part, await asyncio.gather(*(_prior(client, one, judge) for one in part)), strict=True
            ):
                if prior is not None:
                    # Of an older model nobody knows any more what it was trained on.
                    known = prior.model == champion.id and crc32(label.campaign.encode()) in champion.loaded.groups
                    found[label.key] = prior.model_copy(update={"trained_on": known})
    return found


async def _prior(client: redis.asyncio.Redis, label: Label, judge: Judge) -> Prior | None:
    row = await readers.row(client, PROFILES, ProfileRow, label.key)
    if row is not None and row.moves and row.known == "profile":
        return Prior(level=_level(row, judge), probability=row.probability, model=row.model, evidence=row.moves)

    def priors(one: Assessment) -> list[Prior]:
        return [
            Prior(level=_habits(one, name), probability=party.probability, model=one.model, evidence=party.evidence)
            for name, party in (("receiver", one.receiver), ("sender", one.sender))
            if party is not None and party.probability is not None and party.address == label.address
        ]

    page = await readers.page(client, RISK_BY_WALLET, label.key, Assessment, priors, 1, None)
    return page.items[0] if page.items else None


def _habits(one: Assessment, name: str) -> Level:
    """What the behaviour of a party amounted to, without what lists raised: all else that raises its level is an alert about it."""
    told = ((alert.code.removeprefix(f"{name}_"), alert) for alert in one.alerts if alert.code.startswith(f"{name}_"))
    return worst(alert.severity for code, alert in told if code not in BY_LISTS)


def _level(row: ProfileRow, judge: Judge) -> Level:
    """What a wallet's own behaviour amounted to, without what lists raised.

    Cuts of an older model are not known any more; its probabilities were calibrated as those of the one that serves.
    """
    habits = [alert.severity for alert in row.alerts if alert.code not in BY_LISTS]
    if len(habits) == len(row.alerts) or row.probability is None:
        return row.level
    risk = judge.by_behaviour(Known(row.moves, partial(current, row)), IN, row.probability)
    return worst([judge.level(risk), *habits])
