"""Cyclic arbitrages: shapes written here. The real blocks and the cases of others are in test_evaluate_mev.py."""

from __future__ import annotations

from typing import Any

import pytest

from models.mev import detect
from models.mev.routers import ROUTERS
from tests.unit.by_hand import X, Y, Z, address, block, hash_of, liquidation, swap, transfer
from topics.schemas.chain import Block, Swap
from topics.schemas.mev import Finding

P1, P2, P3, P4 = (address(f"pool{at}") for at in range(4))
W = address("w")
WETH = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
WHO: dict[str, tuple[str, str | None]] = {"a": ("bot", "c")}


def legs(*legs: tuple[str, str, int, str, int], tx: str = "a", index: int = 3, **more: Any) -> list[dict[str, Any]]:
    """Swaps of one transaction: (pool, sold, paid, bought, got), in log order."""
    return [
        swap(tx, index, sold, bought, paid, got, pool=pool, log_index=index * 10 + at, **more)
        for at, (pool, sold, paid, bought, got) in enumerate(legs)
    ]


def found(of: Block) -> list[Finding]:
    return [one for one in detect(of) if one.kind == "arbitrage"]


def gains(one: Finding) -> dict[str, int]:
    return {gain.token: int(gain.amount_raw) for gain in one.profit}


TWO = legs((P1, X, 100, Y, 1000), (P2, Y, 1000, X, 110))


def test_a_cycle_says_its_way_and_gain() -> None:
    (one,) = found(block(*TWO, senders=WHO, status="partial"))
    assert one.id == f"arbitrage:1:7:{hash_of('a')}:30" and one.status == "provisional"
    assert (one.transactions, one.front, one.victims, one.back) == ([hash_of("a")], [], [], [])
    assert one.attackers == [address("bot"), address("c")] and one.pools == [P1, P2] and gains(one) == {X: 10}
    assert [
        (step.pool, step.token_in, step.amount_in_raw, step.token_out, step.amount_out_raw) for step in one.path
    ] == [
        (P1, X, "100", Y, "1000"),
        (P2, Y, "1000", X, "110"),
    ]
    assert (one.evidence, one.confidence) == (["cycle_gains", "nothing_left_over", "own_contract"], 0.9)


@pytest.mark.parametrize(
    "events, gain",
    [
        (legs((P1, X, 100, Y, 1000), (P2, Y, 1000, Z, 50), (P3, Z, 50, W, 7), (P4, W, 7, X, 101)), 1),
        (legs((P2, Y, 1000, X, 110), (P1, X, 100, Y, 1000)), 10),
        (legs((P1, X, 60, Y, 600), (P2, X, 40, Y, 400), (P3, Y, 1000, X, 110)), 10),
        (legs((P1, X, 100, Y, 1000), (P2, Y, 700, X, 80), (P3, Y, 300, X, 30)), 10),
        (legs((P1, X, 100, Y, 1000), (P2, Y, 940, X, 110)), 10),
        (legs((P1, X, 100, Y, 1000), (P2, Y, 1001, X, 110)), 10),
        (legs((P1, X, 100, Y, 1000), (P2, Y, 1000, X, 110), (P3, Z, 5, W, 9)), 10),
        (legs((P4, Z, 5, X, 9), (P1, X, 100, Y, 1000), (P2, Y, 1000, X, 110), (P3, X, 500, Y, 4000)), 10),
    ],
    ids=[
        "four pools",
        "paid last",
        "split at first",
        "split at last",
        "fee on transfer",
        "rounded",
        "beside a trade",
        "within one",
    ],
)
def test_what_is_an_arbitrage(events: list[dict[str, Any]], gain: int) -> None:
    (one,) = found(block(*events, senders=WHO))
    assert gains(one) == {X: gain}


@pytest.mark.parametrize(
    "events",
    [
        legs((P1, X, 100, Y, 1000), (P2, Y, 1000, X, 100)),
        legs((P1, X, 100, Y, 1000), (P2, Y, 1000, X, 90)),
        legs((P1, X, 100, Y, 1000), (P1, Y, 1000, X, 110)),
        legs((P1, X, 100, Y, 1000), (P2, Y, 1020, X, 110)),
        legs((P1, X, 100, Y, 1000), (P2, Y, 1000, Z, 110)),
        legs((P1, X, 100, Y, 1000), (P2, Z, 1000, X, 110)),
        legs((P1, X, 100, Y, 1000)),
        [{name: event[name] for name in event if not name.startswith("amount")} for event in TWO],
        [*TWO[:1], TWO[1] | {"transaction_hash": hash_of("b"), "transaction_index": 4}],
    ],
    ids=[
        "no gain", "a loss", "one pool", "too much missing", "no way back", "another token", "one swap", "no amounts", "two tx",
    ],
)  # fmt: skip
def test_what_is_none(events: list[dict[str, Any]]) -> None:
    assert found(block(*events, senders=WHO)) == []


def test_two_cycles_of_a_transaction_are_two() -> None:
    both = legs((P1, X, 100, Y, 1000), (P2, Y, 1000, X, 110), (P3, X, 100, Z, 50), (P4, Z, 50, X, 103))
    assert [(one.pools, gains(one)) for one in found(block(*both, senders=WHO))] == [
        ([P1, P2], {X: 10}),
        ([P3, P4], {X: 3}),
    ]


def test_names_of_the_native_coin_are_one_token() -> None:
    coin, wrapped = address(""), "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
    (one,) = found(block(*legs((P1, coin, 100, Y, 1000), (P2, Y, 1000, wrapped, 110)), senders=WHO))
    assert gains(one) == {coin: 10} and one.profit_wei == "10"


def test_what_is_left_counts_if_it_was_kept() -> None:
    less = legs((P1, X, 100, Y, 1000), (P2, Y, 900, X, 110))
    paid = transfer("a", 3, Y, address("c"), P2, 900, log_index=38)
    (kept,) = found(block(*less, transfer("a", 3, Y, P1, address("c"), 1000, log_index=37), paid, senders=WHO))
    assert gains(kept) == {X: 10, Y: 100}
    (gone,) = found(block(*less, transfer("a", 3, Y, P1, address("c"), 900, log_index=37), paid, senders=WHO))
    assert gains(gone) == {X: 10}


BANK, C, BOT = address("bank"), address("c"), address("bot")
HALF = legs((P1, X, 100, Y, 1000))


def moved(*moves: tuple[str, str, str, int]) -> list[dict[str, Any]]:
    """Transfers of the transaction behind its swaps: (token, from, to, amount)."""
    return [transfer("a", 3, *move, log_index=35 + at) for at, move in enumerate(moves)]


@pytest.mark.parametrize(
    "moves",
    [
        [(Y, C, BANK, 1000), (X, BANK, C, 110)],
        [(Y, C, BANK, 1000), (X, BANK, BOT, 110)],
        [(Y, C, BANK, 600), (Y, C, BANK, 400), (X, BANK, C, 110)],
        [(Y, C, X, 1000), (X, address(""), C, 110)],
    ],
    ids=["by the contract", "to the signer", "in parts", "made for it"],
)
def test_exchanges_that_only_transfers_tell_close_cycles_too(moves: list[tuple[str, str, str, int]]) -> None:
    (one,) = found(block(*HALF, *moved(*moves), senders=WHO))
    assert gains(one) == {X: 10} and one.path[1].protocol is None and one.path[1].pool in (BANK, X)
    assert one.evidence == ["cycle_gains", "nothing_left_over", "exchange_by_transfers", "own_contract"]
    assert one.confidence == 0.8


@pytest.mark.parametrize(
    "moves",
    [
        [(Y, C, BANK, 1000), (X, BANK, C, 90)],
        [(Y, C, BANK, 1000), (X, P3, C, 110)],
        [(Y, C, BANK, 1000), (Z, C, BANK, 1), (X, BANK, C, 110)],
        [(Y, P4, BANK, 1000), (X, BANK, P4, 110)],
        [(Y, BOT, C, 1000), (X, C, BOT, 110)],
    ],
    ids=["a loss", "two others", "for two tokens", "strangers", "among themselves"],
)
def test_transfers_that_are_no_exchange(moves: list[tuple[str, str, str, int]]) -> None:
    assert found(block(*HALF, *moved(*moves), senders=WHO)) == []


def test_a_loan_that_was_closed_and_a_trade_through_a_router_are_no_exchange() -> None:
    moves = moved((Y, C, BANK, 1000), (X, BANK, C, 110))
    assert found(block(*HALF, *moves, liquidation("a", 3, log_index=39), senders=WHO)) == []
    routed = block(*HALF, *moves, senders=WHO)
    routed.transactions[0].to_address = sorted(ROUTERS)[3]
    assert found(routed) == []


def test_a_leg_of_a_sandwich_is_no_arbitrage() -> None:
    front = legs((P1, X, 100, Y, 1000), (P2, Y, 1000, X, 110), tx="f", index=1)
    victim = swap("v", 2, X, Y, 50, 400, pool=P1)
    back = swap("b", 3, Y, X, 1000, 120, pool=P1)
    people = {"f": ("bot", "c"), "v": ("victim", None), "b": ("bot", "c")}
    assert [one.kind for one in detect(block(*front, victim, back, senders=people))] == ["sandwich"]


def test_a_round_on_the_way_of_a_routers_trade_is_worth_little() -> None:
    router = sorted(ROUTERS)[3]
    of = block(*TWO, *legs((P3, Z, 5, W, 9))[:1], senders=WHO)
    (own,) = found(of)
    assert (
        own.evidence == ["cycle_gains", "nothing_left_over", "own_contract", "inside_a_trade"] and own.confidence == 0.7
    )
    of.transactions[0].to_address = router
    (marked,) = found(of)
    assert marked.evidence == ["cycle_gains", "nothing_left_over", "through_a_router", "inside_a_trade"]
    assert marked.confidence == 0.4
    alone = block(*TWO, senders=WHO)
    alone.transactions[0].to_address = router
    (one,) = found(alone)
    assert one.evidence == ["cycle_gains", "nothing_left_over", "through_a_router"] and one.confidence == 0.6


def test_what_reverted_did_not_happen() -> None:
    of = block(*TWO, senders=WHO)
    of.transactions[0].status = 0
    assert detect(of) == []
    of.transactions[0].status = 1
    assert len(found(of)) == 1


def test_gas_and_builder_are_paid_from_it() -> None:
    of = block(*TWO, senders=WHO, base_fee=10, miner=address("miner"))
    tx = of.transactions[0]
    tx.gas_used, tx.gas_price_wei = 1000, 15
    (one,) = found(of)
    assert (one.gas_cost_wei, one.builder_payment_wei, one.net_profit_wei) == ("15000", None, None)
    for event in of.events:
        if isinstance(event, Swap):
            event.token_in, event.token_out = (
                WETH if token == X else token for token in (event.token_in, event.token_out)
            )
    tx.coinbase_transfer_wei = "7"
    (one,) = found(of)
    assert (one.gas_cost_wei, one.builder_payment_wei, one.net_profit_wei) == ("15000", "5007", str(10 - 15000 - 7))
    assert "pays_the_builder" in one.evidence
    assert [(role.address, role.role) for role in one.roles] == [
        (address("bot"), "searcher"),
        (address("c"), "contract"),
        (address("miner"), "builder"),
    ]
