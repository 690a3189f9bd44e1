"""When a service is healthy: one rule for workers, the facade, the page and the docs.

A worker beats every 5 s and is checked every 30 s. It is healthy with a success rate of at least 0.7, fewer than 3 missed
checks, and when it is not stuck. With 3 missed checks it is gone, and of no interest any more once another does its part.
A service is healthy when each of its parts (Faust apps) has a healthy worker, degraded when only some have, unhealthy when
none has; the whole is judged by its services in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Status = Literal["healthy", "degraded", "unhealthy"]

CHECK_S = 30.0
MISSED_LIMIT = 3
SUCCESS_RATE = 0.7
STUCK_S = 30.0
"""Records waiting and none finished, or one batch or restore in hand, for so long. It is the whole budget of a question: whoever
asks has given up by then, so a longer wait would call a worker healthy that answers nobody. Batches, restores and restarts of a
broker take a few seconds."""
FORGOTTEN_S = 600.0
"""A worker that has not beaten for so long is no longer missed: its service was taken out of use."""
STATUS_VALUE: dict[Status, float] = {"healthy": 1.0, "degraded": 0.5, "unhealthy": 0.0}


def missed_checks(age_s: float) -> int:
    """How many checks in a row found no new heartbeat, when the last is `age_s` old."""
    return max(0, int(age_s // CHECK_S))


def success_rate(handled: int, failed: int) -> float:
    """The part of its records that a worker handled without failing on them; 1.0 before there were any."""
    return handled / (handled + failed) if handled or failed else 1.0


def is_stuck(lag: int, idle_s: float, busy_s: float) -> bool:
    """Whether a worker does nothing any more.

    `lag` records wait for it and none was finished for `idle_s`, or it has had a batch or a restore in hand for `busy_s`.
    """
    return (lag > 0 and idle_s > STUCK_S) or busy_s > STUCK_S


def is_gone(age_s: float) -> bool:
    """Whether a worker whose last heartbeat is `age_s` old is no longer expected to beat again."""
    return missed_checks(age_s) >= MISSED_LIMIT


def is_healthy(age_s: float, rate: float, stuck: bool) -> bool:
    """Whether a worker whose last heartbeat is `age_s` old, with this success rate, is healthy."""
    return not is_gone(age_s) and rate >= SUCCESS_RATE and not stuck


def together(parts: Iterable[bool | Status]) -> Status:
    """The status of a whole by that of its parts; nothing at all is unhealthy."""
    seen = list(parts)
    if seen and all(part is True or part == "healthy" for part in seen):
        return "healthy"
    return "degraded" if any(part is True or part in ("healthy", "degraded") for part in seen) else "unhealthy"


def uptime(seconds: float) -> str:
    """A time as people say it: `45s`, `2m`, `3h`, `5d`."""
    whole = int(max(0.0, seconds))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"
