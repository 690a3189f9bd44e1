"""What is done to the running system at random moments, and what is noted of each."""

from __future__ import annotations

import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from agents.app import WORKERS
from tests.chaos.flow import Flow
from tests.chaos.scene import Scene
from topics.clients import SESSION_TIMEOUT_S

PAUSE_S = SESSION_TIMEOUT_S + 3
"""How long a worker is stopped: its group has given its partitions to another by then."""
AFTER_S = 5.0
"""How long after a worker joined or left its gap of output is looked for."""
OVERLAP = 0.8
"""The part of the disturbances that hit while the one before still shows."""
KINDS = {
    "validate": 3,
    "chain": 3,
    "language": 2,
    "fraud": 2,
    "workers": 3,
    "facade": 3,
    "redis": 3,
    "kafka": 4,
    "pause": 1,
    "join": 1,
}
"""Kinds of disturbance, and how often each comes. The servers, workers and facade are killed; `workers` are all at once."""
MOVES = ("pause", "join")
"""Those that kill nothing."""

Wait = Callable[[Callable[[], object], str], None]
"""Waits until something is true, and raises where nothing moves any more; the text says what is waited for."""


@dataclass
class Strikes:
    """Disturbs a scene, and notes what came of it."""

    scene: Scene
    flow: Flow
    wait: Wait
    say: Callable[[str], None]
    rng: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    pauses: int = 0
    moves: int = 0
    """Workers that joined and left in order."""
    back: list[tuple[float, str]] = field(default_factory=list)
    """Seconds from a kill (the later of two) until probes sent after it were through, and what was killed."""
    gaps: list[tuple[float, str]] = field(default_factory=list)
    """Seconds without output around each orderly join and leave, and which."""
    _number: int = 1

    def run(self, kinds: list[str], until: float) -> None:
        """Disturb until then (monotonic seconds)."""
        weights = [KINDS[kind] for kind in kinds]
        under_way = ""
        while time.monotonic() < until or under_way:
            (kind,) = self.rng.choices(kinds, weights)
            began = time.time()
            if kind in MOVES:
                if under_way:  # those measure by themselves: they begin when all is well
                    self._recovered(began, under_way)
                worker = self.rng.choice(list(WORKERS))
                self.pause(worker) if kind == "pause" else self.join(worker)
                under_way = ""
            else:
                self.kill(kind)
                if not under_way and self.rng.random() < OVERLAP:
                    under_way = kind
                    self._rest(self.rng.uniform(0.3, 6.0))
                    continue
                self._recovered(began, f"{under_way} + {kind}" if under_way else kind)
                under_way = ""
            self._rest(self.rng.uniform(0.3, 2.5))

    def kill(self, kind: str) -> None:
        """kill -9; the launcher starts again what is killed."""
        names = list(WORKERS) if kind == "workers" else [kind]
        for name in names:
            child = self.scene.launcher.child(name)
            if child.alive:
                child.signal(signal.SIGKILL)
                self.kills[kind] += 1

    def pause(self, worker: str) -> None:
        """Stop a worker beyond its session while another takes over, let it go on, and let the other leave."""
        child = self.scene.launcher.child(worker)
        number = self._join(worker)
        began = time.time()
        child.pause()
        try:
            self._rest(PAUSE_S)
            self._recovered(began, f"pause of {worker}", count=False)
        finally:
            child.resume()
        self.pauses += 1
        self._rest(self.rng.uniform(1.0, 4.0))
        self._leave(worker, number, orderly=False)

    def join(self, worker: str) -> None:
        """A further worker joins, takes its share, and leaves again, in order."""
        self._leave(worker, self._join(worker), orderly=True)

    def _join(self, worker: str) -> int:
        began, self._number = time.time(), self._number + 1
        child = self.scene.join(worker, self._number)
        ours = re.compile(rb"partitions \d[^\"]* are ours now")
        self.wait(lambda: ours.search(child.log.read_bytes()), f"{child.name} to get a partition")
        self._settle(began, f"{worker} joins")
        return self._number

    def _leave(self, worker: str, number: int, orderly: bool) -> None:
        child = next(one for one in self.scene.extras if one.name == f"{worker}-{number}")
        began = time.time()
        child.stop(timeout=8)
        self.scene.extras.remove(child)
        self._settle(began, f"{worker} leaves", count=orderly)

    def _settle(self, began: float, what: str, count: bool = True) -> None:
        """Note the longest gap of output around what began then."""
        self._rest(AFTER_S)
        self.wait(lambda: self.flow.back(began), f"output after {what}")
        if count:
            self.moves += 1
            gap = self.flow.gap(began, time.time())
            self.gaps.append((gap, what))
            self.say(f"{what}: {gap:.1f} s without output")

    def _recovered(self, began: float, what: str, count: bool = True) -> None:
        """Wait until what was sent after `began` is through."""
        self.wait(lambda: self.flow.back(began), f"output after {what}")
        at = self.flow.back(began)
        assert at is not None
        if count:
            self.back.append((at - began, what))
        self.say(f"{what}: output again after {at - began:.1f} s")

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > until, "the next disturbance")
