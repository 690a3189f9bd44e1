"""What happened in one pool of a block, in order."""

from __future__ import annotations

from dataclasses import dataclass, field

from topics.schemas.chain import Liquidity, Swap, Sync

Pooled = Swap | Sync | Liquidity
"""What happens in a pool."""


@dataclass(slots=True)
class History:
    """What one pool's logs tell, in order, and where each transaction's first swap stands."""

    events: list[Pooled] = field(default_factory=list)
    first: dict[str, int] = field(default_factory=dict)
