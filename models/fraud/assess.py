"""What is said of a swap request's risk: by each party's behaviour, by lists, and by what the request says of itself.

Sender and receiver are judged apart, each by its own moves: who pays a fraud is not one. What the receiver does is the sender's
risk, and what the sender did is the receiver's. An address on a list is critical whatever it does, and its probability stays that
of its behaviour. The level is where the risk stands among the model's cuts: 5, 1 and 0.1 % of ordinary wallets reach them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.fraud import lists, reasons, requests
from models.fraud.profile import FEATURES, IN, OUT, Move, Profile, Side, features
from models.fraud.scorer import LEVELS, Scorer
from models.fraud.trees import Floats
from models.mev.routers import ROUTERS
from topics.schemas.risk import Assessment, Level, Party, Reason, SwapRequest, Warned

RULES = "fraud-rules/1"
"""What assessments without a trained model call theirs."""
LISTED = 0.95
"""The least risk of an address on a list."""
CUTS = (0.5, 0.8, 0.95)
"""Where levels begin while there is no model."""
ROUTER = "a router that everybody trades through; nothing is said of who trades"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a wallet."""

    profile: Profile
    """Of the last months."""
    moves: int
    """How many it ever made."""


@dataclass(frozen=True, slots=True)
class Case:
    """A request in normal form (`requests.errors`), and what is known of its two ends."""

    id: str
    revision: int
    request: SwapRequest
    sender: Known | None
    receiver: Known | None


@dataclass(slots=True)
class _Side:
    """One party while it is judged."""

    address: str
    side: Side
    known: Known | None
    scored: Profile | None = None
    """What the model sees of it; None where it is not judged by behaviour."""
    listed: list[str] = field(default_factory=list)
    place: int = -1
    """Of its vector among those of all."""


def assess(cases: Sequence[Case], scorer: Scorer | None, model: str, stale: bool, now: float) -> list[Assessment]:
    """Assess requests, all of them by one model and at one time `now` (unix seconds)."""
    sides = [_sides(case, scorer, now) for case in cases]
    judged = [side for pair in sides for side in pair if scorer is not None and side.scored is not None]
    vectors = np.array([features(side.scored) for side in judged if side.scored is not None]).reshape(-1, len(FEATURES))
    for place, side in enumerate(judged):
        side.place = place
    judge = _Judge(scorer, vectors)
    return [_assessed(case, pair, judge, model, stale, now) for case, pair in zip(cases, sides, strict=True)]


def _sides(case: Case, scorer: Scorer | None, now: float) -> list[_Side]:
    """The sender and, where there is one, the receiver."""
    request = case.request
    found = [_Side(request.from_address, OUT, case.sender)]
    if request.to_address is not None:
        found.append(_Side(request.to_address, IN, case.receiver))
    for side in found:
        if requests.is_address(side.address):
            side.listed = lists.naming(side.address)
            if side.address not in ROUTERS:
                side.scored = side.known.profile if side.known else _first_contact(request, side.side, scorer, now)
    return found


def _first_contact(request: SwapRequest, side: Side, scorer: Scorer | None, now: float) -> Profile:
    """A wallet of which nothing is known but this request."""
    peer = request.to_address if side == OUT else request.from_address
    call = request.token_pair is not None if request.contract_interaction is None else request.contract_interaction
    profile = Profile()
    profile.move(
        Move(
            time=int(now) if request.timestamp is None else request.timestamp,
            side=side,
            peer=peer,
            value=requests.wei(request),
            gas_limit=None,
            gas_used=None,
            gas_price=None,  # against the market of its day, which a request does not tell
            price_digits=0,
            selector="0x00000000" if call else "0x",
            failed=False,
            fame=scorer.fame(peer) if scorer is not None and peer is not None else 0.0,
        )
    )
    return profile


class _Judge:
    """The model's scores of all parties, asked for once."""

    def __init__(self, scorer: Scorer | None, vectors: Floats) -> None:
        self._scorer, self._vectors = scorer, vectors
        self._scores = None if scorer is None else scorer.score(vectors)
        self.cuts = CUTS if scorer is None else tuple(float(cut) for cut in scorer.cuts)

    def level(self, risk: float) -> Level:
        """Where a risk stands among the cuts."""
        return LEVELS[sum(risk >= cut for cut in self.cuts)]

    def floor(self, level: Level) -> float:
        """The least risk of a level."""
        return 0.0 if level == "low" else min(1.0, self.cuts[LEVELS.index(level) - 1])

    def party(self, side: _Side) -> Party:
        """The judgement on one party."""
        party = Party(
            address=side.address,
            known="not_an_address",
            evidence=0,
            level="critical" if side.listed else "low",
            lists=side.listed,
        )
        if not requests.is_address(side.address):
            return party
        if side.scored is None:
            party.known = "protocol"
            return party
        party.known, party.evidence = ("profile", reasons.moves(side.scored)) if side.known else ("first_contact", 1)
        if self._scores is not None and self._scorer is not None:
            party.probability = float(self._scores.probability[side.place])
            party.anomaly = float(self._scores.anomaly[side.place])
            level = self.level(party.probability)
            party.level = "critical" if side.listed else level
            if level != "low":
                party.reasons = [
                    Reason(feature=one.feature, value=None if math.isnan(one.value) else one.value, adds=one.adds)
                    for one in self._scorer.reasons(self._vectors[side.place])
                ]
        return party

    def risk(self, party: Party) -> float | None:
        """Of dealing with a party; None where nothing judges it."""
        if party.lists:
            return max(LISTED, self.floor("critical"), party.probability or 0.0)
        return party.probability


def _assessed(case: Case, sides: Sequence[_Side], judge: _Judge, model: str, stale: bool, now: float) -> Assessment:
    request = case.request
    parties = [judge.party(side) for side in sides]
    risks = [judge.risk(party) for party in parties]
    names = ("sender", "receiver")
    alerts = reasons.of_request(request)
    if case.sender is not None:
        alerts += reasons.young_and_large(request, case.sender.profile, case.sender.moves, now)
    raised = max((judge.floor(alert.severity) for alert in alerts), default=0.0)
    for name, side, party in zip(names, sides, parties, strict=False):
        alerts += _of_party(name, party, judge)
        if side.known is not None and side.scored is not None:
            alerts += reasons.of_wallet(side.known.profile, name)
    score = max(raised, *(risk or 0.0 for risk in risks))
    level: Level = "critical" if any(party.lists for party in parties) else judge.level(score)
    worst = max(range(len(parties)), key=lambda place: (risks[place] or 0.0, -place))
    probabilities = [party.probability for party in parties if party.probability is not None]
    return Assessment(
        kind="request",
        id=case.id,
        revision=case.revision,
        status="final",
        chain_id=request.chain_id,
        transaction_hash=request.tx_hash,
        from_address=request.from_address,
        to_address=request.to_address,
        token_pair=request.token_pair,
        amount=request.amount,
        timestamp=request.timestamp,
        risk_score=score,
        risk_level=level,
        is_suspicious=LEVELS.index(level) >= LEVELS.index("high"),
        alerts=sorted(alerts, key=lambda alert: -LEVELS.index(alert.severity)),
        probability=max(probabilities, default=None),
        evidence=parties[worst].evidence,
        risk_to_receiver=risks[0],
        risk_to_sender=risks[1] if len(risks) > 1 else None,
        sender=parties[0],
        receiver=parties[1] if len(parties) > 1 else None,
        unknown=_unknown(parties),
        warnings=requests.warnings(request, now),
        model=model if probabilities else RULES,
        stale=stale and bool(probabilities),
        processed_at=now,
    )


def _of_party(name: str, party: Party, judge: _Judge) -> list[Warned]:
    """What lists and the model say of a party."""
    found = []
    if party.lists:
        said = f"the {name} is on a public list: {', '.join(party.lists)}"
        found.append(Warned(code=f"{name}_listed", severity="critical", message=said, value=party.address))
    if party.probability is not None and (level := judge.level(party.probability)) != "low":
        by = ", ".join(one.feature if one.value is None else f"{one.feature} {one.value:.4g}" for one in party.reasons)
        said = f"the {name} moves as frauds do, probability {party.probability:.3f} on {party.evidence} moves; foremost {by}"
        found.append(Warned(code=f"{name}_behaviour", severity=level, message=said, value=party.probability))
    return found


_SAID = {
    "first_contact": "no move of this wallet is known: it is judged by this request alone",
    "protocol": ROUTER,
    "not_an_address": "it is abbreviated: nothing is known of it, and nothing of it is judged",
}


def _unknown(parties: Sequence[Party]) -> dict[str, str]:
    """Field → what is not known of it."""
    found = {
        field: _SAID[party.known]
        for field, party in zip(("fromAddress", "toAddress"), parties, strict=False)
        if party.known in _SAID
    }
    if len(parties) == 1:
        found["toAddress"] = "not given: a contract creation has no receiver, so the sender alone is judged"
    return found
