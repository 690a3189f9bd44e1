"""profiles: wallet.activity → the PROFILES table and risk.scores: every wallet is updated and scored as it moves.

A wallet is judged by all that its row then knows, its newest block included and nothing after it: by the model, by lists and by
named rules (`models.fraud.wallet_rules`). The vectors of a whole batch are
scored at once, one for each block of a wallet, so that what is told does not depend on how blocks were batched. risk.scores hears
of a wallet only when its level changes. A sample of the wallets is counted in the table `drift`.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from agents import drift
from agents.agent import Agent, Output, Record, Result, RowName, Rows
from models.fraud import wallet_rules
from models.fraud.features import features, numbers
from models.fraud.lists import Lists
from models.fraud.profile import Profile
from models.fraud.said import said
from models.fraud.scorer import FRAUD, Scorer
from models.fraud.walk import Floats
from models.fraud.wallet import Memory, evidence
from models.releases import Model, Models
from tables.registry import DRIFT, PROFILES, ProfileRow
from tables.rows import Row
from topics.headers import cloud_event
from topics.registry import RISK_SCORES, WALLET_ACTIVITY
from topics.schemas.chain import WalletActivity
from topics.schemas.made import made
from topics.schemas.wallet import Exposure, Judged, Level, WalletRisk, Warned

DIGITS = 6
"""Of scores: what a last bit may differ by says nothing."""
UNJUDGED = -1


@dataclass(slots=True)
class _Hand:
    """A wallet in hand."""

    memory: Memory
    revision: int
    level: Level


class _Score(NamedTuple):
    """How a wallet is judged; a row of it says no more."""

    level: Level
    """The higher one of the model's and what the alerts amount to."""
    probability: float | None
    anomaly: float | None


_NONE = _Score("low", None, None)
"""Of a wallet of which nothing is known."""


class _Step(NamedTuple):
    """What a block did to a wallet."""

    key: str
    record: Record
    revision: int
    number: int
    vector: int
    """Its place among the batch's vectors; `UNJUDGED` where nothing is known of the wallet."""
    moves: int
    alerts: list[Warned]
    exposure: Exposure | None


def keys(batch: Sequence[Record]) -> list[RowName]:
    """The rows of the batch's wallets, once each, and the counts that they may add to."""
    wallets = dict.fromkeys(key for record in batch for key in record.value.wallets)
    return [*((PROFILES, key) for key in wallets), *drift.keys(batch)]


def handle(batch: Sequence[Record], rows: Rows, models: Models, lists: Lists) -> Result:
    """Take in what each block says of each wallet, in order; then score all of it."""
    result = Result()
    model = models[FRAUD.name]
    scorer: Scorer = model.loaded
    hands: dict[str, _Hand] = {}
    steps: list[_Step] = []
    told: list[array[float]] = []
    for record in batch:
        view: WalletActivity = record.value
        if view.status == "clock":
            continue
        listed = partial(lists.names, view.chain_id)
        for key, moves in view.wallets.items():
            hand = hands.get(key)
            if hand is None:
                hand = hands[key] = _hand(rows.get((PROFILES, key)))
            verdict = hand.memory.take(said(view, moves, scorer.fame, listed))
            if verdict == "too_late":
                result.warned[verdict] += 1
            if verdict != "new":
                continue
            hand.revision = max(view.revision, hand.revision + 1)
            profile = hand.memory.scored
            here = key, record, hand.revision, hand.memory.number
            if profile is None:
                steps.append(_Step(*here, UNJUDGED, 0, [], None))
            else:
                alerts = _alerts(profile, view.chain_id, _address(key), lists)
                exposure = wallet_rules.exposure(profile)
                steps.append(_Step(*here, len(told), evidence(profile), alerts, exposure))
                told.append(numbers(profile))
    if not steps:
        return result
    vectors = features(told)
    scores = _scored(scorer, vectors)
    last: dict[str, tuple[_Step, _Score]] = {}
    for step in steps:
        hand, score = hands[step.key], _score(scores, step)
        if score.level != hand.level:
            result.outputs.append(_output(step, score, model, lists))
            hand.level = score.level
        last[step.key] = step, score
    result.rows = [
        Row(PROFILES, key, step.revision, _row(step, score, hands[key].memory, model.id))
        for key, (step, score) in last.items()
    ]
    judged = ((step.key, step.record, step.vector) for step in steps if step.vector != UNJUDGED)
    result.rows += drift.counted(judged, rows, vectors, scores, model)
    return result


def _alerts(profile: Profile, chain_id: int, address: str, lists: Lists) -> list[Warned]:
    """What lists and rules say of a wallet; of most nothing."""
    found = wallet_rules.of_wallet(profile, chain_id)
    if hits := lists.hits(chain_id, address):
        found += wallet_rules.of_lists(hits, address)
    return found


def _scored(scorer: Scorer, vectors: Floats) -> list[_Score]:
    """How the model judges each vector; how unusual it is only where its level is not low."""
    scores = scorer.score(vectors)
    rank: list[float | None] = [None] * len(vectors)
    if bad := [place for place, level in enumerate(scores.levels) if level != "low"]:
        for place, one in zip(bad, np.round(scorer.anomaly(vectors[bad]), DIGITS).tolist(), strict=True):
            rank[place] = one
    return list(map(_Score, scores.levels, np.round(scores.probability, DIGITS).tolist(), rank))


def _score(scores: Sequence[_Score], step: _Step) -> _Score:
    """How a step is judged, by the model and by its alerts."""
    if step.vector == UNJUDGED:
        return _NONE
    score = scores[step.vector]
    if not step.alerts:
        return score
    return score._replace(level=wallet_rules.worst([score.level, *(alert.severity for alert in step.alerts)]))


def _output(step: _Step, score: _Score, model: Model, lists: Lists) -> Output:
    at = dict(
        block_number=step.number,
        evidence=step.moves,
        probability=score.probability,
        anomaly=score.anomaly,
        alerts=step.alerts,
        exposure=step.exposure,
        lists_version=lists.version,
    )
    values = dict(
        kind="wallet",
        id=step.key,
        revision=step.revision,
        status="retracted" if score.level == "low" else "final",
        chain_id=step.record.value.chain_id,
        address=_address(step.key),
        risk_level=score.level,
        model=model.id,
        stale=model.stale,
        at=made(Judged, at),
    )
    headers = cloud_event(f"{step.key}:{step.revision}", AGENT.name, "soba.risk.wallet", step.record.headers)
    return Output(
        RISK_SCORES.name,
        step.key.encode(),
        made(WalletRisk, values).model_dump_json(exclude_none=True).encode(),
        headers,
    )


def _row(step: _Step, score: _Score, memory: Memory, model: str) -> ProfileRow:
    values = dict(
        chain_id=step.record.value.chain_id,
        address=_address(step.key),
        revision=step.revision,
        moves=step.moves,
        level=score.level,
        probability=score.probability,
        anomaly=score.anomaly,
        model=model,
        alerts=step.alerts,
        exposure=step.exposure,
        **memory.fields(),
    )
    return made(ProfileRow, values)


def _address(key: str) -> str:
    return key.partition(":")[2]


def _hand(row: object) -> _Hand:
    if isinstance(row, ProfileRow):
        return _Hand(Memory.of(row), row.revision, row.level)
    return _Hand(Memory(), -1, "low")


AGENT = Agent("profiles", WALLET_ACTIVITY, handle, keys, own=(PROFILES, DRIFT), models=(FRAUD,), lists=True)
