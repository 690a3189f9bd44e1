"""`soba up`: the whole system as one process tree."""

import asyncio
import errno
import json
import os
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import psutil
import typer

from base.settings import ROOT, Settings, get_settings, origins, untold
from console import reach
from console.asking import sure
from console.config import wrong_limits
from console.local import ports, runfile
from console.local.errors import LocalError
from console.local.launcher import FACADE, KAFKA, REDIS, WORKER, Launcher
from console.local.servers import LocalServers
from console.local.signals import Signals
from console.reach import masked

T = TypeVar("T")
DATA = ("kafka", "redis")
"""Folders of the data folder that `--fresh` deletes."""

app = typer.Typer()


@dataclass
class System:
    """A running system: its settings (with the real addresses), its run.json, its launcher, and the signals that end it."""

    settings: Settings
    run_file: runfile.RunFile
    launcher: Launcher
    signals: Signals
    http: str
    seconds: float


Fresh = Annotated[bool, typer.Option("--fresh", help="Stop what runs and delete the local data first.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before --fresh.")]


@app.command()
def up(fresh: Fresh = False, yes: Yes = False) -> None:
    """Start Kafka and Redis (unless SOBA_BROKERS, REDIS_URL name yours), workers and HTTP."""
    if fresh:
        begin_anew(Settings(), yes)
    run(_stay)


def _stay(running: System) -> None:
    show(running)
    running.signals.wait()


def run(body: Callable[[System], T]) -> T | None:
    """Do `body` with the whole system up, and stop it in order; None when Ctrl-C, SIGTERM or a closed terminal ended it.

    Raises LocalError (AlreadyRunning) with what to do.
    """
    done = None
    with Signals(_say) as signals:
        try:
            with _system(signals) as running:
                done = body(running)
        except (KeyboardInterrupt, OSError):  # a closed terminal cannot be written to either
            if not signals.count:
                raise
        _say(f"stopped; the data stays in {Settings().data_dir}")
    return done


def begin_anew(settings: Settings, yes: bool) -> None:
    """Stop the system that runs on the data folder and delete its Kafka and Redis data.

    Asks first, unless nothing is lost by it: nothing runs, and all there is came from the demo.

    Raises LocalError when the folder is none of Soba's, what runs does not stop, or nobody is there to ask.
    """
    if settings.brokers or settings.redis_url:
        raise LocalError("--fresh deletes local data only: unset SOBA_BROKERS and REDIS_URL, or leave it out")
    holds = any((settings.data_dir / name).exists() for name in DATA)
    if not (settings.data_dir / "run.json").exists():
        if not holds:
            return
        # A folder like /var/lib may hold a redis of somebody else.
        raise LocalError(f"{settings.data_dir} is not a data folder of Soba: nothing deleted")
    before = runfile.read(settings.data_dir)
    launcher = before.get("launcher", {})
    runs = runfile.running(launcher)
    if not yes and (runs or (holds and not before.get("sample_only"))):
        stops = f"stops the system that runs there (pid {launcher['pid']}) and " if runs else ""
        sure(f"--fresh {stops}deletes all data in {settings.data_dir}, API keys too", yes)
    if runs:
        print(f"stopping what runs (pid {launcher['pid']})", flush=True)
        try:
            process = psutil.Process(launcher["pid"])
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        except psutil.NoSuchProcess:
            pass
        except psutil.TimeoutExpired as error:
            raise LocalError(f"pid {launcher['pid']} does not stop: end it and start again") from error
    run = runfile.RunFile(settings.data_dir)
    run.acquire()
    for name in DATA:
        shutil.rmtree(settings.data_dir / name, ignore_errors=True)
    run.release()


@contextmanager
def _system(signals: Signals) -> Iterator[System]:
    """The whole system, ready inside the `with`; everything is stopped in order at its end."""
    began = time.monotonic()
    settings = Settings()
    for told in untold():
        _say(told)
    if wrong := wrong_limits(settings):  # the facade would end again and again
        raise LocalError(f"{wrong}.", "Nothing is started: mend SOBA_RATE_LIMITS or unset it.")
    _named_servers_answer(settings)
    if settings.redis_url or not (settings.data_dir / "redis").exists():  # else a local Redis may hold keys
        _not_exposed(settings)
    _usable(settings.data_dir)
    with LocalServers(settings.data_dir, settings) as servers:
        port = http_port(settings, servers.run.state["ports"].get("http"))
        addresses: dict[str, str] = {"SOBA_BROKERS": servers.brokers, "SOBA_REDIS_URL": servers.redis_url}
        addresses |= {"SOBA_PORT": str(port), "SOBA_DATA_DIR": str(settings.data_dir)}
        os.environ.update(addresses)
        get_settings.cache_clear()
        settings = get_settings()
        _say(f"Kafka at {settings.brokers}, Redis at {masked(settings.redis_url)}: ready")
        _not_exposed(settings)
        launcher = Launcher(servers.run, settings.data_dir / "logs", _say, signals)
        try:
            launched = _populate(settings, servers, launcher, port)
            yield System(settings, servers.run, launcher, signals, launched, time.monotonic() - began)
        finally:
            signals.hold()
            launcher.stop()


def _named_servers_answer(settings: Settings) -> None:
    """Raises LocalError when a server that the settings name does not answer: nothing we start could change that."""
    if settings.brokers:
        reach.kafka(settings)
    if settings.redis_url:
        reach.redis(settings)


def _not_exposed(settings: Settings) -> None:
    """Raises LocalError when the facade would refuse to serve: started all the same, it would end again and again."""
    from facade.context import exposed
    from facade.keys import is_loopback

    if not is_loopback(settings.host) and asyncio.run(exposed(settings)):
        raise LocalError(
            f"HTTP on {settings.host} would be open to other machines, and there is no API key: nothing is started.",
            "Leave SOBA_HOST out, make a key with `bin/soba keys create --name NAME` while it runs, then start it again;",
            "or give one now: SOBA_API_KEYS.",
        )


def _usable(data_dir: Path) -> None:
    """Raises LocalError when the data folder cannot be made or written to."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not os.access(data_dir, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise LocalError(
            f"the data folder {data_dir} cannot be used: {error.strerror}.",
            "Name another one: SOBA_DATA_DIR=/some/folder",
        ) from error


def _populate(settings: Settings, servers: LocalServers, launcher: Launcher, port: int) -> str:
    """Start what is not there yet and wait until it is ready; the address of HTTP."""
    from agents.app import WORKERS
    from topics.admin import create

    for child in servers.children:
        launcher.adopt(child, KAFKA if child.name == "kafka" else REDIS)
    created = create(settings)
    if created:
        _say(f"{len(created)} topics created")
    http = f"http://{settings.host}:{port}"
    run = servers.run
    run.update(http=http, ports={**run.state["ports"], "http": port})
    python = [sys.executable, "-m", "console"]
    # Coverage and the settings reach the children through the environment.
    for name in WORKERS:
        launcher.add(name, [*python, "worker", name], order=WORKER, cwd=ROOT)
    facade = launcher.add(
        "facade", [*python, "serve"], order=FACADE, cwd=ROOT, ready=lambda: _answers(f"{http}/health")
    )
    launcher.start()
    _wait(lambda: facade.ready, 60.0, f"HTTP does not answer at {http}; see {facade.log}")
    health = f"{http}/api/python/health"
    late = f"not every worker has reported yet; see bin/soba status and {health}"
    _wait(lambda: _healthy_workers(health) >= len(WORKERS), 60.0, late)
    return http


def show(running: System) -> None:
    """Where things are."""
    settings = running.settings
    print(f"\nSoba is up ({running.seconds:.1f} s). Ctrl-C stops it.")
    print(f"  HTTP     {running.http}")
    print(f"  Kafka    {settings.brokers}")
    print(f"  Redis    {masked(settings.redis_url)}")
    print(f"  data     {settings.data_dir}")
    print(f"  logs     {settings.data_dir / 'logs'}", flush=True)


def http_port(settings: Settings, last: int | None) -> int:
    """The facade's port: the one that was set, else 3000, else that of the last run, else a free one.

    Raises LocalError when a port that was asked for is taken.
    """
    chosen = origins(settings)["port"] != "default"
    if settings.port and ports.is_free(settings.port, settings.host):
        return settings.port
    if settings.port and chosen:
        raise LocalError(f"port {settings.port} is in use.", "Choose another one: SOBA_PORT=3001, or 0 for a free one.")
    found = ports.pick(1, [last])[0]
    if settings.port:
        _say(f"port {settings.port} is taken; HTTP is at {found} (SOBA_PORT chooses another)")
    return found


def _wait(condition: Callable[[], bool], timeout: float, problem: str) -> None:
    """Poll; a system that is late is not a failure, but the user is told."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            _say(problem)
            return
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with _opener().open(url, timeout=2) as answer:
            return bool(answer.status < 500)
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def _healthy_workers(url: str) -> int:
    """How many workers the facade knows as healthy, by their heartbeats."""
    try:
        with _opener().open(url, timeout=5) as answer:
            services = json.load(answer)["services"]
    except (OSError, ValueError, KeyError):
        return 0
    return sum(int(service["workers"]) for service in services.values())


def _opener() -> urllib.request.OpenerDirector:
    """No proxy for an address of this machine."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _say(text: str) -> None:
    """A line for the user; a reader that is gone (`soba up | head`) must not end the supervision."""
    with suppress(OSError):
        try:
            print(text, flush=True)
        except RuntimeError:  # a signal's line while another is being printed
            os.write(1, f"{text}\n".encode())
