"""What the agents of a worker are doing and have done: for its heartbeat, its probes and its log. All times are unix seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tables.registry import ModelRow


@dataclass(slots=True)
class Activity:
    """What a worker has done, for its heartbeat and health."""

    handled: int = 0
    failed: int = 0
    dead_letters: int = 0
    started_at: float = field(default_factory=time.time)
    progress: dict[str, float] = field(default_factory=dict)
    """When each agent last finished a batch, or had none to do."""
    busy: dict[str, float] = field(default_factory=dict)
    """Agents that have a batch in hand, and since when."""
    lags: dict[str, int] = field(default_factory=dict)
    """Records between each agent's position and the end of its topic."""
    restoring: dict[str, float] = field(default_factory=dict)
    """Partitions whose state is being restored (`validate/0`), or releases that are read first, and since when; records wait."""
    retrying: set[str] = field(default_factory=set)
    """Agents for whom a call to Kafka or Redis failed and is tried again."""
    joining: set[str] = field(default_factory=set)
    """Agents fed by batch consume that have not been told yet which partitions are theirs."""
    models: dict[str, ModelRow] = field(default_factory=dict)
    """The models that the worker serves, by name."""
    lists: str = ""
    """The lists of addresses that it knows, by their mark; empty where it asks for none."""

    @property
    def lag(self) -> int:
        """All agents' lag together."""
        return sum(self.lags.copy().values())

    @property
    def progress_at(self) -> float:
        """Since when records may wait for an agent that finishes none: the longest of them. Now, where none waits."""
        return min(
            (self.progress.get(name, self.started_at) for name, lag in self.lags.copy().items() if lag),
            default=time.time(),
        )

    @property
    def busy_since(self) -> float | None:
        """When the oldest of the batches in hand and the restores was begun."""
        return min((*self.busy.copy().values(), *self.restoring.copy().values()), default=None)

    @contextmanager
    def doing(self, agent: str) -> Iterator[None]:
        """While `agent` has a batch in hand: one that hangs shows."""
        self.busy[agent] = time.time()
        try:
            yield
        finally:
            self.busy.pop(agent, None)

    def note_idle(self) -> None:
        """Nothing waits: a worker is not called stuck for the one record that comes after an hour of none."""
        for agent, lag in self.lags.copy().items():
            if not lag:
                self.progress[agent] = time.time()
