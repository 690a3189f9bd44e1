"""One child process: its log file, its signals, its end with the parent."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from console.local.errors import LocalError

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with(parent: int) -> None:  # pragma: no cover - between fork and exec nothing can be measured
    """Runs in the child before exec: SIGTERM when the launcher dies, however it dies (Linux)."""
    assert _libc is not None
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died in between
        os._exit(1)


class Child:
    """A child of the launcher; can be started again with the same command.

    It has its own session, so that Ctrl-C reaches the launcher alone, which then stops all in order.
    Start it from a thread that lives as long as it shall: Linux counts the death of that thread.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        ready: Callable[[], bool] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name, self.argv, self.log = name, [str(part) for part in argv], log
        self._env, self._ready, self._cwd = env, ready, cwd
        self._process: subprocess.Popen[bytes] | None = None
        self.created = 0.0
        self.rc: int | None = None

    @property
    def pid(self) -> int:
        """Raises LocalError before the first start."""
        if self._process is None:
            raise LocalError(f"{self.name} was not started")
        return self._process.pid

    def start(self) -> None:
        """Start it; the log of the run before is kept beside the new one as `.1`."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists():
            self.log.replace(self.log.with_suffix(self.log.suffix + ".1"))
        parent = os.getpid()
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=None if self._env is None else dict(self._env),
                cwd=self._cwd,
                start_new_session=True,
                preexec_fn=(lambda: _die_with(parent)) if _libc else None,
            )
        self.rc = None
        self.created = created_at(self._process.pid)

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        if self._process is not None and self.rc is None:
            self.rc = self._process.poll()
        return self.rc

    @property
    def alive(self) -> bool:
        return self._process is not None and self.poll() is None

    @property
    def ready(self) -> bool:
        """Whether it answers its protocol (alive, for one without)."""
        return self.alive and (self._ready is None or self._ready())

    def wait_ready(self, timeout: float = 120.0) -> None:
        """Raises LocalError with the end of its log when it dies or does not answer in time."""
        deadline = time.monotonic() + timeout
        while not self.ready:
            if not self.alive:
                problem = f"ended with code {self.rc}"
            elif time.monotonic() > deadline:
                problem = f"does not answer after {timeout:.0f} s"
            else:
                time.sleep(0.03)
                continue
            raise LocalError(f"{self.name} {problem}. The end of {self.log}:", self.tail())

    def tail(self, lines: int = 12) -> str:
        """The last lines of its log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; one that has ended is left alone."""
        if self.alive:
            os.kill(self.pid, number)

    def stop(self, timeout: float = 10.0) -> None:
        """SIGTERM, a bounded wait, then SIGKILL."""
        if self._process is None:
            return
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        try:
            self.rc = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self.rc = self._process.wait()

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def restart(self, timeout: float = 120.0) -> None:
        """Start it again (after ending it, if it still runs) and wait until it answers."""
        self.stop()
        self.start()
        self.wait_ready(timeout)


def created_at(pid: int) -> float:
    """When a process began; 0 if it is gone. With the pid it names one process for good."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def end_survivor(pid: int, created: float, timeout: float = 10.0) -> bool:
    """End a process of an earlier run, if that pid is still the same process; says whether it was."""
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - created) > 0.02:
            return False
        process.terminate()
        process.resume()
        try:
            process.wait(timeout)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(timeout)
    except psutil.NoSuchProcess:
        return False
    return True
