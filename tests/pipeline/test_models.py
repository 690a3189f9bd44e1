"""The life of a model on a real Kafka: shipped, released, refused, rolled back, and there again after a kill."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shlex
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, get_args

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

import agents.compacted
import agents.releases
from agents import app
from agents.activity import Activity
from agents.agent import Record, Result, Rows
from agents.outlet import Outlet, Stopped
from agents.rebuild import Rebuild
from agents.releases import Releases
from base import metrics
from base.settings import ROOT, Settings, get_settings
from console import releases as console
from models.artefacts import UNPACKED_BYTES
from models.releases import Models, Reason, Served
from tests.conftest import wait_for
from tests.linear import CREATED, FEATURES, OTHER_DATA, json_of, npz_of, numbers, release, scorer, scores, served
from tests.pipeline.conftest import Soba
from topics.admin import create
from topics.clients import common, consumer, producer
from topics.registry import MODEL_RELEASES
from topics.releases import pack
from topics.schemas.models import ARTEFACT_BYTES, Feature, Release

pytestmark = pytest.mark.pipeline
BACKLOG = 10_000
"""Numbers that are sent and whose scores were not yet looked at."""


@pytest.fixture
def name() -> str:
    """A model of one's own: the topic is shared."""
    return f"linear-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def own_redis(settings: Settings) -> Settings:
    """Heartbeats of these workers are not for tests of health to find."""
    create(settings)
    return settings.model_copy(update={"redis_url": f"{settings.redis_url.rpartition('/')[0]}/3"})


@pytest.fixture
def soba(soba: Soba, own_redis: Settings, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Soba:
    """Run a command of a Soba that serves the model: exit code, output, errors."""
    worker: Any = SimpleNamespace(agents=lambda: [scorer(served(tmp_path, name))])
    monkeypatch.setitem(app.WORKERS, "scorer", worker)
    monkeypatch.delitem(app.WORKERS, "fraud")  # whose model changes whenever it is trained
    monkeypatch.setenv("REDIS_URL", own_redis.redis_url)
    get_settings.cache_clear()
    return soba


def file(folder: Path, one: Release) -> Path:
    """The release as a file."""
    path = folder / f"{one.manifest.version}.release"
    path.write_bytes(pack(one))
    return path


@pytest.fixture
def sender(settings: Settings) -> Producer:
    """Of one's own test: one that outlives the broker complains."""
    create(settings)
    return Producer(producer(settings))


def put(client: Producer, name: str, value: bytes | None, at: datetime | None = None) -> None:
    """Write to the topic past the command, as anybody may."""
    now = at or datetime.now(UTC)
    client.produce(MODEL_RELEASES.name, value, name.encode(), timestamp=int(now.timestamp() * 1000))
    assert client.flush(60) == 0


# A worker


class Worker:
    """A worker process, the numbers sent to it and the scores that came of them."""

    def __init__(self, settings: Settings, env: dict[str, str], name: str, folder: Path) -> None:
        self.name = name
        self._argv = [sys.executable, "-m", "tests.pipeline.scorer", name, str(folder)]
        self._env, self._log = env, folder / "worker.log"
        client = AdminClient(common(settings))
        wanted = [numbers(name).name, numbers(name).dlq, scores(name).name]
        for made in client.create_topics([NewTopic(topic, 2, 1) for topic in wanted]).values():
            made.result(30)
        self._producer = Producer(producer(settings))
        self._reader = Consumer(consumer(settings, "scores"))
        self._reader.assign([TopicPartition(scores(name).name, number, OFFSET_BEGINNING) for number in range(2)])
        self.sent = 0
        self.seen: list[dict[str, Any]] = []
        self.start()

    def start(self) -> None:
        """Start it, also again."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._argv, env=self._env, cwd=ROOT, stdout=log, stderr=log)

    def send(self, many: int) -> int:
        """Send so many numbers; the last one sent."""
        for _ in range(many):
            self.sent += 1
            self._producer.produce(numbers(self.name).name, json.dumps({"n": self.sent}), str(self.sent).encode())
        assert self._producer.flush(60) == 0
        return self.sent

    def read(self) -> None:
        """Take in what came."""
        for message in self._reader.consume(1_000, timeout=0.1):
            if message.error() is None:
                self.seen.append(json.loads(message.value() or b""))

    def heard(self, version: str) -> bool:
        """Whether a score by this version has come."""
        self.read()
        return version in versions(self)

    def scores(self, count: int = 20) -> list[dict[str, Any]]:
        """The scores of numbers that are sent now, all of them, in order."""
        first = self.send(count) - count
        found: dict[int, dict[str, Any]] = {}

        def there() -> bool:
            self.read()
            found.update({row["n"]: row for row in self.seen if row["n"] > first})
            return len(found) == count

        wait_for(there, 120)  # it may have to start, or have a backlog
        return [found[n] for n in sorted(found)]

    def models(self) -> set[str]:
        """The models by which numbers are scored now."""
        return {row["model"].partition("/")[2] for row in self.scores()}

    def close(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait(30)
        self._reader.close()


@pytest.fixture
def worker(own_redis: Settings, child_env: dict[str, str], name: str, tmp_path: Path) -> Iterator[Worker]:
    """The worker that serves the model."""
    running = Worker(own_redis, {**child_env, "SOBA_REDIS_URL": own_redis.redis_url}, name, tmp_path)
    yield running
    running.close()


def test_a_model_is_swapped_while_numbers_flow_and_nothing_is_lost_or_mixed(
    soba: Soba, worker: Worker, name: str, tmp_path: Path
) -> None:
    assert worker.models() == {"shipped"}
    pid = worker.process.pid
    for version in ("2", "3"):
        done = threading.Event()
        flow = threading.Thread(target=flowing, args=(worker, done))
        flow.start()
        try:
            code, _, err = soba("models", "release", file(tmp_path, release(version, name, weight=float(version))))
            assert code == 0, err
            wait_for(partial(worker.heard, version))
        finally:
            done.set()
            flow.join()
        rows = worker.scores()
        assert {row["model"] for row in rows} == {f"{name}/{version}"}
        assert all(row["score"] == row["n"] * float(version) for row in rows)
    assert (worker.process.poll(), worker.process.pid) == (None, pid)
    assert {row["n"] for row in worker.seen} == {*range(1, worker.sent + 1)}
    by_batch: dict[str, set[str]] = {}
    for row in worker.seen:
        by_batch.setdefault(row["batch"], set()).add(row["model"])
        weight = {"shipped": 1.0}.get(row["model"].partition("/")[2]) or float(row["model"].partition("/")[2])
        assert row["score"] == row["n"] * weight
    assert all(len(models) == 1 for models in by_batch.values())
    assert versions(worker) == {"shipped", "2", "3"}
    worker.process.terminate()
    assert worker.process.wait(60) == 0


def flowing(worker: Worker, done: threading.Event) -> None:
    """Send numbers without a pause, but never so many that a slow worker could not score them all in time."""
    while not done.wait(0 if worker.sent - len(worker.seen) < BACKLOG else 0.05):
        worker.send(50)


def versions(worker: Worker) -> set[str]:
    return {row["model"].partition("/")[2] for row in worker.seen}


def test_bad_releases_change_nothing_rollback_does_and_a_kill_forgets_neither(
    soba: Soba, sender: Producer, worker: Worker, name: str, tmp_path: Path
) -> None:
    def told() -> list[tuple[str, str | None]]:
        (row,) = rows(soba("models", "list", "--json")[1])
        return [(one["version"], one["refused"]) for one in row["workers"]]

    for version in ("2", "3"):
        assert soba("models", "release", file(tmp_path, release(version, name)))[0] == 0
    wait_for(lambda: worker.models() == {"3"})

    put(sender, name, b"nonsense")
    put(sender, name, pack(release("4", "another")))
    why = f"it is a release of another, not of {name}"
    wait_for(lambda: told() == [("3", why)])
    assert worker.models() == {"3"}
    assert f"{name}: what was released last is refused: {why}" in soba("models", "list")[1]

    # What was put past the command does not say what it replaced.
    code, _, err = soba("models", "rollback", name)
    assert (code, "name a version by --to: 3, 2, shipped (shipped)" in err) == (1, True)
    assert soba("models", "rollback", name, "--to", "3")[0] == 0
    code, out, _ = soba("models", "rollback", name, "--reason", "3 is odd")
    assert (code, out.splitlines()[0]) == (0, f"rolled back {name} from 3 to 2")
    wait_for(lambda: worker.models() == {"2"})

    worker.process.send_signal(signal.SIGKILL)
    worker.process.wait(30)
    worker.start()
    assert worker.models() == {"2"}, "not one by the shipped model, or by one that was released before"
    assert worker.process.poll() is None

    assert soba("models", "rollback", name)[1].splitlines()[0] == f"rolled back {name} from 2 to shipped"
    wait_for(lambda: worker.models() == {"shipped"})
    code, _, err = soba("models", "rollback", name)
    assert (code, "which comes with Soba, serves: there is nothing to roll back" in err) == (1, True)


def rows(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


# The store of one worker


@contextlib.contextmanager
def store(settings: Settings, one: Served, start: bool = True) -> Iterator[Releases]:
    """A worker's models, without the worker."""
    releases = Releases({one.name: one}, settings, Outlet(settings, Activity()))
    if start:
        asyncio.run(releases.on_start())
    try:
        yield releases
    finally:
        if start:
            asyncio.run(releases.on_stop())


def refused(name: str, reason: str) -> float:
    return metrics.RELEASES_REFUSED.labels(name, reason)._value.get()  # type: ignore[no-any-return]


def bad(name: str) -> dict[str, bytes]:
    """A value for each reason to refuse it."""
    good = release("9", name)
    return {
        "malformed": b'{"name": "' + name.encode() + b'"}\nx',
        "wrong_name": pack(release("9", "another")),
        "wrong_hash": pack(Release(good.manifest, good.artefact + b" ")),
        "wrong_format": pack(release("9", name, format="npz")),
        "wrong_features": pack(release("9", name, features=[Feature(name="n", version=7)])),
        "expired": pack(release("9", name, expires=CREATED + timedelta(days=1))),
        "unreadable": pack(release("9", name, artefact=npz_of([print]))),
        "load_failed": pack(release("9", name, artefact=json_of([1.0, 2.0, 3.0]))),
    }


def test_every_kind_of_bad_release_is_refused_and_told_and_the_old_one_serves(
    settings: Settings, sender: Producer, name: str, tmp_path: Path
) -> None:
    one = served(tmp_path, name)
    put(sender, name, pack(release("2", name)))
    with store(settings, one) as releases:
        for reason, value in bad(name).items():
            put(sender, name, value)
            wait_for(partial(refused, name, reason))
            assert releases.current()[name].id == f"{name}/2"
        wait_for(lambda: releases.activity.models[name].refused)
        put(sender, name, pack(release("3", name)))
        wait_for(lambda: releases.current()[name].id == f"{name}/3")
        wait_for(lambda: releases.activity.models[name].refused is None)  # it serves before it is told


def test_a_worker_that_starts_behind_bad_releases_serves_what_the_others_do(
    settings: Settings, sender: Producer, name: str, tmp_path: Path
) -> None:
    put(sender, name, pack(release("1", name)))
    put(sender, name, pack(release("2", name)))
    for value in bad(name).values():
        put(sender, name, value)
    with store(settings, served(tmp_path, name)) as releases:
        assert releases.current()[name].id == f"{name}/2"
        assert (releases.activity.models[name].refused or "").startswith("it cannot be loaded: ValueError")


def test_no_batch_is_given_models_before_all_releases_are_known(
    settings: Settings, sender: Producer, name: str, tmp_path: Path
) -> None:
    put(sender, name, pack(release("2", name)))
    with store(settings, served(tmp_path, name), start=False) as releases:
        assert releases.activity.restoring, "a worker that waits for its models is not ready"
        given: list[str] = []
        batch = threading.Thread(target=lambda: given.append(releases.current()[name].id))
        batch.start()
        batch.join(1)
        assert batch.is_alive() and not given
        asyncio.run(releases.on_start())
        batch.join(60)
        assert given == [f"{name}/2"]
        assert not releases.activity.restoring
        asyncio.run(releases.on_stop())


def test_a_stop_ends_the_wait_for_releases(settings: Settings, name: str, tmp_path: Path) -> None:
    with store(settings, served(tmp_path, name), start=False) as releases:
        releases._outlet.stopping.set()
        with pytest.raises(Stopped):
            releases.current()


def test_what_expires_goes_on_as_stale_also_after_a_start(
    settings: Settings, sender: Producer, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = [timedelta()]

    class Clock(datetime):
        """The time, and `later`."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + later[0]

    monkeypatch.setattr(agents.releases, "datetime", Clock)
    one, end = served(tmp_path, name), datetime.now(UTC) + timedelta(hours=1)
    put(sender, name, pack(release("2", name, expires=end)))
    with store(settings, one) as releases:
        first = releases.current()[name]
        assert (first.id, first.stale) == (f"{name}/2", False)
        later[0] = timedelta(hours=1)
        wait_for(lambda: releases.current()[name].stale)
        wait_for(lambda: releases.activity.models[name].stale)
        assert first.stale is False, "a batch in hand keeps what it was given"
    with store(settings, one) as releases:
        second = releases.current()[name]
        assert (second.id, second.stale) == (f"{name}/2", True)
        assert metrics.MODEL_EXPIRES.labels(name)._value.get() == pytest.approx(end.timestamp())
        put(sender, name, pack(release("3", name)))
        wait_for(lambda: releases.current()[name].id == f"{name}/3")
        assert not releases.current()[name].stale


def test_a_release_taken_back_leaves_the_shipped_one(
    settings: Settings, sender: Producer, name: str, tmp_path: Path
) -> None:
    put(sender, name, pack(release("2", name)))
    with store(settings, served(tmp_path, name)) as releases:
        assert releases.current()[name].id == f"{name}/2"
        assert label(name) == {"2"}
        put(sender, name, None)
        wait_for(lambda: releases.current()[name].id == f"{name}/shipped")
        wait_for(lambda: label(name) == {"shipped"})


def label(name: str) -> set[str]:
    """The versions of a model that the metric tells."""
    (family,) = metrics.MODEL_VERSION.collect()
    return {sample.labels["version"] for sample in family.samples if sample.labels["model"] == name}


def test_the_largest_artefact_arrives(settings: Settings, sender: Producer, name: str, tmp_path: Path) -> None:
    value = npz_of(list(range((ARTEFACT_BYTES - 1_000) // 8)))
    tiny = Served(
        name, "npz", FEATURES, lambda manifest, content: content["weights"].sum(), served(tmp_path, name, "npz").shipped
    )
    put(sender, name, pack(release("2", name, format="npz", artefact=value)))
    with store(settings, tiny) as releases:
        model = releases.current()[name]
        assert (model.id, model.loaded) == (f"{name}/2", sum(range((ARTEFACT_BYTES - 1_000) // 8)))


def test_without_the_topic_the_shipped_model_serves_until_there_is_one(
    settings: Settings, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SimpleNamespace(name=f"{name}.releases")
    monkeypatch.setattr(agents.releases, "MODEL_RELEASES", other)
    monkeypatch.setattr(agents.compacted, "AGAIN_S", 0.1)
    with store(settings, served(tmp_path, name)) as releases:
        assert releases.current()[name].id == f"{name}/shipped"
        client = AdminClient(common(settings))
        client.create_topics([NewTopic(other.name, 1, 1)])[other.name].result(30)
        sender = Producer(producer(settings))
        sender.produce(other.name, pack(release("2", name)), name.encode())
        assert sender.flush(60) == 0
        wait_for(lambda: releases.current()[name].id == f"{name}/2")


def test_rows_that_are_made_anew_are_made_by_the_released_model(
    settings: Settings, sender: Producer, name: str, tmp_path: Path
) -> None:
    one, seen = served(tmp_path, name), []
    put(sender, name, pack(release("2", name)))

    def handle(batch: Sequence[Record], rows: Rows, models: Models) -> Result:
        seen.append(models[name].id)
        return Result()

    rebuild = Rebuild(replace(scorer(one), handle=handle), settings)
    try:
        rebuild.process([Record(numbers(name).name, 0, 0, b"1", [], b'{"n": 1}', None)])
    finally:
        rebuild._runner._outlet.stopping.set()
    assert (seen, rebuild.tally.refused) == ([f"{name}/2"], 0)


# The command


def test_a_worse_model_is_not_released_unless_forced_and_the_reason_is_kept(
    soba: Soba, name: str, tmp_path: Path
) -> None:
    worse = file(tmp_path, release("2", name, auc=0.8))
    code, out, err = soba("models", "release", worse)
    assert (code, out) == (1, "")
    assert f"not released: auc 0.8 against 0.9 of {name}/shipped on the same data (higher is better)" in err
    assert soba("models", "show", name)[1].startswith(f"{name}/shipped, the one that serves")
    code, out, _ = soba("models", "release", worse, "--force", "fewer false alarms")
    assert (code, out.splitlines()[0].split(":")[0]) == (0, f"released {name}/2 in place of {name}/shipped")
    shown = soba("models", "show", name)[1]
    assert "reason      fewer false alarms" in shown
    assert "in place of shipped" in shown
    (row,) = rows(soba("models", "show", name, "--json")[1])
    assert row["released"]["reason"] == "fewer false alarms"
    assert (row["serves"], row["versions"], row["shipped"]) == (True, ["2"], "shipped")
    assert row["manifest"]["metrics"] == {"auc": 0.8}
    # It is the champion now, however it came to that: the next is measured by it.
    assert soba("models", "release", file(tmp_path, release("3", name, auc=0.85)))[0] == 0


def test_a_model_of_other_data_is_compared_by_what_it_tells_of_the_champion(
    soba: Soba, name: str, tmp_path: Path
) -> None:
    alone = release("2", name, auc=0.99, data_hash=OTHER_DATA)
    code, _, err = soba("models", "release", file(tmp_path, alone))
    assert (code, "tells no auc of shipped beside its own" in err) == (1, True)
    both = release("2", name, auc=0.7, data_hash=OTHER_DATA, beside={"shipped": {"auc": 0.6}})
    assert soba("models", "release", file(tmp_path, both))[0] == 0
    assert "beside      shipped: auc 0.6" in soba("models", "show", name)[1]


def test_what_workers_would_refuse_is_not_released(soba: Soba, name: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.release"
    for reason, value in bad(name).items():
        path.write_bytes(value)
        code, out, err = soba("models", "release", path, "--force", "no")
        assert (code, out) == (1, ""), reason
        assert "workers would refuse it" in err or "is no release" in err or "no agent serves" in err, reason
    assert (
        soba("models", "release", tmp_path / "none")[2]
        == f"soba: {tmp_path}/none cannot be read: No such file or directory\n"
    )


def test_a_version_never_changes(soba: Soba, name: str, tmp_path: Path) -> None:
    first = file(tmp_path, release("2", name))
    assert soba("models", "release", first)[0] == 0
    assert soba("models", "release", first)[1] == f"{name}/2 serves already\n"
    changed = file(tmp_path, release("2", name, weight=7.0))
    code, _, err = soba("models", "release", changed)
    assert (code, f"there is another {name}/2 already" in err) == (1, True)
    assert soba("models", "release", file(tmp_path, release("3", name)))[0] == 0
    code, _, err = soba("models", "release", changed, "--force", "please")
    assert (code, f"there is another {name}/2 already" in err) == (1, True)


def test_a_release_that_was_cut_short_is_made_again(soba: Soba, sender: Producer, name: str, tmp_path: Path) -> None:
    """The command died after it had put the version by, and before it let it serve."""
    put(sender, f"{name}@2", pack(release("2", name)))
    assert soba("models", "show", name)[1].startswith(f"{name}/shipped, the one that serves")
    assert soba("models", "release", file(tmp_path, release("2", name)))[0] == 0
    assert soba("models", "show", name)[1].startswith(f"{name}/2, the one that serves")


def test_rolling_back_goes_back_the_way_it_came(soba: Soba, name: str, tmp_path: Path) -> None:
    """Not to what was rolled back from: 1, 2, 3, back to 2, 4 on top, and back again is 2, then 1."""
    for version in ("1", "2", "3"):
        assert soba("models", "release", file(tmp_path, release(version, name)))[0] == 0
    way = []
    soba("models", "rollback", name)
    soba("models", "release", file(tmp_path, release("4", name)))
    for _ in range(3):
        way.append(soba("models", "rollback", name)[1].splitlines()[0])
    assert way == [f"rolled back {name} from {a} to {b}" for a, b in (("4", "2"), ("2", "1"), ("1", "shipped"))]
    assert soba("models", "rollback", name, "--to", "3")[0] == 1, (
        "the shipped one serves: that is a release, not a rollback"
    )
    assert soba("models", "release", tmp_path / "3.release")[0] == 0
    assert soba("models", "rollback", name, "--to", "3")[1] == f"{name}/3 serves already\n"
    code, _, err = soba("models", "rollback", name, "--to", "7")
    assert (code, f"no version '7' of {name} is kept; there are: " in err) == (1, True)


def test_an_expired_version_is_not_rolled_back_to(soba: Soba, name: str, tmp_path: Path, sender: Producer) -> None:
    old = pack(release("1", name, expires=CREATED + timedelta(days=30)))
    put(sender, f"{name}@1", old, CREATED)
    put(sender, name, old, CREATED)
    assert "EXPIRED" in soba("models", "list")[1]
    assert soba("models", "release", file(tmp_path, release("2", name)))[0] == 0
    code, _, err = soba("models", "rollback", name)
    assert (code, "workers would refuse it: it expired at 2024-07-01" in err) == (1, True)


def test_only_the_newest_versions_are_kept_and_the_one_that_was_replaced(soba: Soba, name: str, tmp_path: Path) -> None:
    many = [str(number) for number in range(1, console.KEPT + 2)]
    for version in many:
        assert soba("models", "release", file(tmp_path, release(version, name)))[0] == 0
    assert kept(soba, name) == many[:0:-1]
    assert soba("models", "rollback", name, "--to", "2")[0] == 0
    assert soba("models", "release", file(tmp_path, release("x", name)))[0] == 0
    assert kept(soba, name) == ["x", *many[:2:-1], "2"]
    assert soba("models", "rollback", name)[1].splitlines()[0] == f"rolled back {name} from x to 2"


def kept(soba: Soba, name: str) -> list[str]:
    (row,) = rows(soba("models", "show", name, "--json")[1])
    return list(row["versions"])


def test_lists_and_words(soba: Soba, name: str, monkeypatch: pytest.MonkeyPatch, sender: Producer) -> None:
    (row,) = rows(soba("models", "list", "--json")[1])
    assert (row["version"], row["from"], row["metric"], row["value"]) == ("shipped", "shipped", "auc", 0.9)
    assert row["workers"] == []
    assert "0 of 0" in soba("models", "list")[1]
    code, _, err = soba("models", "show", "nobody")
    assert (code, err) == (1, f"soba: no agent serves a model 'nobody'; there are: {name}\n")
    assert soba("models", "show", name, "--version", "shipped")[0] == 0
    put(sender, f"other-{name}", pack(release("1", f"other-{name}")))
    assert f"other-{name} was released, but no agent of this Soba serves it" in soba("models", "list")[2]
    monkeypatch.delenv("SOBA_BROKERS")
    get_settings.cache_clear()
    code, out, err = soba("models", "list")
    assert (code, "shipped" in out, "no Kafka is known" in err) == (0, True, True)


# The docs

SAID = re.compile(r"```sh\nbin/soba ([^`]+)\n```\n\n```text\n([^`]+)```")
RELEASED = re.compile(r"(released    )\S+Z")


@pytest.mark.parametrize("name", ["linear"])
def test_the_page_prints_what_its_commands_print(
    soba: Soba, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "models" / "lifecycle.md").read_text()
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n([^`]+)```", page)
    exec(compile(code, "lifecycle.md", "exec"), {})
    printed = SAID.findall(page)
    assert len(printed) == page.count("```sh") == 5
    for command, said in printed:
        code, out, _ = soba(*shlex.split(command))  # on stderr it tells of the models of other tests
        assert code == 0, command
        assert lines(out) == lines(said), command


def lines(text: str) -> list[str]:
    """What is printed, without the frame of tables and the time of the release."""
    return [line.strip() for line in RELEASED.sub(r"\1", text).splitlines() if line.strip(" ─")]


def test_the_page_names_every_reason_and_limit() -> None:
    page = (ROOT / "docs" / "models" / "lifecycle.md").read_text()
    assert re.findall(r"(?m)^\| `(\w+)` \|", page) == list(get_args(Reason))
    assert console.KEPT == 5 and "The five newest versions" in page
    assert f"at most {ARTEFACT_BYTES >> 20} MiB" in page and f"more than {UNPACKED_BYTES >> 20} MiB unpacked" in page
