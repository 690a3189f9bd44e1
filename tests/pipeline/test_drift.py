"""Counted wallets in a real Redis: what metrics and the command tell of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import redis

from agents import app, profiles
from agents.activity import Activity
from agents.outlet import Outlet
from agents.watch import Watch, watching
from base import metrics
from base.settings import Settings, get_settings
from models.fraud.drift import BINS, ENOUGH, MUCH, SCORE, Reference
from models.releases import Models
from tables.registry import DRIFT, DRIFT_BY_MODEL, DriftRow
from tables.rows import Pointer, Row
from tests import fraud
from tests.contract.facade import write
from tests.pipeline.conftest import Soba
from topics.admin import create

pytestmark = pytest.mark.pipeline
MODEL = fraud.model()
REFERENCE: Reference = MODEL.loaded.reference
MOVED = "in_moves"


@pytest.fixture
def own(settings: Settings) -> Iterator[Settings]:
    """A Redis in which nobody else counts."""
    create(settings)
    found = settings.model_copy(update={"redis_url": f"{settings.redis_url.rpartition('/')[0]}/12"})
    with redis.Redis.from_url(found.redis_url) as client:
        client.flushdb()
    yield found


def count(settings: Settings, day: int, partition: int, wallets: int, moved: bool, model: str = "tiny") -> None:
    """Wallets as those of training; `moved`: in one feature all are in its last bin."""
    shares = REFERENCE.counts / REFERENCE.counts.sum(axis=1, keepdims=True)
    counts = np.round(shares * wallets).astype(int)
    if moved:
        counts[REFERENCE.names.index(MOVED)] = [0] * (BINS - 1) + [wallets, 0]
    value = DriftRow(
        day=day, partition=partition, revision=1, model=model, wallets=wallets, counts=counts.tolist()
    )  # fmt: skip
    with redis.Redis.from_url(settings.redis_url) as client:
        write(client, Row(DRIFT, f"{day}:{partition}", 1, value, (Pointer(DRIFT_BY_MODEL, "fraud", day),)))


def told() -> dict[str, float]:
    """What the metric says."""
    (family,) = metrics.MODEL_PSI.collect()
    return {sample.labels["feature"]: sample.value for sample in family.samples}


def look(settings: Settings) -> float:
    """Look once, as the worker does; how many wallets the metric tells."""
    outlet = Outlet(settings, Activity())
    models: Models = {"fraud": MODEL}
    outlet.models = lambda: models

    async def once() -> None:
        watch = Watch(settings, outlet)
        await watch.look()
        await watch.on_stop()

    asyncio.run(once())
    return float(metrics.MODEL_PSI_WALLETS.labels("fraud")._value.get())


def test_metrics_tell_the_shift_of_the_last_days_once_there_are_enough_wallets(own: Settings) -> None:
    assert (look(own), told()) == (0, {})
    count(own, 100, 0, ENOUGH - 1, moved=True)
    assert (look(own), told()) == (ENOUGH - 1, {})
    count(own, 101, 0, 4_000, moved=True)
    count(own, 101, 1, 4_000, moved=False)
    count(own, 102, 0, 9_000, moved=True, model="another")
    assert look(own) == ENOUGH - 1 + 8_000
    shifts = told()
    assert shifts.keys() == {*REFERENCE.names} and shifts.pop(MOVED) > MUCH and max(shifts.values()) < 0.01
    count(own, 120, 0, ENOUGH, moved=False)
    assert look(own) == ENOUGH and max(told().values()) < 0.05, "a week later only what is counted then is told"


def test_the_worker_that_counts_is_the_one_that_watches(own: Settings) -> None:
    outlet = Outlet(own, Activity())
    assert watching([profiles.AGENT], own, outlet) is not None
    assert watching([replace(profiles.AGENT, own=())], own, outlet) is None


def test_the_command_marks_what_has_moved_and_says_when_there_is_too_little(
    own: Settings, soba: Soba, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = replace(profiles.AGENT, models=(fraud.served(tmp_path),))
    worker: Any = SimpleNamespace(agents=lambda: [agent])
    monkeypatch.setitem(app.WORKERS, "fraud", worker)
    monkeypatch.setenv("REDIS_URL", own.redis_url)
    get_settings.cache_clear()
    code, out, _ = soba("models", "drift")
    assert (code, "0 wallets counted" in out, "too few to tell anything: 500 are needed" in out) == (0, True, True)
    count(own, 100, 0, 4_000, moved=True)
    code, out, _ = soba("models", "drift")
    lines = [line.split() for line in out.splitlines()]
    assert code == 1 and "4,000 wallets counted, 1970-04-11 to 1970-04-11" in out
    marks = {line[0]: line[2] for line in lines if len(line) > 2 and line[0] in REFERENCE.names}
    assert marks[MOVED] == "much" and [name for name, mark in marks.items() if mark == "much"] == [MOVED]
    assert SCORE in marks
    code, out, _ = soba("models", "drift", "--json")
    row = json.loads(out)
    assert (code, row["wallets"], row["days"], next(iter(row["psi"]))) == (1, 4_000, ["1970-04-11"], MOVED)
    assert {*row["psi"]} == {*REFERENCE.names}


def test_a_model_that_tells_nothing_of_its_training_is_named(
    own: Settings, soba: Soba, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = fraud.served(tmp_path)

    def load(manifest: Any, content: Any) -> Any:
        return one.load(manifest, {name: array for name, array in content.items() if "reference" not in name})

    worker: Any = SimpleNamespace(agents=lambda: [replace(profiles.AGENT, models=(replace(one, load=load),))])
    monkeypatch.setitem(app.WORKERS, "fraud", worker)
    code, _, err = soba("models", "drift")
    assert (code, "fraud/tiny does not tell what it was trained on" in err) == (1, True)
