"""Precision and recall are of labelled wallets that a model had judged without knowing the answer, and say when there are none."""

from __future__ import annotations

from typing import Any

import pytest

from models.fraud.outcomes import precision, recall, tally
from tests.linear import CREATED
from topics.schemas.labels import Label, Prior

LEVELS: Any = ("low", "medium", "high", "critical")


def label(verdict: Any, level: Any = None, trained_on: bool = False, **more: Any) -> Label:
    prior = None if level is None else Prior(level=level, model="fraud/1", evidence=3, trained_on=trained_on)
    return Label(address="0x" + "ab" * 20, label=verdict, labelled_at=CREATED, prior=prior, **more)


def test_by_hand() -> None:
    counts = tally(
        [
            *[label("fraud", "low")] * 3,
            *[label("fraud", "medium")] * 2,
            *[label("fraud", "high")] * 4,
            label("fraud", "critical"),
            *[label("ordinary", "low")] * 20,
            *[label("ordinary", "medium")] * 2,
            label("ordinary", "high"),
        ]
    )
    assert [precision(counts, level) for level in LEVELS] == [10 / 33, 7 / 10, 5 / 6, 1.0]
    assert [recall(counts, level) for level in LEVELS] == [1.0, 0.7, 0.5, 0.1]


def test_what_proves_nothing_is_told_apart() -> None:
    counts = tally(
        [
            label("fraud"),
            label("fraud", "critical", trained_on=True),
            label("unknown", "critical"),
            label("ordinary", "critical", confidence=0.4),
        ]
    )
    assert dict(counts) == {("fraud", "unseen"): 1, ("fraud", "trained_on"): 1, ("unknown", "critical"): 1}
    assert precision(counts, "critical") is None and recall(counts, "critical") is None


@pytest.mark.parametrize(
    "change",
    [{"address": "0x12"}, {"address": "0x" + "AB" * 20}, {"label": "bad"}, {"confidence": 2}, {"labelled_at": "soon"}],
)
def test_what_is_no_label_is_refused(change: dict[str, Any]) -> None:
    fields = {"address": "0x" + "ab" * 20, "label": "fraud", "labelled_at": CREATED}
    with pytest.raises(ValueError, match=next(iter(change))):
        Label.model_validate({**fields, **change})
