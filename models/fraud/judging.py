"""What is made of a party of a swap request: its level and its risk, by behaviour, by lists and by named rules.

A level is where a risk stands among cuts: 5, 1 and 0.1 % of ordinary wallets reach them. Lists and rules set a floor to the risk;
the probability stays that of behaviour.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from models.fraud import first_contact, wallet_rules
from models.fraud.lists import Hits
from models.fraud.profile import Profile, Side
from models.fraud.scorer import Scorer
from topics.schemas.made import made
from topics.schemas.risk import Party, Reason
from topics.schemas.wallet import LEVELS, Exposure, Level, Unjudged, Warned

LISTED = 0.95
"""The least risk of an address on a list whose severity is critical."""
CUTS = (0.5, 0.8, 0.95)
"""Where levels begin while there is no model."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a wallet."""

    moves: int
    """In the profile that `read` gives."""
    read: Callable[[], Profile | None]
    """Its profile. That costs more than all the rest, so it is asked for only where it is needed."""
    model: str = ""
    """The model by which it was judged last,"""
    probability: float | None = None
    anomaly: float | None = None
    """from `medium` up."""
    alerts: Sequence[Warned] = ()
    """What named rules said of it then,"""
    exposure: Exposure | None = None
    """and what it had dealt with listed addresses."""
    unjudged: Unjudged | None = None
    """What its moves show it to be, where that is nothing that behaviour tells of."""


@dataclass(slots=True)
class Judging:
    """One party while it is judged."""

    address: str
    side: Side
    known: Known | None
    listed: Hits
    unjudged: Unjudged | Literal["not_an_address"] | None = None
    """What it is, where it is nothing that behaviour tells of."""
    numbers: array[float] | None = None
    """What its features are made of; None where the model has seen it before, or where there is none."""
    probability: float | None = None
    risk: float | None = None
    """That, on the scale of wallets that are known,"""
    level: Level = "low"
    """and where it stands there."""
    anomaly: float | None = None
    """The rest only from `medium` up."""
    reasons: list[Reason] = field(default_factory=list)
    behaviour: str | None = None

    @property
    def counts(self) -> Known | None:
        """What is known of it and counts: of a contract dealings with listed addresses, of others that are not judged nothing."""
        if not self.unjudged or self.known is None:
            return self.known
        if self.unjudged != "contract":
            return None
        alerts = [alert for alert in self.known.alerts if alert.code in wallet_rules.BY_LISTS]
        return replace(self.known, alerts=alerts)


class Judge:
    """What a model's cuts make of risks, and what it says of parties."""

    def __init__(self, scorer: Scorer | None) -> None:
        self.cuts = CUTS if scorer is None else tuple(scorer.cuts.tolist())
        self._first: Sequence[Sequence[float]] = () if scorer is None else scorer.first_cuts.tolist()
        self._single: Sequence[Sequence[float]] = () if scorer is None else scorer.single_cuts.tolist()

    def by_behaviour(self, known: Known | None, side: Side, probability: float) -> float:
        """What a probability amounts to: on first contact, and by one move, cuts of its own say that."""
        if known is None:
            return first_contact.risk(probability, self._first[side], self.cuts)
        if known.moves != 1 or (profile := known.read()) is None:
            return probability
        alone = first_contact.only_side(profile)
        return probability if alone is None else first_contact.risk(probability, self._single[alone], self.cuts)

    def level(self, risk: float) -> Level:
        """Where a risk stands among the cuts."""
        return LEVELS[bisect_right(self.cuts, risk)]

    def floor(self, level: Level) -> float:
        """The least risk of a level."""
        return 0.0 if level == "low" else min(1.0, self.cuts[LEVELS.index(level) - 1])

    def party(self, side: Judging) -> Party:
        """The judgement on one party."""
        listed = [hit.list for hit in side.listed]
        by_lists = wallet_rules.worst([hit.severity for hit in side.listed])
        known = side.counts
        alerts = () if known is None else known.alerts
        level = wallet_rules.worst([side.level, by_lists, *(alert.severity for alert in alerts)])
        if side.unjudged:
            rests_on = known.moves if known is not None and alerts else 0
            return _party(side, side.unjudged, rests_on, level, listed, None if known is None else known.exposure)
        if known is None:
            return _party(side, "first_contact", 1, level, listed, None)
        return _party(side, "profile", known.moves, level, listed, known.exposure)

    def risk(self, side: Judging) -> float | None:
        """Of dealing with a party; None where nothing judges it."""
        severities = [hit.severity for hit in side.listed]
        floors = [LISTED] if "critical" in severities else []
        if (known := side.counts) is not None:
            severities += [alert.severity for alert in known.alerts]
        floors += [self.floor(severity) for severity in severities if severity != "low"]
        if side.risk is not None:
            floors.append(side.risk)
        return max(floors, default=None)


def _party(
    side: Judging, known: str, evidence: int, level: Level, listed: list[str], exposure: Exposure | None
) -> Party:
    values = dict(
        address=side.address,
        known=known,
        evidence=evidence,
        level=level,
        probability=side.probability,
        anomaly=side.anomaly,
        lists=listed,
        exposure=exposure,
        reasons=side.reasons,
        behaviour=side.behaviour,
    )
    return made(Party, values)
