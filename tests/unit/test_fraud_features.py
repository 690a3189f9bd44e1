"""What a model sees of profiles: by hand for some, and of each the same alone and among others."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from models.fraud.bitmaps import slot
from models.fraud.features import FEATURES, features, numbers, of_all, of_profile
from models.fraud.profile import IN, OUT, Move, Profile, TokenMove
from tests.unit.test_fraud_packed import MOVES, TOKEN_MOVES, profile_of

DAY = 1_600_041_600
"""Midnight."""


def seen(profile: Profile) -> dict[str, float]:
    return dict(zip(FEATURES, of_profile(profile), strict=True))


def test_a_wallet_that_is_paid_twice_and_passes_half_on() -> None:
    profile = Profile()
    profile.move(Move(DAY, IN, slot("0xa"), 10**18, 21_000, 21_000, 2.0, 3, "0x", False, 99.0))
    profile.move(Move(DAY + 99, IN, slot("0xb"), 10**16, 40_000, 20_000, 0.5, 5, "0x12345678", False, 0.0))
    profile.move(Move(DAY + 199, OUT, slot("0xa"), 5 * 10**17, None, None, None, 0, "0x", True, 9.0))
    found = seen(profile)
    expected = {
        "in_moves": math.log10(3), "in_failed": 0.0, "in_calls": 0.5, "in_plain": 0.5, "in_round_limit": 0.5, "in_known": 0.5,
        "in_famous": 0.5, "in_tenths": 0.5, "in_hundredths": 1.0, "in_fresh": 1.0, "in_total": math.log10(1.01 + 1e-6),
        "in_largest": 1 / 1.01, "in_value_mean": -1.0, "in_value_spread": 1.0, "in_value_low": -2.0, "in_value_high": 0.0,
        "in_digits_mean": 1.0, "in_gap_mean": 2.0, "in_gas_share_mean": 0.75, "in_gas_price_mean": 0.0, "in_gas_price_spread": 1.0,
        "in_price_digits_mean": 4.0, "in_fame_high": 2.0, "in_selectors": 1024 * math.log(1024 / 1023), "out_failed": 1.0,
        "out_gap_mean": math.nan, "out_gas_limit_mean": math.nan, "moves": math.log10(4), "in_share": 2 / 3, "quick": 1.0,
        "drains": 0.0, "left": 0.51 / 1.01, "turnover": 0.5 / 1.01, "delay_mean": math.log10(101), "gap_high": math.log10(101),
        "span": math.log10(200), "hours": 1024 * math.log(1024 / 1023), "both_ways": 0.5, "bursts": 2 / 3, "tokens": 0.0,
    }  # fmt: skip
    for name, value in expected.items():
        assert found[name] == value or (
            math.isnan(value) == math.isnan(found[name])
            and (math.isnan(value) or math.isclose(found[name], value, abs_tol=1e-12))
        ), (name, found[name], value)
    assert 0.999 < found["hour_focus"] <= 1.0


def test_a_side_without_a_move_is_not_known() -> None:
    profile = Profile()
    profile.token_move(TokenMove(DAY, OUT, slot("0xa"), slot("0xc"), True, 9.0, 99.0))
    found = seen(profile)
    assert found["in_moves"] == found["in_tokens"] == 0.0 and math.isnan(found["in_failed"])
    assert (found["out_tokens"], found["out_empty_tokens"], found["out_coin_fame_mean"]) == (math.log10(2), 1.0, 2.0)
    assert math.isnan(found["out_failed"]) and math.isnan(found["both_ways"]) and math.isnan(found["turnover"])


@given(st.lists(st.lists(MOVES | TOKEN_MOVES, max_size=12), max_size=9))
@settings(max_examples=40, deadline=None)
def test_a_profile_looks_the_same_alone_and_among_others_to_the_last_bit(wallets: list[list[Move | TokenMove]]) -> None:
    told = [numbers(profile_of(moves)) for moves in wallets]
    together = of_all(told)
    assert together.shape == (len(told), len(FEATURES))
    assert [repr(row) for row in together.tolist()] == [repr(features([one])[0].tolist()) for one in told]
