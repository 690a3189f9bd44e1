"""First contact: cuts of its own, and its risk on the scale of wallets that are known."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.fraud.assess import Case, assess
from models.fraud.features import FEATURES, numbers, of_profile
from models.fraud.first_contact import BUDGETS, as_requested, cuts, fit, only_side, profile, requested, risk, vectors
from models.fraud.judging import Known
from models.fraud.profile import CALLED, IN, OUT, Profile, Side
from models.fraud.replay import Replayed, Told, replay
from models.fraud.scorer import Scorer
from models.fraud.wallet import evidence
from models.releases import amended
from tests.fraud import CUTS, by_moves, model, move, release
from tests.unit.test_fraud_requests import ALICE, BOB, NOW, request
from topics.schemas.chain import WalletMove

SCORER: Scorer = model(release([by_moves((0, -4.0), last=0.0)])).loaded
"""Whoever has moved at all has a probability of one half."""


@given(st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.51, 0.9, 1.0]), min_size=1, max_size=300))
def test_no_cut_lets_more_of_the_ordinary_through_than_its_budget(told: list[float]) -> None:
    found = cuts(np.array(told))
    assert np.all(np.diff(found) >= 0)
    for cut, budget in zip(found, BUDGETS, strict=True):
        assert np.mean(np.array(told) >= cut) <= budget


def test_cuts_let_as_many_through_as_they_may() -> None:
    told = np.arange(10_000) / 10_000
    assert cuts(told).tolist() == pytest.approx([0.95, 0.99, 0.999])
    assert cuts(np.array([0.4] * 100 + [0.8])).tolist() == pytest.approx([0.8, 0.8, 0.8], abs=1e-9)


def test_each_side_has_its_own() -> None:
    told = {IN: np.array([0.1] * 999 + [np.nan]), OUT: np.linspace(0, 1, 1_001)}
    assert fit(told, told)["single_cuts"].shape == (2, 3)
    found = fit(told, told)["first_cuts"]
    assert (
        found.shape == (2, 3)
        and found[0].max() < 0.11
        and found[1].tolist() == pytest.approx([0.95, 0.99, 0.999], abs=0.002)
    )


@pytest.mark.parametrize(
    ("first", "alone", "asked"),
    [
        (("in", "0x"), IN, {IN: "0x"}),
        (("in", CALLED), None, {}),  # a contract, of which behaviour tells nothing
        (("out", CALLED), OUT, {OUT: CALLED}),  # who calls is a wallet
    ],
)
def test_cuts_come_of_those_alone_that_are_judged_by_them(
    first: tuple[Any, str], alone: Side | None, asked: dict[Side, str]
) -> None:
    def told(direction: Any, selector: str) -> Told:
        transaction = "0x" + "1" * 64
        return Told(ALICE, int(NOW), WalletMove(
            kind="transaction", direction=direction, transaction_hash=transaction, peer=BOB, selector=selector, value_wei="5"
        ))  # fmt: skip

    def replayed(*moves: tuple[Any, str]) -> Replayed:
        (found,) = replay([told(*one) for one in moves], lambda account: lambda address: 0.0).values()
        return found

    once = replayed(first)
    assert once.alone == alone and {side: one.selector for side, one in once.first.items()} == asked
    assert list(once.early) == [1], "what it scores after one transaction is measured of everybody"
    more = replayed(first, ("in", "0x"))
    assert more.alone == alone and (IN in more.first) is (first != ("in", CALLED))


RISING = st.lists(st.floats(0.001, 0.999), min_size=3, max_size=3).map(sorted)


@given(RISING, RISING, st.floats(0, 1), st.floats(0, 1))
def test_a_risk_keeps_its_order_and_its_level(first: list[float], known: list[float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= risk(low, first, known) <= risk(high, first, known) <= 1
    for at, to in zip(first, known, strict=True):
        assert (risk(one, first, known) >= to) >= (one >= at)


def test_what_a_request_tells_is_what_training_takes_for_it() -> None:
    paid = move(OUT, BOB, int(NOW), 10**18)
    told = profile(OUT, False, 10**18, int(NOW), False, 0.0)
    assert as_requested(paid) == told
    both = vectors([paid, None])
    assert both.shape == (2, len(FEATURES)) and np.isnan(both[1]).all()
    np.testing.assert_array_equal(both[0], np.array(of_profile(told)))
    called = of_profile(as_requested(paid._replace(selector="0xa9059cbb")))
    assert called == pytest.approx(of_profile(profile(OUT, False, 10**18, int(NOW), True, 0.0)), nan_ok=True)


@pytest.mark.parametrize(
    ("sender", "receiver", "level"),
    [(0.6, 0.6, "low"), (0.45, 0.6, "medium"), (0.6, 0.45, "medium"), (0.6, 0.1, "critical")],
)
def test_levels_of_first_contact_begin_at_the_cuts_of_its_side(sender: float, receiver: float, level: str) -> None:
    def three(first: float) -> list[float]:
        return [first, first + 0.1, first + 0.2]

    scorer = replace(SCORER, first_cuts=np.array([three(receiver), three(sender)]))
    (one,) = assess([Case("1", 1, request(toAddress=BOB), None, None)], scorer, "fraud/tiny", False, NOW)
    assert one.receiver is not None
    assert one.risk_level == level and one.probability == pytest.approx(0.5)
    assert one.is_suspicious is (level == "critical")
    worst = one.sender if sender < receiver else one.receiver
    assert worst.level == level and bool(worst.reasons) == bool(worst.behaviour) == (level != "low")
    codes: dict[str, Any] = {alert.code: alert.severity for alert in one.alerts}
    side = "sender" if worst is one.sender else "receiver"
    assert codes == ({} if level == "low" else {f"{side}_behaviour": level})


@pytest.mark.parametrize(("side", "level"), [(IN, "high"), (OUT, "low")])
def test_a_wallet_of_one_move_is_judged_by_the_cuts_of_its_side(side: Side, level: str) -> None:
    scorer = replace(SCORER, single_cuts=np.array([[0.1, 0.2, 0.6], [0.6, 0.7, 0.8]]))
    alone, two = Profile(), Profile()
    for one in (alone, two, two):
        one.move(move(side, ALICE, int(NOW) - 86_400, 10**18))
    assert (only_side(alone), only_side(two), only_side(Profile())) == (side, None, None)
    for moved, expected in ((alone, level), (two, "high")):
        for told in ({}, {"model": "fraud/tiny", "probability": 0.5}):
            known = Known(evidence(moved), partial(copy, moved), **told)  # type: ignore[arg-type]
            (found,) = assess([Case("1", 1, request(toAddress=BOB), None, known)], scorer, "fraud/tiny", False, NOW)
            assert found.receiver is not None and found.receiver.level == expected
            assert found.receiver.probability == pytest.approx(0.5)


def test_a_release_without_such_cuts_judges_first_contact_by_the_others() -> None:
    assert SCORER.first_cuts.tolist() == SCORER.single_cuts.tolist() == [list(CUTS)] * 2
    (one,) = assess([Case("1", 1, request(toAddress=BOB), None, None)], SCORER, "fraud/tiny", False, NOW)
    assert one.risk_level == "high" and one.risk_score == pytest.approx(0.5)
    with pytest.raises(ValueError, match="first_cuts: three rising cuts"):
        model(amended(release(), "wrong", {"first_cuts": np.array([[0.3, 0.2, 0.1]] * 2)}))
    with pytest.raises(ValueError, match="single_cuts: three rising cuts"):
        model(amended(release(), "wrong", {"single_cuts": np.array([[0.3, 0.2, 0.1]] * 2)}))
    assert risk(0.3, CUTS, CUTS) == pytest.approx(0.3)


@given(
    st.sampled_from([IN, OUT]),
    st.booleans(),
    st.one_of(st.just(0), st.integers(1, 10**27), st.integers(1, 10**6).map(lambda many: many * 10**16)),
    st.integers(0, 2**33),
    st.booleans(),
    st.sampled_from([0.0, 1.0, 29.0, 30.0, 4000.0]),
)
def test_the_fast_way_makes_the_same_numbers(
    side: Side, created: bool, value: int, time: int, call: bool, fame: float
) -> None:
    asked = side, created, value, time, call, fame
    assert np.array_equal(requested(*asked), numbers(profile(*asked)), equal_nan=True)
