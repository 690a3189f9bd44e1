"""A worker that stands still for a minute ends; one that waits for a server, sleeps or has nothing to do does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agents.activity import Activity
from agents.patience import HUNG_BEATS, Patience


def nothing(activity: Activity, beat: int) -> None:
    """Change nothing between two beats."""


def moves(activity: Activity, beat: int) -> None:
    activity.progress["alerts"] = beat + 1.0


def assigned_once(activity: Activity, beat: int) -> None:
    activity.joining = set() if beat == HUNG_BEATS // 2 else {"validate"}


@pytest.mark.parametrize(
    ("activity", "rebalancing", "between", "why"),
    [
        (Activity(), False, nothing, ""),
        (Activity(lags={"alerts": 3}), False, nothing, "records wait and none was finished"),
        (Activity(lags={"alerts": 3}), False, moves, ""),
        (Activity(lags={"alerts": 3}, retrying={"alerts"}), False, nothing, ""),
        (Activity(joining={"validate"}), False, moves, "validate got no answer about its partitions"),
        (Activity(joining={"validate"}), False, assigned_once, ""),
        (Activity(joining={"validate"}, restoring={"validate/0": 1.0}), False, nothing, ""),
        (Activity(), True, moves, "Faust got no answer about its partitions"),
    ],
)
def test_a_minute_of_beats_without_what_is_waited_for_is_too_long(
    activity: Activity, rebalancing: bool, between: Callable[[Activity, int], None], why: str
) -> None:
    patience = Patience()
    for beat in range(HUNG_BEATS):
        assert patience.lost(activity, rebalancing) == ""
        between(activity, beat)
    assert patience.lost(activity, rebalancing) == why
