"""What profiles counts of the wallets that it scores: one in 64, once a day, whatever is read again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.fraud.drift import sampled
from models.fraud.features import of_profile
from models.fraud.profile import DAY_S
from models.fraud.wallet import current
from models.releases import Models
from tables.registry import DRIFT, DRIFT_BY_MODEL, DriftRow
from tables.rows import parse
from tests import fraud
from tests.unit.test_fraud_profiles import MODELS, Runtime, activity
from tests.unit.wire import TIME
from topics.schemas.chain import WalletActivity

COUNTED, OTHER, *MORE = (
    next(key for n in range(place * 10_000, 10**9) if sampled(key := f"1:0x{n:040x}") == wanted)
    for place, wanted in enumerate((True, False, True, True))
)
DAY = (TIME + 12) // DAY_S
SCORER: Any = MODELS["fraud"].loaded


def on_day(number: int, day: int, moves: dict[str, int]) -> WalletActivity:
    """A block so many days after the first."""
    return activity(number, number, moves).model_copy(update={"timestamp": TIME + 12 * number + day * DAY_S})


def row(runtime: Runtime, day: int = 0) -> DriftRow | None:
    return parse(DriftRow, runtime.stored.get((DRIFT, f"{DAY + day}:0")))


def found(runtime: Runtime, day: int = 0) -> DriftRow:
    one = row(runtime, day)
    assert one is not None
    return one


def test_a_sampled_wallet_is_counted_as_it_is_scored() -> None:
    runtime = Runtime()
    result = runtime.run(activity(1, 5, {COUNTED: 3, OTHER: 4}))
    counted = found(runtime)
    assert (counted.day, counted.partition, counted.revision, counted.wallets) == (DAY, 0, 0, 1)
    wallet = runtime.row(COUNTED)
    assert wallet is not None and wallet.probability is not None
    profile = current(wallet)
    assert profile is not None
    vector = np.array([of_profile(profile)])[:, SCORER.columns]
    assert counted.counts == SCORER.reference.count(vector, np.array([wallet.probability])).tolist()
    (pointers,) = (one.pointers for one in result.rows if one.table is DRIFT)
    assert [(one.index, one.key, one.score) for one in pointers] == [(DRIFT_BY_MODEL, "fraud", DAY)]


def test_what_is_not_in_the_sample_writes_nothing() -> None:
    assert {one.table.name for one in Runtime().run(activity(1, 5, {OTHER: 3})).rows} == {"profiles"}


def test_it_is_counted_once_a_day_and_adds_to_what_others_were() -> None:
    runtime = Runtime()
    runtime.run(activity(1, 1, {COUNTED: 3}), activity(2, 2, {COUNTED: 1}))
    runtime.run(activity(3, 3, {COUNTED: 1, MORE[0]: 1}), activity(4, 4, {MORE[1]: 1}), first=2)
    assert (found(runtime).wallets, found(runtime).revision) == (3, 3)
    assert {sum(counts) for counts in found(runtime).counts} == {3}
    runtime.run(on_day(5, 1, {COUNTED: 1}), activity(6, 6, {COUNTED: 1}), first=4)
    assert (found(runtime, 1).wallets, found(runtime).wallets) == (1, 3)


@pytest.mark.parametrize("lost", ["wallets", "counts"])
def test_what_is_read_again_is_not_counted_again(lost: str) -> None:
    """Also where of one batch only the count was written, or only the wallets: then it is not counted at all."""
    whole, runtime = Runtime(), Runtime()
    batch = (activity(1, 1, {COUNTED: 3}), activity(2, 2, {MORE[0]: 1}))
    whole.run(*batch)
    runtime.run(*batch)
    kept = DRIFT if lost == "wallets" else None
    runtime.stored = {name: value for name, value in runtime.stored.items() if (name[0] is DRIFT) == (kept is DRIFT)}
    runtime.run(*batch)
    assert row(runtime) == (row(whole) if lost == "wallets" else None)


def test_another_model_counts_anew_and_one_without_a_reference_not_at_all() -> None:
    runtime = Runtime()
    newer: Models = {"fraud": fraud.model(fraud.release(version="2"))}
    runtime.run(activity(1, 1, {COUNTED: 3}), activity(2, 2, {MORE[0]: 1}))
    runtime.run(activity(3, 3, {MORE[1]: 1}), first=2, models=newer)
    assert (found(runtime).model, found(runtime).wallets) == ("2", 1)
    bare = fraud.model()
    object.__setattr__(bare.loaded, "reference", None)
    fresh = Runtime()
    fresh.run(activity(1, 1, {COUNTED: 3}), models={"fraud": bare})
    assert row(fresh) is None


@pytest.mark.parametrize("change", [{"timestamp": None}, {"status": "removed"}])
def test_a_block_whose_time_is_not_known_or_that_is_gone_counts_nothing(change: dict[str, Any]) -> None:
    """Of a wallet of which other blocks tell."""
    runtime = Runtime()
    runtime.run(activity(1, 1, {COUNTED: 3}))
    before = found(runtime)
    timeless = {"timestamp": None, **change}
    runtime.run(activity(2, 2, {COUNTED: 1, MORE[0]: 1}).model_copy(update=timeless), first=1)
    assert found(runtime) == before
