"""Liquidations, just-in-time liquidity, back-runs and front-runs: shapes written here."""

from __future__ import annotations

from typing import Any

import pytest

from models.mev import detect
from models.mev.jit import MANAGERS
from tests.unit.by_hand import POOL, X, Y, Z, address, block, burn, hash_of, liquidation, mint, swap
from topics.schemas.chain import Block
from topics.schemas.mev import Finding, Kind

P2 = address("pool2")
LP = {"m": ("lp", "c"), "v": ("victim", None), "b": ("lp", "c")}


def found(of: Block, kind: Kind) -> list[Finding]:
    return [one for one in detect(of) if one.kind == kind]


def gains(one: Finding) -> dict[str, int]:
    return {gain.token: int(gain.amount_raw) for gain in one.profit}


def around(*swaps: dict[str, Any], added: dict[str, Any] | None = None, removed: dict[str, Any] | None = None) -> Block:
    return block(mint("m", 1, **(added or {})), *swaps, burn("b", 9, **(removed or {})), senders=LP)


VICTIM = swap("v", 2, X, Y, 50, 400, tick=5)


def test_liquidity_for_a_moment() -> None:
    (one,) = found(around(VICTIM, removed={"amount0_raw": "550", "amount1_raw": "110"}), "jit")
    assert (one.front, one.victims, one.back) == ([hash_of("m")], [hash_of("v")], [hash_of("b")])
    assert one.attackers == [address("lp"), address("c")] and one.pools == [POOL]
    assert gains(one) == {X: 50, Y: -390} and one.evidence == ["same_sender", "removed_whole"]


def test_what_was_collected_counts_with_its_fees() -> None:
    taken = burn("b", 9, event_type="collect", amount0_raw="560", amount1_raw="120", liquidity=None, log_index=95)
    (one,) = found(block(mint("m", 1), VICTIM, burn("b", 9), taken, senders=LP), "jit")
    assert gains(one) == {X: 60, Y: -380}


@pytest.mark.parametrize(
    "of",
    [
        around(),
        around(swap("v", 2, X, Y, 50, 400, tick=5, pool=P2)),
        around(swap("v", 10, X, Y, 50, 400, tick=5)),
        around(swap("m", 1, X, Y, 50, 400, tick=5, log_index=15)),
        around(VICTIM, removed={"tick_upper": 20}),
        around(VICTIM, removed={"liquidity": "0"}),
        around(VICTIM, removed={"liquidity": "499"}),
        around(swap("v", 2, X, Y, 50, 400, tick=50), added={"amount0_raw": "0"}),
        around(VICTIM, removed={"transaction_hash": hash_of("m"), "transaction_index": 1}),
        block(burn("b", 1), VICTIM, mint("m", 9), senders=LP),
        block(mint("m", 1), VICTIM, burn("b", 9), senders={**LP, "b": ("other", None)}),
    ],
    ids=[
        "nobody", "another pool", "behind", "itself", "other ticks", "fees only", "a little", "out of its ticks", "one tx",
        "removed first", "another provider",
    ],
)  # fmt: skip
def test_what_is_no_jit(of: Block) -> None:
    other = of.transactions[2].from_address == address("other")
    for manager in MANAGERS if other else [None]:
        for event in of.events:
            if manager and event.event_type in ("mint", "burn"):
                event.owner = manager
        assert found(of, "jit") == []


def test_swaps_that_begin_or_end_within_the_ticks_are_victims() -> None:
    through = [
        swap("v", 2, X, Y, 50, 400, tick=-7),
        swap("w", 3, Y, X, 50, 4, tick=3),
        swap("x", 4, X, Y, 5, 4, tick=-3),
    ]
    (one,) = found(around(*through, swap("y", 5, X, Y, 5, 4, tick=-9)), "jit")
    assert one.victims == [hash_of(name) for name in "vwx"]


def test_several_additions_and_ranges() -> None:
    of = block(
        mint("m", 1), mint("n", 2, liquidity="10"), VICTIM | {"transaction_index": 3, "log_index": 30},
        burn("b", 9, liquidity="1010"),
        mint("m", 1, tick_lower=-50, log_index=11), burn("b", 9, tick_lower=-50, log_index=91), senders={**LP, "n": ("lp", "c")},
    )  # fmt: skip
    assert [one.front for one in found(of, "jit")] == [[hash_of("m")], [hash_of("m"), hash_of("n")]]


def test_a_liquidation_says_who_whom_and_what() -> None:
    (one,) = detect(block(liquidation("l", 4), senders={"l": ("boss", "keeper")}))
    assert one.id == f"liquidation:1:7:{hash_of('l')}:40" and one.transactions == [hash_of("l")]
    assert one.attackers == [address("boss"), address("keeper")] and one.pools == [address("market")]
    assert [(role.address, role.role) for role in one.roles] == [
        (address("boss"), "searcher"), (address("keeper"), "contract"), (address("debtor"), "borrower"),
    ]  # fmt: skip
    assert gains(one) == {Y: 110, X: -100} and one.protocols == ["aave_v2"] and one.profit_wei is None
    (step,) = one.path
    assert (step.token_in, step.amount_in_raw, step.token_out, step.amount_out_raw) == (X, "100", Y, "110")
    assert (one.evidence, one.confidence) == (["liquidation_event", "liquidator_named"], 1.0)


def test_each_loan_is_a_finding_and_what_is_unknown_is_left_out() -> None:
    bare = {name: None for name in ("token_out", "amount_out_raw", "contract_address", "from_address")}
    two = detect(block(liquidation("l", 4), liquidation("l", 4, log_index=41, **bare)))
    assert [one.id.rsplit(":")[-1] for one in two] == ["40", "41"]
    assert (two[1].path, gains(two[1]), two[1].pools, two[1].attackers) == ([], {}, [], [])
    assert two[0].related == [two[1].id]


def test_debt_and_collateral_told_one_by_one_are_one_finding() -> None:
    debt = liquidation("l", 4, token_out=None, amount_out_raw=None, protocol="compound_v3")
    seized = [
        liquidation("l", 4, log_index=41 + at, token_in=None, amount_in_raw=None, token_out=token, amount_out_raw="7")
        for at, token in enumerate((Y, Z))
    ]
    (one,) = detect(block(debt, *seized))
    assert [(step.token_in, step.amount_in_raw, step.token_out, step.amount_out_raw) for step in one.path] == [
        (X, "100", Y, "7"),
        (X, None, Z, "7"),
    ]
    assert one.profit == [] and one.attackers == [address("keeper")]
    other = liquidation("l", 4, log_index=50, token_out=None, amount_out_raw=None, to_address=address("else"))
    assert len(detect(block(debt, *seized, other))) == 2


CYCLE = [
    swap("a", 3, X, Y, 100, 1000, pool=P2, log_index=30),
    swap("a", 3, Y, X, 1000, 110, log_index=31),
]
PEOPLE = {"v": ("victim", None), "a": ("bot", "c")}


def test_an_arbitrage_right_behind_a_swap_against_its_price_is_a_back_run() -> None:
    arbitrage, backrun = detect(block(swap("v", 2, X, Y, 50, 1400), *CYCLE, senders=PEOPLE))
    assert (backrun.front, backrun.victims, backrun.back) == ([], [hash_of("v")], [hash_of("a")])
    assert backrun.pools == [POOL] and gains(backrun) == {X: 10} and backrun.attackers == [address("bot"), address("c")]
    assert (arbitrage.related, backrun.related) == ([backrun.id], [arbitrage.id])


@pytest.mark.parametrize(
    "before, people",
    [
        (swap("v", 1, X, Y, 50, 1400), PEOPLE),
        (swap("v", 2, Y, X, 50, 1400), PEOPLE),
        (swap("v", 2, X, Y, 50, 1400, pool=address("pool3")), PEOPLE),
        (swap("v", 2, X, Y, 50, 999), PEOPLE),
        (swap("v", 2, X, Y, 50, 1400), {"v": ("bot", None), "a": ("bot", "c")}),
    ],
    ids=["not the next", "the same way", "another pool", "smaller", "the same one"],
)
def test_what_is_no_back_run(before: dict[str, Any], people: dict[str, tuple[str, str | None]]) -> None:
    assert found(block(before, *CYCLE, senders=people), "backrun") == []


def test_the_same_round_by_another_who_gained_less_was_front_run() -> None:
    late = [
        {**leg, "transaction_hash": hash_of("l"), "transaction_index": 8, "log_index": at}
        for at, leg in enumerate(CYCLE)
    ]
    late[1]["amount_out_raw"] = "104"
    of = block(*CYCLE, *late, senders={"a": ("bot", "c"), "l": ("late", "d")})
    (one,) = found(of, "frontrun")
    assert (one.front, one.victims, one.evidence) == ([hash_of("a")], [hash_of("l")], ["same_round", "gained_more"])
    assert gains(one) == {X: 10}
    assert found(block(*CYCLE, *late, senders={"a": ("bot", "c"), "l": ("late", "c")}), "frontrun") == []


@pytest.mark.parametrize(
    "amount, prices, index, through, seen",
    [
        (1234567, (20, 10), 3, "c", True),
        (1000000, (20, 10), 3, "c", False),
        (1234567, (10, 10), 3, "c", False),
        (1234567, (20, 10), 4, "c", False),
        (1234567, (None, 10), 3, "c", False),
        (1234567, (20, 10), 3, None, False),
    ],
    ids=["copied", "a round number", "pays no more", "not the next", "price unknown", "by no contract"],
)
def test_the_same_swap_right_in_front(
    amount: int, prices: tuple[int | None, int], index: int, through: str | None, seen: bool
) -> None:
    people = {"a": ("bot", through), "v": ("victim", None)}
    of = block(swap("a", 2, X, Y, amount, 400), swap("v", index, X, Y, amount, 300), senders=people)
    for transaction, price in zip(of.transactions, prices, strict=True):
        transaction.gas_price_wei = price
    assert [(one.front, one.victims) for one in found(of, "frontrun")] == [([hash_of("a")], [hash_of("v")])] * seen


def test_liquidity_added_between_is_caught_too() -> None:
    people = {"f": ("bot", "c"), "m": ("lp", None), "b": ("bot", "c")}
    pair = {"tick_lower": None, "tick_upper": None, "owner": None}
    legs = (swap("f", 1, X, Y, 100, 1000), swap("b", 3, Y, X, 1000, 110))
    (one,) = detect(block(*legs, mint("m", 2, **pair), senders=people))
    assert (one.kind, one.victims, one.losses) == ("sandwich", [hash_of("m")], [])
    assert detect(block(*legs, mint("m", 2, **pair, amount0_raw="0"), senders=people)) == []
    assert len(detect(block(*legs, mint("m", 2, **pair, amount1_raw="0"), senders=people))) == 1
    assert detect(block(*legs, mint("m", 2, **pair, pool=Z), senders=people)) == []
    assert detect(block(*legs, mint("m", 2, **pair), senders={**people, "m": ("bot", None)})) == []


def test_who_copied_a_whole_round_front_ran_once() -> None:
    def round(tx: str, index: int, got: int) -> list[dict[str, Any]]:
        return [
            swap(tx, index, X, Y, 1234567, 500),
            swap(tx, index, Y, X, 500, got, pool=P2, log_index=10 * index + 1),
        ]

    of = block(*round("a", 1, 1300001), *round("v", 2, 1250001), senders={"a": ("bot", "c"), "v": ("victim", "d")})
    for transaction, price in zip(of.transactions, (20, 10), strict=True):
        transaction.gas_price_wei = price
    told = detect(of)
    assert len({one.id for one in told}) == len(told)
    (one,) = found(of, "frontrun")
    assert one.evidence == ["same_round", "gained_more", "same_amount", "next_transaction"]
    assert gains(one) == {X: 65434}


def test_gains_of_two_tokens_are_not_held_against_each_other() -> None:
    of = block(
        swap("a", 1, X, Y, 100, 500), swap("a", 1, Y, X, 500, 110, pool=P2, log_index=11),
        swap("l", 8, Y, X, 500, 104, pool=P2), swap("l", 8, X, Y, 104, 505, log_index=81),
        senders={"a": ("bot", "c"), "l": ("late", "d")},
    )  # fmt: skip
    assert [gains(one) for one in found(of, "arbitrage")] == [{X: 10}, {Y: 5}]
    assert found(of, "frontrun") == []
