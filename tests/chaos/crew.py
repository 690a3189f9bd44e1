"""Workers as processes: started, disturbed, started again as the launcher would."""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import signal
import sys
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest import mock

from agents.app import WORKERS
from base.exits import EXIT_DEAD_LETTERS
from tests.chaos import faulty, naive
from tests.conftest import wait_for

NAMES = ("validate", "chain", "language", "fraud")
IN_TIME_S = 10.0
"""What ends within 5 s of a SIGTERM (docs/delivery.md) has ended by then, where three parts of the tests share two cores."""

FORKS = multiprocessing.get_context("forkserver")
"""Each worker is a process of its own, forked from one that has imported all they need: most of a start is imports."""


def prepare() -> None:
    """Start the process that workers are forked from."""
    FORKS.set_forkserver_preload([__name__, *(module for worker in WORKERS.values() for module in worker.modules)])
    with mock.patch.dict(os.environ):
        # Workers are measured, each on its own; a parent that is measured too would hand them its handler of SIGTERM.
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
        forkserver.ensure_running()


class Crew:
    """The workers of a pipeline. `keep` starts ended ones again, without the fault they were first given."""

    def __init__(self, env: dict[str, str], logs: Path) -> None:
        self._env = env
        self._logs = logs
        self._running: dict[str, BaseProcess] = {}
        self.ends: list[tuple[str, int]] = []
        """(worker, exit code) of each that ended by itself or by a signal of ours."""

    def start(self, name: str, fault: str = "", naively: bool = False) -> None:
        """Start a worker, with a fault of tests/chaos/faulty.py where one is named, or as tests/chaos/naive.py."""
        env = {**self._env, "SOBA_TEST_FAULT": fault}
        log = self._logs / f"{name}.log"
        process = FORKS.Process(target=_work, args=(name.partition("#")[0], naively, env, log), name=name, daemon=True)
        process.start()
        self._running[name] = process

    def keep(self) -> bool:
        """Start again what ended, unless it met its dead-letter limit. Always false, to stand in a wait's condition."""
        for name, process in list(self._running.items()):
            if (code := process.exitcode) is not None:
                self.ends.append((name, code))
                del self._running[name]
                if code != EXIT_DEAD_LETTERS:
                    self.start(name)
        return False

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a worker a signal."""
        pid = self._running[name].pid
        assert pid is not None
        os.kill(pid, number)

    def leave(self, *names: str) -> None:
        """Ask workers to stop and wait until they have."""
        for name in names:
            self.signal(name, signal.SIGTERM)
        for name in names:
            code = self.wait(name)
            # By the signal itself where it was not yet listening for it.
            assert code in (0, -signal.SIGTERM), (name, code)
            self.ends.pop()

    def wait(self, name: str, timeout: float = 120) -> int:
        """Wait for a worker to end by itself, and leave it ended; its exit code."""
        process = self._running[name]
        process.join(timeout)
        code = process.exitcode
        assert code is not None, f"{name} has not ended after {timeout} s"
        if code == -signal.SIGSEGV:  # faulthandler has told where
            print(f"--- {name}", (self._logs / f"{name}.log").read_text(errors="replace")[-8_000:], sep="\n")
        del self._running[name]
        self.ends.append((name, code))
        return code

    def show(self) -> None:
        """Print where each worker is and what it said last."""
        for name in self._running:
            log = self._logs / f"{name}.log"
            before = log.stat().st_size
            self.signal(name, signal.SIGUSR1)
            with contextlib.suppress(AssertionError):
                wait_for(lambda log=log, before=before: log.stat().st_size > before, 5)  # type: ignore[misc]
            print(f"--- {name}", log.read_text(errors="replace")[-6_000:], sep="\n")

    def close(self) -> None:
        """Kill all that is left."""
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.join(30)
        self._running.clear()


def _work(worker: str, naively: bool, env: dict[str, str], log: Path) -> None:
    """The life of a worker's process."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # coverage has set a handler of its own
    with log.open("ab") as out:
        os.dup2(out.fileno(), sys.stdout.fileno())
        os.dup2(out.fileno(), sys.stderr.fileno())
    faulthandler.register(signal.SIGUSR1)
    os.environ.clear()
    os.environ.update(env)
    sys.argv[1:] = [worker]
    naive.main() if naively else faulty.main()
