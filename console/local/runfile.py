"""run.json of a data folder: who runs on it and where; and the lock that only one may hold."""

import fcntl
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from console.local.errors import AlreadyRunning
from console.local.process import Child, created_at, end_survivor


class RunFile:
    """Holds the data folder (an exclusive lock that the kernel drops with the process) and its run.json."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.file = data_dir / "run.json"
        self._lock: TextIO | None = None
        self.state: dict[str, Any] = {}

    def acquire(self) -> None:
        """Take the folder and end what an earlier, killed run left behind.

        Raises AlreadyRunning when another process has it.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        lock = (self.data_dir / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            launcher = read(self.data_dir).get("launcher", {})
            raise AlreadyRunning(launcher.get("pid")) from None
        self._lock = lock
        before = read(self.data_dir)
        for name, row in reversed(before.get("processes", {}).items()):
            if end_survivor(int(row["pid"]), float(row["created"])):
                print(f"ended {name} (pid {row['pid']}), left behind by a run that was killed", flush=True)
        me = os.getpid()
        self.state = {
            "launcher": {"pid": me, "created": created_at(me)},
            "started": time.time(),
            "data_dir": str(self.data_dir),
            # Asked for again by the next run, so that addresses in other terminals stay right.
            "ports": before.get("ports", {}),
            "processes": {},
        }
        self.save()

    def note(self, child: Child, restarts: int = 0) -> None:
        """Write down a child that has started."""
        row = {"pid": child.pid, "created": child.created, "restarts": restarts, "log": str(child.log)}
        self.state["processes"][child.name] = row
        self.save()

    def note_end(self, name: str, why: str, again_at: float | None) -> None:
        """Write down why a child has ended and when it is started again (unix seconds; None: never)."""
        self.state["processes"][name] |= {"ended": why, "again_at": again_at}
        with suppress(OSError):  # a full disk must not keep anything from being started again
            self.save()

    def update(self, **values: Any) -> None:
        self.state.update(values)
        self.save()

    def save(self) -> None:
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(self.state, indent=2))
        part.replace(self.file)

    def release(self) -> None:
        """Give the folder back; only the ports are remembered, and whether the demo's sample is all that it holds."""
        if self._lock is None:
            return
        kept = {"ports": self.state.get("ports", {}), "sample_only": self.state.get("sample_only", False)}
        self.state = {**kept, "data_dir": str(self.data_dir), "processes": {}}
        self.save()
        self._lock.close()
        self._lock = None


def read(data_dir: Path) -> dict[str, Any]:
    """What run.json says, {} if there is none."""
    try:
        state = json.loads((data_dir / "run.json").read_text())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def running(row: dict[str, Any]) -> bool:
    """Whether the process of a row of run.json still is that process."""
    created = created_at(int(row.get("pid", 0) or 0)) if row else 0.0
    return bool(created) and abs(created - float(row["created"])) <= 0.02
