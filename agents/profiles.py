"""profiles: wallet.activity → the PROFILES table and risk.scores: every wallet is updated and scored as it moves.

A wallet is judged by all that its row then knows, its newest block included and nothing after it. The vectors of a whole batch are
scored at once, one for each block of a wallet, so that what is told does not depend on how blocks were batched. risk.scores hears
of a wallet only when its level changes.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agents.agent import Agent, Output, Record, Result, RowName, Rows
from models.fraud.profile import FEATURES, features
from models.fraud.scorer import FRAUD, Scorer
from models.fraud.wallet import Memory, evidence, said
from models.releases import Model, Models
from tables.registry import PROFILES, ProfileRow
from tables.rows import Row
from topics.headers import cloud_event
from topics.registry import RISK_SCORES, WALLET_ACTIVITY
from topics.schemas.chain import WalletActivity
from topics.schemas.wallet import Judged, Level, WalletRisk

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


def keys(batch: Sequence[Record]) -> list[RowName]:
    """The rows of the batch's wallets, once each."""
    return [(PROFILES, key) for key in dict.fromkeys(key for record in batch for key in record.value.wallets)]


def handle(batch: Sequence[Record], rows: Rows, models: Models) -> Result:
    """Take in what each block says of each wallet, in order; then score all of it."""
    result = Result()
    model = models[FRAUD.name]
    scorer: Scorer = model.loaded
    hands: dict[str, _Hand] = {}
    steps: list[_Step] = []
    vectors = array("d")
    for record in batch:
        view: WalletActivity = record.value
        if view.status == "clock":
            continue
        for key, moves in view.wallets.items():
            hand = hands.get(key)
            if hand is None:
                hand = hands[key] = _hand(rows.get((PROFILES, key)))
            verdict = hand.memory.take(said(view, moves, scorer.fame))
            if verdict == "too_late":
                result.warned[verdict] += 1
            if verdict != "new":
                continue
            hand.revision = max(view.revision, hand.revision + 1)
            profile = hand.memory.scored
            if profile is None:
                steps.append(_Step(key, record, hand.revision, hand.memory.number, UNJUDGED, 0))
            else:
                steps.append(
                    _Step(
                        key, record, hand.revision, hand.memory.number, len(vectors) // len(FEATURES), evidence(profile)
                    )
                )
                vectors.extend(features(profile))
    if not steps:
        return result
    scores = _scored(scorer, vectors)
    last: dict[str, tuple[_Step, _Score]] = {}
    for step in steps:
        hand, score = hands[step.key], _NONE if step.vector == UNJUDGED else scores[step.vector]
        if score.level != hand.level:
            result.outputs.append(_output(step, score, model))
            hand.level = score.level
        last[step.key] = step, score
    result.rows = [
        Row(PROFILES, key, step.revision, _row(step, score, hands[key].memory, model.id))
        for key, (step, score) in last.items()
    ]
    return result


def _scored(scorer: Scorer, vectors: array[float]) -> list[_Score]:
    """How each vector is judged; how unusual it is only where its level is not low."""
    if not vectors:
        return []
    rows = np.frombuffer(vectors).reshape(-1, len(FEATURES))
    scores = scorer.score(rows)
    rank: list[float | None] = [None] * len(rows)
    if bad := [place for place, level in enumerate(scores.levels) if level != "low"]:
        for place, one in zip(bad, np.round(scorer.anomaly(rows[bad]), DIGITS).tolist(), strict=True):
            rank[place] = one
    return list(map(_Score, scores.levels, np.round(scores.probability, DIGITS).tolist(), rank))


def _output(step: _Step, score: _Score, model: Model) -> Output:
    said = WalletRisk(
        id=step.key,
        revision=step.revision,
        status="retracted" if score.level == "low" else "final",
        chain_id=step.record.value.chain_id,
        address=_address(step.key),
        risk_level=score.level,
        model=model.id,
        stale=model.stale,
        at=Judged(block_number=step.number, evidence=step.moves, probability=score.probability, anomaly=score.anomaly),
    )
    headers = cloud_event(f"{step.key}:{step.revision}", AGENT.name, "soba.risk.wallet", step.record.headers)
    return Output(RISK_SCORES.name, step.key.encode(), said.model_dump_json(exclude_none=True).encode(), headers)


def _row(step: _Step, score: _Score, memory: Memory, model: str) -> ProfileRow:
    return ProfileRow(
        chain_id=step.record.value.chain_id,
        address=_address(step.key),
        revision=step.revision,
        moves=step.moves,
        level=score.level,
        probability=score.probability,
        anomaly=score.anomaly,
        model=model,
        **memory.fields(),
    )


def _address(key: str) -> str:
    return key.partition(":")[2]


def _hand(row: object) -> _Hand:
    if isinstance(row, ProfileRow):
        return _Hand(Memory(row), row.revision, row.level)
    return _Hand(Memory(None), -1, "low")


AGENT = Agent("profiles", WALLET_ACTIVITY, handle, keys, own=(PROFILES,), models=(FRAUD,))
