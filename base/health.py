"""When a service is healthy: one rule for the facade, the page and the docs.

A worker is checked every 30 s by the age of its last sign of life: a heartbeat (it beats every 5 s), or, while records
wait for it, progress. It is healthy with a success rate of at least 0.7 and fewer than 3 missed checks. A service is
healthy when each of its parts (Faust apps) has a healthy worker, degraded when only some have, unhealthy when none has;
the whole is judged by its services in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Status = Literal["healthy", "degraded", "unhealthy"]

CHECK_S = 30.0
MISSED_LIMIT = 3
SUCCESS_RATE = 0.7
STATUS_VALUE: dict[Status, float] = {"healthy": 1.0, "degraded": 0.5, "unhealthy": 0.0}


def missed_checks(age_s: float) -> int:
    """How many checks in a row found no new heartbeat, when the last is `age_s` old."""
    return max(0, int(age_s // CHECK_S))


def success_rate(handled: int, failed: int) -> float:
    """The part of what a worker handled that did not fail; 1.0 before it has handled anything."""
    return 1.0 if handled <= 0 else max(0.0, 1 - failed / handled)


def is_healthy(age_s: float, rate: float) -> bool:
    """Whether a worker whose last sign of life is `age_s` old, with this success rate, is healthy."""
    return missed_checks(age_s) < MISSED_LIMIT and rate >= SUCCESS_RATE


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
