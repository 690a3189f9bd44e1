"""What is said of a swap request's risk: by each party's behaviour, by lists, and by what the request says of itself.

Sender and receiver are judged apart, each by its own moves: who pays a fraud is not one. What the receiver does is the sender's
risk, and what the sender did is the receiver's. Lists and named rules set a floor to a party's risk, and its probability stays that
of its behaviour (`models.fraud.judging`).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from models.chain.normal_form import is_address
from models.fraud import contracts, first_contact, reasons, requests, wallet_rules
from models.fraud.behaviour import in_words
from models.fraud.features import numbers, of_all
from models.fraud.judging import Judge, Judging, Known
from models.fraud.lists import SHIPPED, Lists
from models.fraud.profile import IN, OUT, Side
from models.fraud.scorer import Scorer
from topics.schemas.made import made
from topics.schemas.risk import Assessment, Party, Reason, SwapRequest
from topics.schemas.wallet import LEVELS, Warned

RULES = "fraud-rules/1"
"""What assessments without a trained model call theirs."""


@dataclass(frozen=True, slots=True)
class Case:
    """A request in normal form (`requests.errors`), and what is known of its two ends."""

    id: str
    revision: int
    request: SwapRequest
    sender: Known | None
    receiver: Known | None
    day_wei: float | None = None
    """The median gas price of its day; None where nobody knows it."""


def assess(
    cases: Sequence[Case], scorer: Scorer | None, model: str, stale: bool, now: float, lists: Lists = SHIPPED
) -> list[Assessment]:
    """Assess requests, all of them by one model and the same lists, at one time `now` (unix seconds)."""
    sides = [_sides(case, scorer, model, now, lists) for case in cases]
    judge = Judge(scorer)
    if scorer is not None:
        _score([side for pair in sides for side in pair], scorer, judge)
    by = _By(judge, model, stale, lists.version)
    return [_assessed(case, pair, by, now) for case, pair in zip(cases, sides, strict=True)]


def _score(sides: Sequence[Judging], scorer: Scorer, judge: Judge) -> None:
    """Judge parties by their behaviour, and say why where they are judged badly, which costs more than all the rest."""
    new = [(side, side.numbers) for side in sides if side.numbers is not None]
    probability = scorer.score(of_all(told for _, told in new)).probability
    for (side, _), one in zip(new, probability.tolist(), strict=True):
        side.probability = one
    bad: list[tuple[Judging, array[float]]] = []
    for side in sides:
        if side.probability is not None:
            side.risk = judge.by_behaviour(side.known, side.side, side.probability)
            side.level = judge.level(side.risk)
        if side.level == "low":
            side.anomaly = None
            continue
        if side.numbers is None and side.known is not None and (profile := side.known.read()) is not None:
            side.numbers = numbers(profile)
        if side.numbers is not None:
            bad.append((side, side.numbers))
    if not bad:
        return
    vectors = of_all(told for _, told in bad)
    judged = zip(bad, scorer.anomaly(vectors).tolist(), scorer.reasons(vectors), scorer.behaviour(vectors), strict=True)
    for (side, _), anomaly, why, behaviour in judged:
        side.anomaly = anomaly if side.anomaly is None else side.anomaly
        side.reasons = [
            Reason(feature=one.feature, value=None if math.isnan(one.value) else one.value, adds=one.adds)
            for one in why
        ]
        side.behaviour = behaviour


def _sides(case: Case, scorer: Scorer | None, model: str, now: float, lists: Lists) -> list[Judging]:
    """The sender and, where there is one, the receiver."""
    request, found = case.request, []
    for address, side, known in ((request.from_address, OUT, case.sender), (request.to_address, IN, case.receiver)):
        if address is None:
            continue
        formed = is_address(address)
        one = Judging(address, side, known, lists.hits(request.chain_id, address) if formed else ())
        found.append(one)
        if not formed:
            one.unjudged = "not_an_address"
        elif (what := contracts.by_address(address)) is not None:
            one.unjudged = what
        elif side == IN and (known.unjudged if known is not None else requests.is_call(request)):
            # What is called is a contract, and who sends is none: judged as wallets, many of them would be suspicious.
            one.unjudged = "contract"
        if scorer is None or one.unjudged:
            continue
        if known is not None and known.model == model and known.probability is not None:
            one.probability, one.anomaly = known.probability, known.anomaly
        elif known is not None and (profile := known.read()) is not None:
            one.numbers = numbers(profile)
        else:
            one.known = None
            one.numbers = _first_contact(request, side, scorer, now)
    return found


def _first_contact(request: SwapRequest, side: Side, scorer: Scorer, now: float) -> array[float]:
    """The numbers of a wallet of which nothing is known but this request."""
    peer = request.to_address if side == OUT else request.from_address
    time = int(now) if request.timestamp is None else request.timestamp
    fame = 0.0 if peer is None else scorer.fame(peer)
    return first_contact.requested(side, peer is None, requests.wei(request), time, requests.is_call(request), fame)


@dataclass(frozen=True, slots=True)
class _By:
    """What a batch is assessed by."""

    judge: Judge
    model: str
    stale: bool
    lists: str


def _assessed(case: Case, sides: Sequence[Judging], by: _By, now: float) -> Assessment:
    request, judge = case.request, by.judge
    parties = [judge.party(side) for side in sides]
    risks = [judge.risk(side) for side in sides]
    alerts = reasons.of_request(request, case.day_wei)
    if case.sender is not None and not sides[0].unjudged and reasons.is_large(request):
        alerts += _young(request, case.sender, now)
    raised = max((judge.floor(alert.severity) for alert in alerts), default=0.0)
    for name, side, party in zip(("sender", "receiver"), sides, parties, strict=False):
        alerts += _of_party(name, side, party)
    score = max(raised, *(risk or 0.0 for risk in risks))
    level = judge.level(score)
    worst = max(range(len(parties)), key=lambda place: (risks[place] or 0.0, -place))
    probabilities = [party.probability for party in parties if party.probability is not None]
    values = dict(
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
        model=by.model if probabilities else RULES,
        lists_version=by.lists,
        stale=by.stale and bool(probabilities),
        processed_at=now,
    )
    return made(Assessment, values)


def _young(request: SwapRequest, sender: Known, now: float) -> list[Warned]:
    profile = sender.read()
    return [] if profile is None else reasons.of_young(request, profile, now)


def _of_party(name: str, side: Judging, party: Party) -> list[Warned]:
    """What lists, the model and named rules say of a party."""
    found = wallet_rules.of_lists(side.listed, side.address)
    if (known := side.counts) is not None:
        found += known.alerts
    found = wallet_rules.about(name, found)
    if party.probability is not None and side.level != "low":
        by = "; ".join(
            in_words(one.feature) + ("" if one.value is None else f" {one.value:.4g}") for one in party.reasons
        )
        on = "1 move" if party.evidence == 1 else f"{party.evidence:,} moves"
        said = (
            f"the {name} moves as frauds do, probability {party.probability:.3f} by {on}; what speaks most for it: {by}"
        )
        found.append(Warned(code=f"{name}_behaviour", severity=side.level, message=said, value=party.probability))
    return found


_SAID = {
    "first_contact": "no move of this wallet is known: it is judged by this request alone",
    "protocol": "a router that everybody trades through; nothing is said of who trades",
    "zero_address": "the zero address, which is nobody's: what is sent there is lost, and tokens are made and burnt there",
    "contract": "a contract: it is called, and no transaction of its own is known; nothing of it is judged but whether a list "
    "names it or whom it dealt with",
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
        found["toAddress"] = "not given, as for a contract creation: the sender alone is judged"
    return found
