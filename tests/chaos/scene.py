"""The whole system as `soba up` runs it, on a folder of its own, to be disturbed."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import httpx

from agents.app import WORKERS
from base.settings import ROOT, Settings
from console.local import launcher as launching
from console.local.launcher import FACADE, KAFKA, REDIS, Launcher
from console.local.ports import LOOPBACK, pick
from console.local.process import Child
from console.local.servers import LocalServers
from console.local.signals import Signals
from tests.conftest import wait_for
from topics.admin import create

STEADY_S = 3.0
"""A child that ran this long starts again at once: growing delays are for what ends by itself, not for what we kill."""


@dataclass
class Scene:
    """Servers, workers and facade under a launcher that starts again what dies."""

    settings: Settings
    launcher: Launcher
    servers: LocalServers
    env: dict[str, str]
    http: str
    extras: list[Child] = field(default_factory=list)
    """Further workers, which nobody starts again."""

    @property
    def logs(self) -> Path:
        return self.settings.data_dir / "logs"

    def join(self, worker: str, number: int) -> Child:
        """Start a further process of a worker."""
        env = {**self.env, "SOBA_WORKER_PORT": "0"}
        child = Child(f"{worker}-{number}", _worker(worker), self.logs / f"{worker}-{number}.log", env=env, cwd=ROOT)
        child.start()
        self.extras.append(child)
        return child

    @property
    def running(self) -> list[Child]:
        """All processes but the servers."""
        children = [self.launcher.child(name) for name in (*WORKERS, "facade")]
        return [child for child in (*children, *self.extras) if child.alive]

    def up(self) -> bool:
        """Whether HTTP answers that it is ready."""
        try:
            return httpx.get(f"{self.http}/ready", trust_env=False, timeout=5).is_success
        except httpx.TransportError:
            return False


@contextmanager
def scene(folder: Path, say: Callable[[str], None]) -> Iterator[Scene]:
    """A system of its own on `folder`, ended at the end. What its processes said is in `logs/NAME.history`, too.

    Raises LocalError when the servers cannot start.
    """
    # What hangs is ended with SIGABRT, so that it shows its stacks; a dump of memory is of no use.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    own = Settings(_env_file=None, data_dir=folder).model_copy(update={"brokers": "", "redis_url": "", "kafka": {}})
    with mock.patch.object(launching, "STEADY", STEADY_S), LocalServers(folder, own) as servers:
        changes = {"brokers": servers.brokers, "redis_url": servers.redis_url}
        settings = own.model_copy(update=changes)
        create(settings)
        (port,) = pick(1)
        env = settings.environment(
            **changes, data_dir=folder, host=LOOPBACK, port=port, worker_port=0, rate_limit_per_minute=1_000_000
        )
        env["PYTHONFAULTHANDLER"] = "1"
        launcher: Launcher

        def report(text: str) -> None:
            name = text.partition(" ")[0]
            if "ended" in text:
                _keep(launcher.child(name).log)
            with (folder / "launcher.log").open("a") as out:
                out.write(f"{time.time():.3f} {text}\n")
            if "for good" in text or "keeps ending" in text:
                say(text)

        launcher = Launcher(servers.run, folder / "logs", report, Signals(say))
        for child in servers.children:
            launcher.adopt(child, KAFKA if child.name == "kafka" else REDIS)
        for name in WORKERS:
            launcher.add(name, _worker(name), env, cwd=ROOT)
        serve = [sys.executable, "-m", "console", "serve"]
        launcher.add("facade", serve, env, order=FACADE, cwd=ROOT)
        made = Scene(settings, launcher, servers, env, f"http://{LOOPBACK}:{port}")
        launcher.start()
        try:
            wait_for(made.up, 120, every=0.1)
            yield made
        finally:
            for child in made.extras:
                child.resume()
                child.stop()
            launcher.stop()


def _worker(name: str) -> list[str]:
    return [sys.executable, "-m", "console", "worker", name]


def _keep(log: Path) -> None:
    """Append what a process said in its life to its history: the next but one start would drop it."""
    with log.with_suffix(".history").open("ab") as out:
        out.write(b"---- ended at %.3f\n" % time.time() + log.read_bytes())
