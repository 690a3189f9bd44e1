"""What is said of a swap request: each party by its own moves, lists apart, and how little is known on first contact."""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pytest

from models.fraud import lists, requests
from models.fraud.assess import RULES, Case, assess
from models.fraud.behaviour import Behaviours, in_words
from models.fraud.features import FEATURES
from models.fraud.judging import CUTS as RULE_CUTS
from models.fraud.judging import LISTED, Known
from models.fraud.layout import FIRST, LATEST
from models.fraud.profile import DAY_S, IN, OUT, Profile
from models.fraud.scorer import Scorer
from models.fraud.wallet import evidence
from models.fraud.wallet_rules import exposure, of_wallet
from models.mev.routers import ROUTERS
from tests.fraud import CUTS, PAID_BY_MANY, behaviours, model, move, release, wallet
from tests.unit.test_fraud_requests import ALICE, BOB, EXAMPLE, NOW, request
from topics.schemas.lists import Listed
from topics.schemas.risk import Assessment
from topics.schemas.wallet import Warned

SCORER: Scorer = model(release([PAID_BY_MANY])).loaded
SANCTIONED = "0x01e2919679362dfbc9ee1644ba9c6da6d6245bb1"
AT = datetime(2024, 6, 1, tzinfo=UTC)
ROUTER = min(ROUTERS - {"0x" + "0" * 40})


def assessed(
    sender: Profile | None = None,
    receiver: Profile | None = None,
    by: Any = SCORER,
    named: lists.Lists = lists.SHIPPED,
    day_wei: float | None = None,
    **more: Any,
) -> Assessment:
    one = request(**{"toAddress": BOB, **more})
    assert requests.errors(one, NOW) == []
    case = Case("1", 7, one, known(sender), known(receiver), day_wei)
    (found,) = assess([case], by, "fraud/tiny", False, NOW, named)
    checked = Assessment.model_validate_json(found.model_dump_json(exclude_none=True))
    assert found == checked and repr(found) == repr(checked), "what is not checked is as if it were"
    return checked


def known(profile: Profile | None, **more: Any) -> Known | None:
    """What a row of `profiles` says of a wallet."""
    if profile is None:
        return None
    told: dict[str, Any] = {"alerts": of_wallet(profile, 1), "exposure": exposure(profile), **more}
    return Known(evidence(profile), partial(copy, profile), **told)


def about(value: float) -> Any:
    """Equal but for rounding."""
    return pytest.approx(value)


def codes(one: Assessment) -> dict[str, str]:
    return {alert.code: alert.severity for alert in one.alerts}


@pytest.mark.parametrize("model", [SCORER, None])
def test_the_documented_example_is_low_and_says_how_little_is_known(model: Any) -> None:
    one = assessed(by=model, **EXAMPLE)
    assert (one.risk_level, one.alerts, one.is_suspicious, one.evidence) == ("low", [], False, 0)
    assert one.unknown.keys() == {"fromAddress", "toAddress"}
    assert one.sender.known == "not_an_address" and one.probability is None and one.model == RULES


def test_both_ends_of_the_example_may_be_the_same_abbreviation() -> None:
    one = assessed(**{**EXAMPLE, "toAddress": EXAMPLE["fromAddress"]})
    assert (one.risk_level, one.alerts) == ("low", [])


def test_first_contact_is_judged_by_the_request_alone_and_says_so() -> None:
    one = assessed()
    assert (one.sender.known, one.sender.evidence, one.evidence) == ("first_contact", 1, 1)
    assert one.sender.probability == one.probability == about(0.0)
    assert "first" not in codes(one) and one.unknown["fromAddress"].startswith("no move of this wallet is known")
    assert (one.model, one.risk_level, one.sender.reasons) == ("fraud/tiny", "low", [])


def test_who_is_paid_by_many_is_the_counterpartys_risk_and_not_the_senders() -> None:
    one = assessed(receiver=wallet(20))
    assert one.receiver is not None
    assert (one.risk_level, one.is_suspicious, one.risk_score) == ("high", True, about(0.75))
    assert (one.sender.level, one.receiver.level) == ("low", "high"), "a victim is not a fraudster"
    assert (one.risk_to_sender, one.risk_to_receiver) == (about(0.75), about(0.0))
    assert (one.evidence, one.receiver.known) == (20, "profile")
    (reason,) = one.receiver.reasons
    assert reason.feature == "in_peers" and reason.adds == about(3.0)
    assert one.receiver.behaviour and one.sender.behaviour is None
    assert "by 20 moves; what speaks most for it: peers (incoming) 1.3" in next(alert.message for alert in one.alerts)
    assert codes(one) == {"receiver_behaviour": "high", "receiver_round_values": "medium"}


def test_a_kind_of_wallet_is_told_in_words() -> None:
    kinds = Behaviours.of(behaviours(3))
    columns = np.array([FEATURES.index(name) for name in ("out_calls", "in_gap_mean", "days")])
    said = "more than usual: contract calls (outgoing), active days; less than usual: time between moves (incoming, average)"
    assert kinds.describe(0, columns) == said
    assert kinds.describe(-1, columns) == "like no known kind of wallet"
    assert all(in_words(feature).isprintable() and "_" not in in_words(feature) for feature in FEATURES)


def test_the_senders_past_is_the_receivers_risk() -> None:
    one = assessed(sender=wallet(20))
    assert (one.risk_to_receiver, one.risk_to_sender) == (about(0.75), about(0.0))
    assert "sender_behaviour" in codes(one)


@pytest.mark.parametrize("model", [SCORER, None])
@pytest.mark.parametrize("side", ["sender", "receiver"])
def test_a_listed_address_is_critical_and_its_behaviour_stays_apart(side: str, model: Any) -> None:
    more: dict[str, Any] = {"fromAddress": SANCTIONED} if side == "sender" else {"toAddress": SANCTIONED}
    one = assessed(by=model, **more)
    party = one.sender if side == "sender" else one.receiver
    assert party is not None
    assert (one.risk_level, one.is_suspicious, codes(one)) == ("critical", True, {f"{side}_listed": "critical"})
    assert one.risk_score >= LISTED and (party.lists, party.level) == (["ofac"], "critical")
    assert party.probability == (None if model is None else about(0.0))


def test_the_lists_are_sorted_and_whole() -> None:
    raw = lists.FILE.read_bytes()
    found = [raw[at : at + 20] for at in range(0, len(raw), 21)]
    assert len(raw) % 21 == 0 and found == sorted(set(found)) and len(found) > 6_000
    assert all(0 < raw[at] < 1 << len(lists.NAMES) for at in range(20, len(raw), 21))
    assert lists.SHIPPED.hits(1, ALICE) == ()


def test_a_wallet_that_the_model_has_judged_is_not_read_again() -> None:
    def never() -> Profile:
        raise AssertionError

    low, other = Known(20, never, "fraud/tiny", 0.04), Known(20, partial(wallet, 20), "fraud/before", 0.04)
    one, two = assess(
        [Case(name, 1, request(toAddress=BOB), None, known) for name, known in (("1", low), ("2", other))],
        SCORER, "fraud/tiny", False, NOW,
    )  # fmt: skip
    assert one.receiver is not None and two.receiver is not None
    assert (one.receiver.probability, one.receiver.evidence, one.receiver.known) == (0.04, 20, "profile")
    assert two.receiver.probability == about(0.75), "by another model: judged anew"
    high = Known(20, partial(wallet, 20), "fraud/tiny", 0.7, 0.25)
    (one,) = assess([Case("1", 1, request(toAddress=BOB), None, high)], SCORER, "fraud/tiny", False, NOW)
    assert one.receiver is not None and one.receiver.reasons and one.receiver.anomaly == 0.25
    assert codes(one).keys() == {"receiver_behaviour"}, "what rules say stands in the row"


def test_without_a_model_the_rules_answer() -> None:
    one = assessed(wallet(20), None, None, slippage=0.6)
    assert (one.model, one.probability, one.risk_level) == (RULES, None, "high")
    assert codes(one)["slippage"] == "high"


@pytest.mark.parametrize(
    ("more", "code", "level"),
    [
        ({"slippage": 0.06}, "slippage", "low"),
        ({"slippage": 0.2}, "slippage", "medium"),
        ({"slippage": 0.9}, "slippage", "high"),
        ({"routeLength": 5}, "long_route", "low"),
        ({"routeLength": 9}, "long_route", "medium"),
        ({"gasPrice": 5000}, "gas_price", "medium"),
        ({"toAddress": ALICE}, "self_trade", "medium"),
    ],
)
def test_what_the_request_says_of_itself(more: dict[str, Any], code: str, level: str) -> None:
    one = assessed(**more)
    assert (codes(one), one.risk_level) == ({code: level}, level)
    floor = 0.0 if level == "low" else CUTS[("medium", "high").index(level)]
    assert one.risk_score == about(floor)


def test_a_large_amount_of_a_wallet_known_to_be_young() -> None:
    young = wallet(2, first=int(NOW) - 7_200)
    more: dict[str, Any] = {"amount": 150, "tokenPair": "ETH/USDC"}
    assert codes(assessed(young, **more)) == {"new_wallet_large_amount": "medium"}
    assert codes(assessed(young, amount=5)) == {}
    assert codes(assessed(wallet(2, first=int(NOW) - 10**6), **more)) == {}
    assert codes(assessed(**more)) == {}, "a wallet that is not known is not known to be young"


@pytest.mark.parametrize(("days", "young"), [(2, True), (60, False)])
def test_a_request_of_long_ago_makes_no_wallet_young(days: int, young: bool) -> None:
    known_for = wallet(2, first=int(NOW) - 90 * DAY_S)
    known_for.own[LATEST] = known_for.own[FIRST] + days * DAY_S
    one = assessed(known_for, amount=150, tokenPair="ETH/USDC", timestamp=int(NOW) - 1_000 * DAY_S)
    assert codes(one) == ({"new_wallet_large_amount": "medium"} if young else {})


def test_what_is_a_large_amount_of_a_coin_is_known_of_ether_alone() -> None:
    young = wallet(2, first=int(NOW) - 7_200)
    for chain, named in ((1, True), (137, False)):
        one = assessed(young, amount=150, chainId=chain)
        assert ("new_wallet_large_amount" in codes(one)) is named
    assert requests.errors(request(chainId=137, amount=500_000_000), NOW) == [], "there are more coins of others"
    assert requests.wei(request(chainId=137, amount=2)) == 2 * 10**18, "it is a chain's own coin all the same"


@pytest.mark.parametrize("by", [SCORER, None])
@pytest.mark.parametrize("severity", ["low", "medium", "high"])
def test_what_rules_say_of_a_wallet_raises_its_risk_alone(by: Any, severity: Any) -> None:
    alert = Warned(code="wash", severity=severity, message="it trades to and fro", value=12.0)
    one = request(toAddress=BOB)
    (found,) = assess([Case("1", 7, one, None, known(wallet(3), alerts=[alert]))], by, "fraud/tiny", False, NOW)
    assert found.receiver is not None
    assert (found.risk_level, found.receiver.level, found.sender.level) == (severity, severity, "low")
    floor = dict(zip(("low", "medium", "high"), (0.0, *(CUTS if by else RULE_CUTS)), strict=False))
    judged = by is not None or severity != "low"
    assert found.risk_to_sender == (about(floor[severity]) if judged else None), (
        "nothing judges it, so nothing calls it safe"
    )
    assert found.risk_to_receiver == (about(0.0) if by else None)
    assert found.receiver.probability == (about(0.0) if by else None), "that of behaviour"
    (told,) = found.alerts
    assert (told.code, told.message) == ("receiver_wash", "the receiver: it trades to and fro")


def test_who_got_money_from_a_listed_address_is_exposed_and_who_paid_one_is_a_victim() -> None:
    def dealing(side: Any) -> Profile:
        profile = wallet(3)
        profile.move(move(side, SANCTIONED, 1_700_100_000, 2 * 10**17)._replace(listed=f"ofac {SANCTIONED}"))
        return profile

    exposed = assessed(receiver=dealing(IN))
    assert exposed.receiver is not None and exposed.receiver.exposure is not None
    assert codes(exposed) == {"receiver_exposed_to_listed": "medium"} and exposed.alerts[0].value == SANCTIONED
    assert (exposed.risk_level, exposed.receiver.lists, exposed.risk_to_sender) == ("medium", [], about(CUTS[0]))
    assert exposed.risk_score < LISTED, "less than a hit"
    dealings = exposed.receiver.exposure.received
    assert dealings is not None and exposed.receiver.exposure.paid is None
    assert (dealings.moves, dealings.value_wei, dealings.share, dealings.lists) == (1, str(2 * 10**17), 0.4, ["ofac"])
    victim = assessed(sender=dealing(OUT))
    assert (victim.risk_level, codes(victim)) == ("low", {"sender_paid_listed": "low"})


@pytest.mark.parametrize("severity", ["low", "medium", "high", "critical"])
def test_own_lists_say_how_bad_it_is_and_on_which_chain(severity: Any) -> None:
    entry = Listed(list="mine", address=BOB, chain_id=1, severity=severity, added_at=AT)
    named = lists.Lists({entry.key: entry})
    one = assessed(named=named)
    assert one.receiver is not None and (one.receiver.lists, one.receiver.level) == (["mine"], severity)
    assert (one.risk_level, codes(one)) == (severity, {"receiver_listed": severity})
    assert one.risk_score >= {"low": 0.0, "medium": CUTS[0], "high": CUTS[1], "critical": LISTED}[severity]
    assert (one.probability, one.lists_version) == (about(0.0), named.version)
    assert codes(assessed(named=named, chainId=137)) == {}


@pytest.mark.parametrize(
    ("gwei", "day_gwei", "told"),
    [
        (150, 14.9, True),
        (150, 15.1, False),
        (99, 1, False),
        (5_000, 600, False),
        (999, None, False),
        (1_000, None, True),
    ],
)
def test_gas_is_dear_against_its_day_where_that_is_known(gwei: int, day_gwei: float | None, told: bool) -> None:
    one = assessed(gasPrice=gwei, day_wei=None if day_gwei is None else day_gwei * 10**9)
    assert codes(one) == ({"gas_price": "medium"} if told else {})


def test_a_router_is_nobody_to_judge() -> None:
    one = assessed(receiver=wallet(50), toAddress=ROUTER)
    assert one.receiver is not None and (one.receiver.known, one.receiver.probability) == ("protocol", None)
    assert (one.risk_level, one.risk_to_sender) == ("low", None)


@pytest.mark.parametrize("more", [{"tokenPair": "ETH/USDC"}, {"contractInteraction": True}])
def test_a_contract_of_which_nothing_is_known_is_no_wallet_to_judge(more: dict[str, Any]) -> None:
    one = assessed(**more)
    assert one.receiver is not None and (one.receiver.known, one.receiver.evidence) == ("contract", 0)
    assert (one.risk_to_sender, one.sender.known, one.evidence) == (None, "first_contact", 1)
    assert one.unknown["toAddress"].startswith("a contract: it is called, and no transaction of its own is known")
    assert codes(assessed(receiver=wallet(20), **more)), "of one that is known its moves tell"
    payment = assessed(tokenPair="ETH/USDC", contractInteraction=False)
    assert payment.receiver is not None and payment.receiver.known == "first_contact"


def called(profile: Profile) -> Profile:
    """It, called once by somebody."""
    profile.move(move(IN, ALICE, 1_700_500_000, 0)._replace(selector="0xa415bcad"))
    return profile


@pytest.mark.parametrize("more", [{}, {"contractInteraction": True}])
def test_what_is_called_and_sends_nothing_is_a_contract_whatever_came_to_it(more: dict[str, Any]) -> None:
    contract = known(called(wallet(20)), unjudged="contract")
    case = Case("1", 7, request(toAddress=BOB, **more), None, contract)
    (one,) = assess([case], SCORER, "fraud/tiny", False, NOW)
    assert one.receiver is not None and (one.receiver.known, one.receiver.probability) == ("contract", None)
    assert (one.risk_level, one.alerts, one.risk_to_sender) == ("low", [], None)
    assert one.unknown["toAddress"].startswith("a contract: it is called")
    (listed,) = assess([Case("1", 7, request(toAddress=SANCTIONED), None, contract)], SCORER, "fraud/tiny", False, NOW)
    assert listed.risk_level == "critical" and codes(listed) == {"receiver_listed": "critical"}
    (sends,) = assess([Case("1", 7, request(), contract, None)], SCORER, "fraud/tiny", False, NOW)
    assert (sends.sender.known, sends.sender.level) == ("profile", "high"), "who sends is no contract"


def test_a_call_takes_back_no_alert_that_rests_on_lists() -> None:
    """Anyone may call a wallet that has sent nothing yet, and so make a contract of it."""
    profile = wallet(20)
    profile.move(move(IN, SANCTIONED, 1_700_100_000, 2 * 10**18)._replace(listed=f"ofac {SANCTIONED}"))
    (before,) = assess([Case("1", 7, request(toAddress=BOB), None, known(profile))], SCORER, "fraud/tiny", False, NOW)
    contract = known(called(profile), unjudged="contract")
    (one,) = assess([Case("1", 7, request(toAddress=BOB), None, contract)], SCORER, "fraud/tiny", False, NOW)
    assert one.receiver is not None and before.receiver is not None
    assert codes(before)["receiver_exposed_to_listed"] == "high" and len(codes(before)) > 1
    assert codes(one) == {"receiver_exposed_to_listed": "high"}, "and nothing of its habits"
    assert (one.receiver.known, one.receiver.level, one.receiver.probability) == ("contract", "high", None)
    assert one.receiver.exposure == before.receiver.exposure is not None and one.receiver.evidence == 22
    assert (one.risk_level, one.risk_to_sender) == ("high", CUTS[1])
    router = known(profile, unjudged="protocol")
    (one,) = assess([Case("1", 7, request(toAddress=ROUTER), None, router)], SCORER, "fraud/tiny", False, NOW)
    assert one.receiver is not None and (one.risk_level, one.alerts, one.receiver.exposure) == ("low", [], None)


def test_the_zero_address_is_nobody() -> None:
    one = assessed(toAddress="0x" + "0" * 40)
    assert one.receiver is not None and one.receiver.known == "zero_address"
    assert "nobody" in one.unknown["toAddress"] and "router" not in one.unknown["toAddress"]


def test_a_contract_creation_has_no_receiver() -> None:
    one = assessed(toAddress=None)
    assert one.receiver is None and "contract creation" in one.unknown["toAddress"]


def test_many_at_once_are_each_what_they_are_alone() -> None:
    cases = [
        Case(str(n), n, request(toAddress=BOB), None, Known(n, partial(wallet, n)) if n else None) for n in range(30)
    ]
    together = assess(cases, SCORER, "fraud/tiny", True, NOW)
    assert together == [one for case in cases for one in assess([case], SCORER, "fraud/tiny", True, NOW)]
    assert {one.risk_level for one in together} == {"low", "high"} and all(one.stale for one in together)
    assert assess([], SCORER, "fraud/tiny", False, NOW) == []
