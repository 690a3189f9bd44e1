"""How wallets had been judged that were labelled later: precision and recall of each level, on labelled outcomes alone.

Who is labelled is nobody's random sample: where alerts are looked into first, recall is told too high, and precision only of
what was looked into.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal, get_args

from topics.schemas.labels import Label, Verdict
from topics.schemas.wallet import Level

LEVELS: tuple[Level, ...] = get_args(Level)
RAISED = LEVELS[1:]
"""Levels for which precision and recall are told: this one or above."""
SURE = 0.5
"""Confidence of a label from which on it counts."""

Judged = Literal["low", "medium", "high", "critical", "unseen", "trained_on"]
"""A level; or not judged before; or judged by a model that knew the answer."""
Tally = Counter[tuple[Verdict, Judged]]


def judged(label: Label) -> Judged:
    """How the wallet of a label had been judged."""
    if label.prior is None:
        return "unseen"
    return "trained_on" if label.prior.trained_on else label.prior.level


def tally(labels: Iterable[Label]) -> Tally:
    """Labels that are sure enough, by what they say and how their wallets had been judged."""
    return Counter((one.label, judged(one)) for one in labels if one.confidence >= SURE)


def precision(counts: Tally, level: Level) -> float | None:
    """Of labelled wallets judged `level` or above, the share of fraud; None where there are none."""
    fraud, ordinary = (_from(counts, verdict, level) for verdict in ("fraud", "ordinary"))
    return fraud / (fraud + ordinary) if fraud + ordinary else None


def recall(counts: Tally, level: Level) -> float | None:
    """Of labelled fraud that had been judged at all, the share judged `level` or above; None where there is none."""
    whole = _from(counts, "fraud", LEVELS[0])
    return _from(counts, "fraud", level) / whole if whole else None


def _from(counts: Tally, verdict: Literal["fraud", "ordinary"], level: Level) -> int:
    return sum(counts[verdict, one] for one in LEVELS[LEVELS.index(level) :])
