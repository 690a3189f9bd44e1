"""When a worker has waited long enough for what should have come, and starts anew rather than stand still for ever.

Kafka clients can be left waiting for good: by a broker that was killed at the wrong moment, or by a group that waits for somebody
else. Ending is always safe (what is not acknowledged is read again), and a new process begins without whatever was stuck.
"""

from __future__ import annotations

from collections.abc import Hashable

from agents.activity import Activity

HUNG_BEATS = 12
"""Heartbeats (a minute of them) in which nothing moved. They are counted, not timed: while the machine or the process is
suspended, none is missed."""


class Patience:
    """Looks at a worker's activity with each heartbeat."""

    def __init__(self) -> None:
        self._signs: dict[str, tuple[Hashable, int]] = {}
        """What is waited for, how far it was then, and for how many beats it has been there."""

    def lost(self, activity: Activity, rebalancing: bool) -> str:
        """Why this worker will not go on by itself; empty while it may.

        `rebalancing`: Faust waits for its partitions. What is tried again is not hung: that has a limit of its own.
        """
        joining = () if activity.restoring else activity.joining  # who restores has got its answer
        signs: dict[str, Hashable] = {f"{name} got no answer about its partitions": None for name in joining}
        if rebalancing:
            signs["Faust got no answer about its partitions"] = None
        if activity.lag and not activity.retrying:
            signs["records wait and none was finished"] = activity.progress_at
        before, self._signs = self._signs, {}
        for sign, mark in signs.items():
            known, beats = before.get(sign, (mark, 0))
            self._signs[sign] = mark, beats + 1 if known == mark else 1
        return next((sign for sign, (_, beats) in self._signs.items() if beats > HUNG_BEATS), "")
