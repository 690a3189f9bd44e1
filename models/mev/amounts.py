"""When two amounts are the same."""

from __future__ import annotations


def matches(one: int | None, other: int | None, parts: int) -> bool:
    """Whether two known, positive amounts are the same but for one part in `parts`."""
    if one is None or other is None or min(one, other) <= 0:
        return False
    return abs(one - other) * parts <= max(one, other)
