"""The jars: checked before they get their name, resumed, refused when corrupt, fetched again."""

import hashlib
import platform
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from console.local import jars, redis_server
from console.local.errors import LocalError
from console.local.jars import Jar

CONTENT = {name: (name * 50_000).encode() for name in ("one", "two", "three")}
JARS = [Jar("org.some.where", name, "1", hashlib.sha256(data).hexdigest(), len(data)) for name, data in CONTENT.items()]


class Repository:
    """A jar repository on the loopback address that can be told to misbehave."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.corrupt: dict[str, int] = {}
        """How many of the next answers for a path are wrong bytes."""
        self.broken: dict[str, int] = {}
        """How many of the next answers break off in the middle."""
        self.missing: set[str] = set()
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                repository.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Tests are quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/repo"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = urlsplit(request.path).path.removeprefix("/repo/")
        reach = request.headers.get("Range")
        self.asked.append((path, reach))
        jar = next((jar for jar in JARS if jar.path == path), None)
        if jar is None or jar.artifact in self.missing:
            request.send_error(404)
            return
        data = CONTENT[jar.artifact]
        if self.corrupt.get(jar.artifact, 0) > 0:
            self.corrupt[jar.artifact] -= 1
            data = bytes(len(data))
        start = int(re.findall(r"\d+", reach)[0]) if reach else 0
        request.send_response(206 if reach else 200)
        request.send_header("Content-Length", str(len(data) - start))
        request.end_headers()
        end = len(data)
        if self.broken.get(jar.artifact, 0) > 0:
            self.broken[jar.artifact] -= 1
            end = start + (len(data) - start) // 2
        request.wfile.write(data[start:end])


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    repository = Repository()
    thread = threading.Thread(target=repository.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("SOBA_MAVEN_URL", repository.url + "/")
    monkeypatch.setattr(jars, "FIRST_WAIT", 0.001)
    yield repository
    repository.server.shutdown()
    repository.server.server_close()
    thread.join()


def check(folder: Path) -> None:
    assert {file.name: file.read_bytes() for file in folder.glob("*.jar")} == {
        jar.name: CONTENT[jar.artifact] for jar in JARS
    }
    assert not list(folder.glob("*.part"))


def test_all_are_fetched_once_and_not_hashed_again(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = jars.fetch(JARS, tmp_path)
    assert [file.name for file in files] == [jar.name for jar in JARS]
    check(tmp_path)
    monkeypatch.setattr(jars, "_sha256", lambda _: pytest.fail("hashed again"))
    jars.fetch(JARS, tmp_path)
    assert len(repository.asked) == 3


def test_a_corrupt_answer_never_gets_the_name_and_is_fetched_again(repository: Repository, tmp_path: Path) -> None:
    repository.corrupt["two"] = 2
    jars.fetch(JARS, tmp_path)
    check(tmp_path)
    assert [path for path, _ in repository.asked].count(JARS[1].path) == 3


def test_a_repository_that_only_has_corrupt_bytes_is_refused(repository: Repository, tmp_path: Path) -> None:
    repository.corrupt["two"] = 1000
    with pytest.raises(LocalError, match="does not have the hash of the lock"):
        jars.fetch(JARS, tmp_path)
    assert not (tmp_path / JARS[1].name).exists()


def test_a_transfer_that_breaks_off_goes_on_where_it_was(repository: Repository, tmp_path: Path) -> None:
    repository.broken["three"] = 1
    jars.fetch(JARS, tmp_path)
    check(tmp_path)
    reaches = [reach for path, reach in repository.asked if path == JARS[2].path]
    assert reaches == [None, f"bytes={JARS[2].bytes // 2}-"]


@pytest.mark.parametrize("damage", [b"short", bytes(len(CONTENT["one"]))])
def test_a_damaged_file_of_the_cache_is_found_and_fetched_again(
    repository: Repository, tmp_path: Path, damage: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    jars.fetch(JARS, tmp_path)
    (tmp_path / JARS[0].name).write_bytes(damage)
    jars.fetch(JARS, tmp_path)
    check(tmp_path)
    assert "one-1.jar in the cache is damaged" in capsys.readouterr().out
    assert len(repository.asked) == 4


def test_a_missing_jar_is_not_asked_for_again_and_again(repository: Repository, tmp_path: Path) -> None:
    repository.missing.add("one")
    with pytest.raises(LocalError, match="answered 404"):
        jars.fetch(JARS, tmp_path)
    assert [path for path, _ in repository.asked].count(JARS[0].path) == 1


def test_without_a_network_and_a_cache_the_user_is_told(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jars.fetch(JARS[:2], tmp_path)
    monkeypatch.setenv("SOBA_MAVEN_URL", "http://127.0.0.1:9/")
    jars.fetch(JARS[:2], tmp_path)  # what is there needs no network
    with pytest.raises(LocalError, match=r"three-1.jar cannot be fetched: no answer[\s\S]*SOBA_MAVEN_URL"):
        jars.fetch(JARS, tmp_path)


def test_the_lock_names_every_jar_of_kafka_and_one_of_redis() -> None:
    kafka, redis = jars.locked("kafka"), jars.locked("redis")
    assert (len(kafka), len(redis)) == (46, 1) and len(jars.locked()) == 47
    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) for jar in jars.locked())
    assert redis[0].path == "com/github/codemonstur/embedded-redis/1.4.4/embedded-redis-1.4.4.jar"


def test_the_place_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SOBA_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert jars.cache_dir() == tmp_path / "soba"
    monkeypatch.setenv("SOBA_CACHE", str(tmp_path / "else"))
    assert jars.cache_dir() == tmp_path / "else"


def test_the_address_comes_from_jgo_unless_a_mirror_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOBA_MAVEN_URL", raising=False)
    assert jars.repository().startswith("https://")


def test_a_machine_without_a_redis_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(platform, "machine", lambda: "sparc")
    with pytest.raises(LocalError, match=r"no Redis binary for .* sparc[\s\S]*REDIS_URL"):
        redis_server.server()
