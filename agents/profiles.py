"""profiles: wallet.activity → the PROFILES table and risk.scores: every wallet is updated and scored as it moves.

A wallet is judged by all that its row then knows, its newest block included and nothing after it: by the model, by lists and by
named rules (`models.fraud.wallet_rules`); a contract by lists alone (`models.fraud.contracts`). The vectors of a whole batch are
scored at once, one for each block of a wallet, so that what is told does not depend on how blocks were batched. risk.scores hears
of a wallet only when its level changes. A sample of the wallets is counted in the table `drift`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from agents import drift
from agents.agent import Agent, Output, Record, Result, RowName, Rows
from models.fraud import contracts, first_contact, wallet_rules
from models.fraud.features import Told
from models.fraud.lists import Lists
from models.fraud.profile import Side
from models.fraud.said import Parties, said
from models.fraud.scorer import FRAUD, Scorer
from models.fraud.walk import Floats
from models.fraud.wallet import Memory, evidence
from models.releases import Model, Models
from tables.registry import DRIFT, PROFILES, ProfileRow
from tables.rows import Row
from topics.codecs import encode
from topics.headers import cloud_event
from topics.registry import RISK_SCORES, WALLET_ACTIVITY
from topics.schemas.chain import WalletActivity
from topics.schemas.made import made
from topics.schemas.wallet import Exposure, Judged, Level, Unjudged, WalletRisk, Warned

DIGITS = 6
"""Of scores: what a last bit may differ by says nothing."""
UNJUDGED = -1


@dataclass(slots=True)
class _Hand:
    """A wallet in hand."""

    key: str
    address: str
    memory: Memory
    revision: int
    level: Level
    row: ProfileRow | None = None
    """What it is made of."""


class _Step(NamedTuple):
    """What a block did to a wallet."""

    hand: _Hand
    record: Record
    revision: int
    number: int
    """The newest block that is known of the wallet."""
    vector: int
    """Its place among the batch's vectors; `UNJUDGED` where nothing is known of the wallet, or behaviour tells nothing of it."""
    moves: int
    alerts: list[Warned]
    exposure: Exposure | None
    unjudged: Unjudged | None = None
    """What it is, where behaviour tells nothing of it."""


_Score = tuple[Level, float | None, float | None]
"""How a wallet is judged: the higher level of the model's and what the alerts amount to, probability, and anomaly rank."""
_NONE: _Score = ("low", None, None)
"""Of what no model judges."""


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
    told = Told(sum(len(record.value.wallets) for record in batch))
    alone: list[Side | None] = []
    chains = {record.value.chain_id for record in batch}
    parties = {chain: Parties(scorer.fame, partial(lists.names, chain)) for chain in chains}
    for record in batch:
        view: WalletActivity = record.value
        if view.status == "clock":
            continue
        chain_id, revision = view.chain_id, view.revision
        mine = parties[chain_id]
        for key, moves in view.wallets.items():
            hand = hands.get(key)
            if hand is None:
                hand = hands[key] = _hand(key, rows.get((PROFILES, key)))
            memory = hand.memory
            verdict = memory.take(said(view, moves, mine))
            if verdict == "too_late":
                result.warned[verdict] += 1
            if verdict != "new":
                continue
            hand.revision = max(revision, hand.revision + 1)
            profile = memory.scored
            if profile is None:
                steps.append(_Step(hand, record, hand.revision, memory.number, UNJUDGED, 0, [], None))
                continue
            unjudged = contracts.by_address(hand.address) or contracts.by_moves(profile)
            if unjudged is None:
                alerts = wallet_rules.of_wallet(profile, chain_id)
            else:
                alerts = wallet_rules.of_dealings(profile) if unjudged == "contract" else []
            alerts += wallet_rules.of_lists(lists.hits(chain_id, hand.address), hand.address)
            about = evidence(profile), alerts, wallet_rules.exposure(profile), unjudged
            place = UNJUDGED
            if not unjudged:
                place = told.add(profile)
                alone.append(first_contact.only_side(profile))
            steps.append(_Step(hand, record, hand.revision, memory.number, place, *about))
    moved = {step.hand.key for step in steps}
    for hand in hands.values():
        if hand.row is not None and hand.key not in moved:
            hand.row.ready = hand.memory.ready
    if not steps:
        return result
    vectors = told.features()
    probability, scores = _scored(scorer, vectors, alone)
    last: dict[str, tuple[_Step, _Score]] = {}
    for step in steps:
        score, hand = _score(scores, step), step.hand
        if score[0] != hand.level:
            result.outputs.append(_output(step, score, model, lists))
            hand.level = score[0]
        last[hand.key] = step, score
    # What is counted goes first: a wallet whose row is written already is not counted by who does the batch again.
    judged = ((step.hand.key, step.record, step.vector) for step in steps if step.vector != UNJUDGED)
    by = model.id
    result.rows = drift.counted(judged, rows, vectors, probability, model)
    result.rows += [Row(PROFILES, key, step.revision, _row(step, score, by)) for key, (step, score) in last.items()]
    return result


def _scored(scorer: Scorer, vectors: Floats, alone: Sequence[Side | None]) -> tuple[Floats, list[_Score]]:
    """The probability of each vector, and how it is judged; how unusual it is only where its level is not low."""
    scores = scorer.score(vectors, alone)
    probability = np.round(scores.probability, DIGITS)
    rank: list[float | None] = [None] * len(vectors)
    if bad := [place for place, level in enumerate(scores.levels) if level != "low"]:
        for place, one in zip(bad, np.round(scorer.anomaly(vectors[bad]), DIGITS).tolist(), strict=True):
            rank[place] = one
    return probability, list(zip(scores.levels, probability.tolist(), rank, strict=True))


def _score(scores: Sequence[_Score], step: _Step) -> _Score:
    """How a step is judged, by the model and by its alerts."""
    score = _NONE if step.vector == UNJUDGED else scores[step.vector]
    if not step.alerts:
        return score
    level, probability, rank = score
    return wallet_rules.worst([level, *(alert.severity for alert in step.alerts)]), probability, rank


def _output(step: _Step, score: _Score, model: Model, lists: Lists) -> Output:
    key, (level, probability, anomaly) = step.hand.key, score
    at = dict(
        block_number=step.number,
        evidence=step.moves,
        probability=probability,
        anomaly=anomaly,
        alerts=step.alerts,
        exposure=step.exposure,
        lists_version=lists.version,
    )
    values = dict(
        kind="wallet",
        id=key,
        revision=step.revision,
        status="retracted" if level == "low" else "final",
        chain_id=step.record.value.chain_id,
        address=step.hand.address,
        risk_level=level,
        model=model.id,
        stale=model.stale,
        at=made(Judged, at),
    )
    headers = cloud_event(f"{key}:{step.revision}", AGENT.name, "soba.risk.wallet", step.record.headers)
    return Output(RISK_SCORES.name, key.encode(), encode(made(WalletRisk, values)), headers)


def _row(step: _Step, score: _Score, model: str) -> ProfileRow:
    values = step.hand.memory.fields()
    values["chain_id"] = step.record.value.chain_id
    values["address"] = step.hand.address
    values["revision"] = step.revision
    values["moves"] = step.moves
    values["known"] = step.unjudged or "profile"
    values["level"], values["probability"], values["anomaly"] = score
    values["model"] = model
    values["alerts"] = step.alerts
    values["exposure"] = step.exposure
    return made(ProfileRow, values)


def _hand(key: str, row: object) -> _Hand:
    address = key.partition(":")[2]
    if isinstance(row, ProfileRow):
        return _Hand(key, address, Memory.of(row), row.revision, row.level, row)
    return _Hand(key, address, Memory(), -1, "low")


AGENT = Agent(
    "profiles", WALLET_ACTIVITY, handle, keys, own=(PROFILES, DRIFT), cached=20_000, models=(FRAUD,), lists=True
)
