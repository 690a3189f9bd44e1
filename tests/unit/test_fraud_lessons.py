"""What trees learn from: how much each campaign, each kind of wallet and each look counts."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest

from models.fraud.campaigns import Label
from models.fraud.lessons import EARLY_WEIGHT, SHIFTED_WEIGHT, early, shifted, whole
from models.fraud.replay import Told, across, quarter, replay
from models.fraud.seen import Seen
from models.fraud.weights import evened, once, taught
from topics.schemas.chain import WalletMove

DAY = 86_400
BEGIN = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())
LABELS = {"0xa": Label(True, "g1"), "0xb": Label(True, "g1"), "0xc": Label(False, "0xc"), "0xd": Label(True, "g2")}


def moves(account: str, days: int) -> list[Told]:
    """One payment a day."""
    move = WalletMove(kind="transaction", direction="in", transaction_hash="0x" + "ab" * 32, value_wei="5", status=1)
    return [Told(account, BEGIN + day * DAY, move) for day in range(days)]


@pytest.fixture
def seen() -> Seen:
    told = [*moves("0xa", 5), *moves("0xb", 1), *moves("0xc", 100), *moves("0xd", 60)]
    return Seen.of(replay(told, lambda account: lambda address: 0.0, (1, 3)), LABELS)


def test_a_campaign_counts_once_and_an_ordinary_account_by_the_root_of_its_quarters(seen: Seen) -> None:
    assert [unit.account for unit in seen.units] == ["0xa", "0xb", "0xc", "0xc", "0xd"]
    assert once(seen.groups).tolist() == [0.5, 0.5, 0.5, 0.5, 1.0]
    assert taught(seen.groups, seen.fraud).tolist() == pytest.approx([0.5, 0.5, 0.5**0.5, 0.5**0.5, 1.0])


def test_frauds_share_is_one_whatever_the_number_of_transactions() -> None:
    fraud = np.array([True, False, True, False, False, True])
    many = np.array([1, 2, 40, 50, 11, 300], np.int64)
    weights = np.array([1.0, 3.0, 2.0, 1.0, 1.0, 5.0])
    found = evened(weights, fraud, many)
    share = weights[fraud].sum() / weights.sum()
    for alike in (many <= 2, (many >= 11) & (many <= 50)):
        assert found[alike].sum() == pytest.approx(weights[alike].sum())
        assert found[alike & fraud].sum() / found[alike].sum() == pytest.approx(share)
    assert found[-1] == 5.0  # nothing to even out where all are of one kind
    assert weights[0] == 1.0


def test_windows_across_quarters_tell_the_same_history_once_more(seen: Seen) -> None:
    assert quarter(BEGIN) == "2020Q1"
    assert (across(BEGIN), across(BEGIN + 45 * DAY)) == ("2019Q4", "2020Q1")
    told = moves("0xc", 100)
    between = replay(told, lambda account: lambda address: 0.0, (), window=across)
    assert Counter({unit.quarter: one.transactions for unit, one in between.items()}) == {"2019Q4": 45, "2020Q1": 55}


def test_early_and_shifted_looks_count_less(seen: Seen) -> None:
    rows = np.array([group != "g2" for group in seen.groups])
    first, third = early(seen, rows)
    weights = taught(seen.groups, seen.fraud)
    assert first.weights.tolist() == pytest.approx((EARLY_WEIGHT * weights[rows]).tolist())
    assert len(third.weights) == 3  # those with three transactions or more
    assert not np.isnan(third.vectors).all(axis=1).any()
    lesson = whole(seen, rows)
    assert shifted(seen, rows).weights.tolist() == pytest.approx((SHIFTED_WEIGHT * lesson.weights).tolist())
    assert lesson.fraud.tolist() == [True, True, False, False]
