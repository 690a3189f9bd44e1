"""What is kept of a wallet over blocks: moves, windows, contributions."""

from __future__ import annotations

from typing import Any

import pytest

from models.fraud.profile import IN, OUT, Move, TokenMove
from models.fraud.wallet import moves_of
from tests.unit.wire import BOB, USDC, WETH, tx
from topics.schemas.chain import WalletMove

FAMOUS = {BOB: 3.0, USDC: 7.0}
GWEI = 10**9


def fame(address: str) -> float:
    return FAMOUS.get(address, 0.0)


def told(**fields: Any) -> Move | TokenMove:
    move = {"kind": "transaction", "direction": "out", "transaction_hash": tx(1), "peer": BOB, **fields}
    return moves_of(WalletMove.model_validate(move), 1_000, 20 * GWEI, fame)


def test_a_transaction_is_a_move_with_its_gas_against_what_others_pay() -> None:
    found = told(value_wei="5", gas_limit=21_000, gas_used=20_000, gas_price_wei=30 * GWEI, selector="0x", status=1)
    assert found == Move(1_000, OUT, BOB, 5, 21_000, 20_000, 1.5, True, "0x", False, 3.0)
    found = told(value_wei="5", direction="in", gas_price_wei=30 * GWEI + 1, selector="0xa9059cbb")
    assert isinstance(found, Move)
    assert (found.side, found.round_price, found.selector, found.gas_limit) == (IN, False, "0xa9059cbb", None)


def test_what_failed_or_went_to_oneself_moves_no_value() -> None:
    for fields in ({"status": 0}, {"direction": "self"}):
        found = told(value_wei="5", **fields)
        assert isinstance(found, Move) and found.value == 0 and found.side == OUT
    failed = told(value_wei="5", status=0)
    assert isinstance(failed, Move) and failed.failed


def test_what_is_unknown_stays_unknown() -> None:
    found = moves_of(
        WalletMove.model_validate({"kind": "transaction", "direction": "out", "transaction_hash": tx(1)}), 1, None, fame
    )
    assert found == Move(1, OUT, None, 0, None, None, None, False, "0x", False, 0.0)


@pytest.mark.parametrize("kind", ["transfer", "swap"])
def test_transfers_and_swaps_are_token_moves(kind: str) -> None:
    direction = "self" if kind == "swap" else "in"
    found = told(kind=kind, direction=direction, token=USDC, amount_raw="5")
    assert found == TokenMove(1_000, OUT if kind == "swap" else IN, BOB, USDC, False, 3.0, 7.0)
    for bait in ({"amount_raw": "0"}, {"amount": "0.00"}):
        found = told(kind=kind, direction=direction, token=WETH, **bait)
        assert isinstance(found, TokenMove) and found.nothing and found.token_fame == 0.0
