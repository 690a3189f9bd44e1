"""The jars of the local servers: exactly those of jars.lock.json, checked before they get their name.

They lie in a cache for each user, shared by checkouts: $SOBA_CACHE, else $XDG_CACHE_HOME/soba, else
~/.cache/soba. SOBA_MAVEN_URL names a mirror; proxies of the environment are honoured.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from base.wording import counted
from console.local.errors import LocalError
from console.local.progress import Progress, progress

LOCK_FILE = Path(__file__).with_name("jars.lock.json")
REDIS = "embedded-redis"
ATTEMPTS = 5
FIRST_WAIT = 0.25
PARALLEL = 6
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Jar:
    """One row of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str
    bytes: int

    @property
    def name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Where a repository keeps it."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.name}"


def locked(kind: Literal["all", "kafka", "redis"] = "all") -> list[Jar]:
    """The rows of the lock: of Kafka (its class path), of Redis (the one with the binaries), or all."""
    rows = [Jar(**row) for row in json.loads(LOCK_FILE.read_text())]
    return [jar for jar in rows if kind == "all" or (jar.artifact == REDIS) == (kind == "redis")]


def cache_dir() -> Path:
    """The folder for what is downloaded."""
    if chosen := os.environ.get("SOBA_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).expanduser().absolute() / "soba"


def repository() -> str:
    """Address of the jar repository: SOBA_MAVEN_URL, else the one that jgo knows."""
    if mirror := os.environ.get("SOBA_MAVEN_URL"):
        return mirror.rstrip("/")
    from jgo.constants import MAVEN_CENTRAL_URL

    return str(MAVEN_CENTRAL_URL).rstrip("/")


class Stamp:
    """Which files were hashed before, by size and time of change: later starts need no hashing."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "verified.json"
        self._guard = threading.Lock()
        try:
            self._seen: dict[str, list[object]] = json.loads(self._file.read_text())
        except (OSError, ValueError):
            self._seen = {}

    def good(self, file: Path, jar: Jar) -> bool:
        """Whether the file is the jar of the lock; hashes it if it is not the one seen before."""
        try:
            stat = file.stat()
        except FileNotFoundError:
            return False
        mark = [stat.st_size, stat.st_mtime_ns, jar.sha256]
        if self._seen.get(jar.name) == mark:
            return True
        if stat.st_size != jar.bytes or _sha256(file) != jar.sha256:
            return False
        with self._guard:
            self._seen[jar.name] = mark
        return True

    def save(self) -> None:
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(self._seen))
        part.replace(self._file)


def fetch(jars: Sequence[Jar], folder: Path | None = None) -> list[Path]:
    """Make sure that every jar is in the cache; returns their files in the order given.

    Raises LocalError when a jar can be had neither from the cache nor from the repository.
    """
    folder = folder or cache_dir() / "jars"
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        stamp = Stamp(folder)
        missing = [jar for jar in jars if not stamp.good(folder / jar.name, jar)]
        for jar in missing:
            with contextlib.suppress(FileNotFoundError):
                (folder / jar.name).unlink()
                print(f"{jar.name} in the cache is damaged; fetching it again", flush=True)
        if missing:
            _download(missing, folder)
            for jar in missing:
                stamp.good(folder / jar.name, jar)
        stamp.save()
    return [folder / jar.name for jar in jars]


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two first starts share one cache: the second waits and then finds everything."""
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _download(jars: Sequence[Jar], folder: Path) -> None:
    address = repository()
    total = sum(jar.bytes for jar in jars)
    names = {"Redis" if jar.artifact == REDIS else "Kafka" for jar in jars}
    title = f"fetching {' and '.join(sorted(names))} (once, {counted(len(jars), 'jar')})"
    with progress(title, total) as bar, ThreadPoolExecutor(PARALLEL) as pool:
        # The largest first, so that no long one is left alone at the end.
        ordered = sorted(jars, key=lambda jar: -jar.bytes)
        work = [pool.submit(_fetch_one, address, jar, folder, bar) for jar in ordered]
        try:
            for future in work:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _fetch_one(address: str, jar: Jar, folder: Path, bar: Progress) -> None:
    part = folder / f"{jar.name}.part"
    problem = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(FIRST_WAIT * 2**attempt)
        try:
            _receive(f"{address}/{jar.path}", part, jar.bytes, bar.advance)
        except urllib.error.HTTPError as error:
            problem = f"the repository answered {error.code}"
            part.unlink(missing_ok=True)
            if error.code in (401, 403, 404):
                break
            continue
        except (OSError, urllib.error.URLError) as error:
            problem = f"no answer ({getattr(error, 'reason', error)})"
            continue
        if part.stat().st_size < jar.bytes:
            problem = "the transfer broke off"
            continue
        if _sha256(part) == jar.sha256:
            part.replace(folder / jar.name)
            return
        problem = "what arrived does not have the hash of the lock"
        bar.advance(-part.stat().st_size)
        part.unlink()
    raise LocalError(
        f"{jar.name} cannot be fetched: {problem}.",
        "Check the network or proxy (HTTPS_PROXY), or name a mirror with SOBA_MAVEN_URL, and start again;",
        f"what has arrived is kept in {folder}.",
        "Or use servers of your own: SOBA_BROKERS=host:port REDIS_URL=redis://host:port bin/soba up",
    )


def _receive(url: str, part: Path, size: int, advance: Callable[[int], None]) -> None:
    """Append to the part file what is still missing of it."""
    have = part.stat().st_size if part.exists() else 0
    if have >= size:
        part.unlink()
        have = 0
    request = urllib.request.Request(url, headers={"User-Agent": "soba"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=20) as answer:
        resumed = answer.status == 206
        if resumed:
            advance(have)
        with part.open("ab" if resumed else "wb") as out:
            received = have if resumed else 0
            while chunk := answer.read(_CHUNK):
                received += len(chunk)
                if received > size:
                    out.truncate(0)
                    break
                out.write(chunk)
                advance(len(chunk))


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
