"""Workers as processes: started, disturbed, started again as the launcher would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from agents.runtime import EXIT_DEAD_LETTERS

ROOT = Path(__file__).parents[2]
NAMES = ("validate", "chain", "language")


class Crew:
    """The workers of a pipeline. `keep` starts ended ones again, without the fault they were first given."""

    def __init__(self, env: dict[str, str], logs: Path) -> None:
        self._env = env
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.ends: list[tuple[str, int]] = []
        """(worker, exit code) of each that ended by itself or by a signal of ours."""

    def start(self, name: str, fault: str = "", module: str = "tests.chaos.faulty") -> int:
        """Start a worker, with a fault of tests/chaos/faulty.py where one is named; returns its process id."""
        with (self._logs / f"{name}.log").open("ab") as log:
            worker = name.partition("#")[0]
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", module, worker],
                env={**self._env, "SOBA_TEST_FAULT": fault},
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        return self._running[name].pid

    def keep(self) -> bool:
        """Start again what ended, unless it met its dead-letter limit. Always false, to stand in a wait's condition."""
        for name, process in list(self._running.items()):
            if (code := process.poll()) is not None:
                self.ends.append((name, code))
                del self._running[name]
                if code != EXIT_DEAD_LETTERS:
                    self.start(name)
        return False

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a worker a signal."""
        os.kill(self._running[name].pid, number)

    def leave(self, *names: str) -> None:
        """Ask workers to stop and wait until they have, in order."""
        for name in names:
            self._running[name].terminate()
        for name in names:
            # By the signal itself where it was still importing.
            assert self._running[name].wait(10) in (0, -signal.SIGTERM)
            del self._running[name]

    def wait(self, name: str, timeout: float = 60) -> int:
        """Wait for a worker to end by itself, and leave it ended; its exit code."""
        code = self._running[name].wait(timeout)
        del self._running[name]
        self.ends.append((name, code))
        return code

    def running(self, name: str) -> bool:
        """Whether it has not ended."""
        return name in self._running and self._running[name].poll() is None

    def close(self) -> None:
        """Kill all that is left."""
        for process in self._running.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
        for process in self._running.values():
            process.wait(30)
        self._running.clear()
