"""The process tree of `soba up`: children that are started again when they die, and stopped in order."""

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from base.exits import ENDING, EXIT_DEAD_LETTERS, EXIT_FAILING, EXIT_MISFIT
from console.local.process import Child
from console.local.runfile import RunFile
from console.local.signals import Signals

FIRST_DELAY, LONGEST_DELAY = 0.25, 30.0
STEADY = 30.0
"""A child that ran this long is taken to be well: its next restart is quick again."""

QUESTIONABLE = 3
"""After so many quick ends in a row the user is shown what its log says."""

_FOR_GOOD = {
    EXIT_DEAD_LETTERS: "too many records made its code fail (dead-letter limit); see bin/soba dlq list and {log}",
    EXIT_MISFIT: "what lies in its topics does not fit together; the end of {log} says what to do",
}
_TICK = 0.1
# What stops first has the highest order: facade, workers, Redis, Kafka.
KAFKA, REDIS, WORKER, FACADE = 0, 1, 10, 20


@dataclass
class _Supervised:
    child: Child
    order: int
    restarts: int = 0
    failures: int = 0
    started: float = 0.0
    due: float | None = None
    given_up: bool = False


class Launcher:
    """Children by name, supervised by one thread from `start` to `stop`.

    The thread lives until the last child has ended: on Linux its death would end those it started.
    """

    def __init__(self, run: RunFile, logs: Path, report: Callable[[str], None], signals: Signals) -> None:
        self._run, self._logs, self._report, self._signals = run, logs, report, signals
        self._all: dict[str, _Supervised] = {}
        self._guard = threading.RLock()
        self._stopping, self._stopped = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def add(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        order: int = WORKER,
        *,
        ready: Callable[[], bool] | None = None,
        cwd: Path | None = None,
    ) -> Child:
        """Start a child and keep it up; its output goes to `NAME.log` of the logs folder."""
        child = Child(name, argv, self._logs / f"{name}.log", env=env, ready=ready, cwd=cwd)
        child.start()
        self.adopt(child, order)
        return child

    def adopt(self, child: Child, order: int) -> None:
        """Keep up a child that runs already."""
        with self._guard:
            self._all[child.name] = _Supervised(child, order, started=time.monotonic())
        self._run.note(child)

    @property
    def restarts(self) -> dict[str, int]:
        """How often each child was started again."""
        return {name: row.restarts for name, row in self._all.items()}

    @property
    def given_up(self) -> list[str]:
        """Children that ended for good."""
        return [name for name, row in self._all.items() if row.given_up]

    @property
    def away(self) -> list[str]:
        """Servers that do not answer and others that do not run, but will again. A server may take a second to ask."""
        rows = ((name, row) for name, row in self._all.items() if not row.given_up)
        return [name for name, row in rows if not (row.child.ready if row.order <= REDIS else row.child.alive)]

    def child(self, name: str) -> Child:
        return self._all[name].child

    def start(self) -> None:
        """Begin to watch."""
        self._thread = threading.Thread(target=self._watch, name="launcher", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stopping.wait(_TICK):
            self.step(time.monotonic())
        self._stopped.wait()

    def step(self, now: float) -> None:
        """Look at every child once: note its end, start it again when its delay is over."""
        with self._guard:
            for name, row in self._all.items():
                if self._stopping.is_set() or row.given_up or row.child.alive:
                    continue
                if row.due is None:
                    self._ended(name, row, now)
                elif now >= row.due and self._servers_ready(row):
                    self._start_again(name, row, now)

    def _servers_ready(self, row: _Supervised) -> bool:
        """Whether what it needs answers: a worker that starts before Kafka is back would only end again."""
        return all(other.child.ready for other in self._all.values() if other.order <= REDIS < row.order)

    def _start_again(self, name: str, row: _Supervised, now: float) -> None:
        row.started = now
        try:
            row.child.start()
        except OSError as error:  # no memory or no processes left: later there may be
            row.due = now + LONGEST_DELAY
            self._run.note_end(name, f"cannot be started: {error}", time.time() + LONGEST_DELAY)
            self._report(f"{name} cannot be started ({error}); trying again in {LONGEST_DELAY:.0f} s")
            return
        row.due = None
        row.restarts += 1
        self._run.note(row.child, row.restarts)
        self._report(f"{name} started again (pid {row.child.pid})")

    def _ended(self, name: str, row: _Supervised, now: float) -> None:
        if row.child.rc in _FOR_GOOD:
            row.given_up = True
            why = _FOR_GOOD[row.child.rc].format(log=row.child.log)
            self._run.note_end(name, why, None)
            self._report(f"{name} ended for good: {why}; the other services go on.")
            return
        row.failures = 0 if now - row.started >= STEADY else row.failures + 1
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(row.failures, 10))
        row.due = now + delay
        why = _reason(row.child)
        self._run.note_end(name, why, time.time() + delay)
        self._report(f"{name} ended ({why}); starting it again in {delay:.2g} s")
        if row.failures == QUESTIONABLE and (last := row.child.tail(1)):
            self._report(f"  it keeps ending; the last line of {row.child.log}: {last}")

    def stop(self, timeout: float = 10.0) -> None:
        """SIGTERM in order (those of one order together), bounded waits, then SIGKILL; a second signal ends the waits."""
        self._stopping.set()
        with self._guard:
            for children in self._groups():
                self._stop_group(children, timeout)
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _groups(self) -> Iterator[list[Child]]:
        rows = sorted(self._all.values(), key=lambda row: -row.order)
        for _, group in itertools.groupby(rows, key=lambda row: row.order):
            yield [row.child for row in group]

    def _stop_group(self, children: list[Child], timeout: float) -> None:
        for child in children:
            child.signal(signal.SIGTERM)
            child.resume()  # one that is paused would not see it
        deadline = time.monotonic() + timeout
        while any(child.alive for child in children) and time.monotonic() < deadline and self._signals.count < 2:
            time.sleep(0.02)
        for child in children:
            if child.alive:
                self._report(f"{child.name} (pid {child.pid}) did not stop in time: killed")
                child.kill()


class _Line(BaseModel):
    """Of a child's log, what it says."""

    message: str


def _reason(child: Child) -> str:
    rc = child.rc
    if rc is not None and rc < 0:
        return signal.Signals(-rc).name
    if rc == EXIT_FAILING:
        return f"code {rc}: {_last_word(child) or 'it could not go on as it was'}"
    return f"code {rc}: wrong usage" if rc == os.EX_USAGE else f"code {rc}"


def _last_word(child: Child) -> str:
    """Why a child ended by itself, as the end of its log has it; empty where it says nothing of that."""
    for line in reversed(child.tail().splitlines()):
        with suppress(ValidationError):
            said, ending, _ = _Line.model_validate_json(line).message.rpartition(ENDING % child.rc)
            if ending:
                return said
    return ""
