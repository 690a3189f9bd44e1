"""Named rules about wallets: what each needs to speak, and that it says so with its number."""

from __future__ import annotations

from typing import Any

import pytest

from models.fraud.bitmaps import slot
from models.fraud.lists import Hit
from models.fraud.packed import pack, unpack
from models.fraud.profile import IN, OUT, Profile, TokenMove
from models.fraud.wallet_rules import exposure, of_lists, of_wallet
from tests.fraud import move, wallet
from tests.unit.test_fraud_assess import SANCTIONED
from tests.unit.test_fraud_requests import BOB
from topics.schemas.wallet import Warned

START = 1_700_000_000
DAY = 86_400


def codes(profile: Profile, chain_id: int = 1) -> dict[str, str]:
    return {alert.code: alert.severity for alert in of_wallet(profile, chain_id)}


def paid(many: int, wei: int = 10**15, out: int = 0) -> Profile:
    """A wallet that was paid by so many, an odd amount each, and paid one other."""
    profile = Profile()
    for number in range(many):
        profile.move(move(IN, f"0x{number:040x}", START + number * DAY, wei + number))
    for number in range(out):
        profile.move(move(OUT, BOB, START + (many + number) * DAY, wei // 7))
    return profile


def test_an_ordinary_wallet_raises_nothing() -> None:
    assert codes(Profile()) == codes(paid(3)) == codes(paid(15, out=15)) == {}


def test_a_wallet_that_empties_itself_at_once() -> None:
    profile = Profile()
    for number in range(20):
        profile.move(move(IN, BOB, START + number * DAY, 10**17 + number))
        profile.move(move(OUT, f"0x{number:040x}", START + number * DAY + 60, 10**17 + number))
        assert codes(profile) == ({"fast_drain": "low"} if number == 19 else {})
    (alert,) = of_wallet(profile, 1)
    assert (alert.value, alert.message[:30]) == (20.0, "it emptied itself 20 times, 20")


def test_many_that_pay_one() -> None:
    assert codes(paid(25, out=1)) == {"many_to_one": "medium"}
    assert codes(paid(25)) == {}, "it keeps what it gets"
    busy = paid(25, out=1)
    for number in range(5):
        busy.move(move(OUT, f"0x{number + 99:040x}", START + 90 * DAY, 10**13))
    assert codes(busy) == {}


def test_round_amounts() -> None:
    assert codes(wallet(10, value=2 * 10**17)) == {"round_values": "medium"}
    assert codes(wallet(9, value=2 * 10**17)) == codes(wallet(10, value=2 * 10**17 + 1)) == {}


def test_two_that_pay_each_other() -> None:
    profile = Profile()
    for number in range(10):
        profile.move(move((IN, OUT)[number % 2], BOB, START + number * DAY, 10**17 + 7 * number))
    assert codes(profile) == {"wash": "medium"}
    profile.move(move(OUT, SANCTIONED, START + 11 * DAY, 10**15))
    assert codes(profile) == {}


@pytest.mark.parametrize(("chain", "said"), [(1, {"new_wallet_large_amount": "medium"}), (137, {})])
def test_much_in_a_young_wallet_where_coins_are_ether(chain: int, said: dict[str, str]) -> None:
    profile = Profile()
    profile.move(move(IN, BOB, START, 10**18))
    profile.move(move(IN, BOB, START + 7_200, 120 * 10**18))
    assert codes(profile, chain) == said
    profile.move(move(OUT, BOB, START + 4 * DAY, 10**18))
    assert codes(profile, chain) == {}, "not young any more"


def listed(profile: Profile, side: Any, wei: int, **more: Any) -> Profile:
    one = move(side, SANCTIONED, START + 30 * DAY, wei)
    profile.move(one._replace(listed=f"ofac,forta_malicious {SANCTIONED}", **more))
    return profile


@pytest.mark.parametrize(
    ("wei", "level"),
    [(10**17 - 1, "low"), (10**17, "low"), (2 * 10**17, "medium"), (10**18, "high")],
)
def test_money_from_a_listed_address_by_its_share(wei: int, level: str) -> None:
    (alert,) = of_wallet(listed(paid(2, 5 * 10**17), IN, wei), 1)
    assert (alert.code, alert.severity, alert.value) == ("exposed_to_listed", level, SANCTIONED)
    assert "(ofac, forta_malicious), on 2023-12-14" in alert.message


def test_dust_from_a_listed_address_harms_nobody() -> None:
    profile = listed(Profile(), IN, 10**15)
    assert codes(profile) == {"exposed_to_listed": "low"}


def test_who_pays_a_listed_address_is_its_victim() -> None:
    assert codes(listed(paid(2), OUT, 10**20)) == {"paid_listed": "low"}


def test_what_failed_or_moved_nothing_is_no_dealing() -> None:
    assert exposure(listed(paid(2), OUT, 0, failed=True)) is None
    bait = TokenMove(START, IN, slot(SANCTIONED), slot("0xcoin"), True, 0.0, 0.0, f"ofac {SANCTIONED}")
    profile = paid(2)
    profile.token_move(bait)
    assert exposure(profile) is None
    profile.token_move(bait._replace(nothing=False))
    found = exposure(profile)
    assert found is not None and found.received is not None
    assert (found.received.tokens, found.received.moves, found.received.value_wei) == (1, 0, "0")
    assert codes(profile) == {"exposed_to_listed": "low"}


def test_dealings_are_kept_exactly() -> None:
    profile = listed(listed(paid(2), IN, 10**20 + 1), OUT, 3)
    again = unpack(pack(profile))
    assert again == profile and exposure(again) == exposure(profile)
    assert unpack(pack(paid(2))).came.listed is None


def test_who_is_listed_is_told_by_the_worst_of_its_lists() -> None:
    assert of_lists((), BOB) == []
    hits = (Hit("mine", "medium"), Hit("ofac", "critical"))
    told = Warned(code="listed", severity="critical", message="it is on lists: mine, ofac", value=BOB)
    assert of_lists(hits, BOB) == [told]


def test_tokens_sent_to_and_fro_with_one_address() -> None:
    profile = Profile()
    for number in range(10):
        profile.token_move(
            TokenMove(START + number * DAY, (IN, OUT)[number % 2], slot(BOB), slot("0xcoin"), False, 0.0, 0.0)
        )
        assert codes(profile) == ({"token_wash": "medium"} if number == 9 else {})
    profile.token_move(TokenMove(START + 11 * DAY, OUT, slot(SANCTIONED), slot("0xcoin"), False, 0.0, 0.0))
    assert codes(profile) == {}
