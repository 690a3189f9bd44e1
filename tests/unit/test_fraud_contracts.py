"""Who is taken for a contract: called, and no transaction of its own known."""

from __future__ import annotations

from typing import Any

import pytest

from models.fraud.contracts import by_address, by_moves
from models.fraud.profile import IN, OUT, Move, Profile
from models.fraud.said import Parties, moves_of, said
from models.mev.routers import ROUTERS
from tests.fraud import move, wallet
from tests.unit.test_fraud_requests import ALICE
from topics.schemas.chain import WalletActivity
from topics.schemas.native import ZERO

PAID = move(IN, ALICE, 1_700_000_000, 10**18)


def of(*moves: Any) -> Profile:
    profile = Profile()
    for one in moves:
        profile.move(one) if isinstance(one, Move) else profile.token_move(one)
    return profile


@pytest.mark.parametrize(
    ("moves", "found"),
    [
        ([], None),
        ([PAID], None),
        ([PAID._replace(selector="0xa9059cbb")], "contract"),
        ([PAID, PAID._replace(selector="0xa9059cbb", failed=True)], "contract"),
        ([PAID._replace(selector="0xa9059cbb"), PAID._replace(side=OUT)], None),
        ([PAID._replace(side=OUT, selector="0xa9059cbb")], None),
    ],
)
def test_what_is_called_and_sends_nothing_is_a_contract(moves: list[Move], found: str | None) -> None:
    assert by_moves(of(*moves)) == found


def test_tokens_that_it_sends_make_it_no_wallet() -> None:
    told = {"kind": "transfer", "transaction_hash": "0x" + "1" * 64, "peer": ALICE, "token": ALICE, "amount_raw": "5"}
    out, came = (moves_of({**told, "direction": way}, 1, None, Parties(lambda _: 0.0)) for way in ("out", "in"))  # type: ignore[typeddict-item]
    assert by_moves(of(out, came)) is None, "nobody is known to call it"
    assert by_moves(of(out, came, PAID._replace(selector="0xa9059cbb"))) == "contract"


def test_routers_and_the_zero_address_are_known_by_their_address() -> None:
    assert by_address(ZERO) == "zero_address" and by_address(ALICE) is None
    assert {by_address(one) for one in ROUTERS - {ZERO}} == {"protocol"}


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({"gas_used": 21_000}, None),
        ({"gas_used": 46_109}, "contract"),
        ({}, None),
        ({"gas_used": 60_000, "selector": "0x"}, None),
    ],
)
def test_where_no_selector_is_told_gas_says_that_something_was_called(told: dict[str, Any], found: str | None) -> None:
    move: Any = {"kind": "transaction", "direction": "in", "transaction_hash": "0x" + "1" * 64, "peer": ALICE, **told}
    assert by_moves(of(moves_of(move, 1, None, Parties(lambda _: 0.0)))) == found
    view = {"chain_id": 1, "number": 1, "revision": 1, "status": "complete", "timestamp": 1, "wallets": {ALICE: [move]}}
    for chain_id, here in ((1, found), (10, None), (42161, None)):
        one = WalletActivity.model_validate({**view, "chain_id": chain_id})
        assert by_moves(of(*said(one, one.wallets[ALICE], Parties(lambda _: 0.0)).moves)) == here, (
            "elsewhere a payment may use more"
        )


def test_many_payments_make_no_contract() -> None:
    assert by_moves(wallet(50)) is None
