"""What a block says to pairs and wallets."""

from __future__ import annotations

from typing import Any

from models.chain import views
from tests.unit.wire import (
    ALICE,
    BOB,
    DAI,
    NUMBER,
    POOL,
    TIME,
    USDC,
    WETH,
    envelope,
    inside,
    swap,
    transaction,
    transfer,
    tx,
)
from topics.partition import partition
from topics.schemas.chain import Block, PairTrades, WalletActivity

PAIR = f"1:{USDC}:{WETH}"


def block(*events: dict[str, Any], **more: Any) -> views.Block:
    made = Block.model_validate(envelope(*map(inside, events), **{"revision": 4, **more}))
    return made.model_dump(exclude_none=True)


def owner(key: str) -> int:
    return partition(key.encode(), 4)


def flat(records: dict[int, dict[str, Any]], part: str) -> dict[str, Any]:
    """Keys of all partitions together; each stands where its owner is."""
    assert all(owner(key) == number for number, value in records.items() for key in value[part])
    return {key: moves for value in records.values() for key, moves in value[part].items()}


def test_a_trade_stands_under_its_sorted_pair_and_says_which_side_was_sold() -> None:
    sold = swap(amount_in_raw="15", amount_out_raw="30", protocol="uniswap_v2", pool=POOL)
    back = swap(token_in=USDC, token_out=WETH, log_index=1, amount_in="7", amount_out="8")
    (first, second) = views.trades(block(sold, back))[PAIR]
    assert first == {
        "transaction_hash": tx(1),
        "transaction_index": 0,
        "log_index": 0,
        "pool": POOL,
        "protocol": "uniswap_v2",
        "zero_for_one": False,
        "amount1": "1.5",
        "amount0": "3000",
        "amount1_raw": "15",
        "amount0_raw": "30",
    }
    assert (second["zero_for_one"], second["amount0"], second["amount1"]) == (True, "7", "8")
    assert "amount0_raw" not in second


def test_symbols_make_a_pair_in_lower_case() -> None:
    assert list(views.trades(block(swap(token_in="WETH", token_out="dai")))) == ["1:dai:weth"]


def test_only_swaps_are_trades() -> None:
    assert views.trades(block(transfer(), transfer(log_index=1, event_type="deposit"))) == {}


def test_a_transaction_is_told_to_both_ends_failed_or_not() -> None:
    found = views.activity(block(transactions=[transaction(0, status=0), transaction(1, to_address=None)]))
    sent, created = found[f"1:{ALICE}"]
    (received,) = found[f"1:{BOB}"]
    assert (sent["direction"], sent["peer"], sent["status"], sent["value_wei"]) == ("out", BOB, 0, "5")
    assert (received["direction"], received["peer"]) == ("in", ALICE)
    assert {"gas_limit", "gas_used", "gas_price_wei", "selector", "transaction_index"} <= {*sent}
    assert (created["direction"], "peer" in created) == ("out", False)


def test_a_payment_to_oneself_is_told_once() -> None:
    found = views.activity(block(transfer(to_address=ALICE)))
    assert [move["direction"] for move in found[f"1:{ALICE}"]] == ["self"]


def test_mints_and_burns_of_tokens_do_not_make_the_zero_address_a_wallet() -> None:
    found = views.activity(block(transfer(from_address=views.ZERO), transfer(log_index=1, to_address=views.ZERO)))
    assert {*found} == {f"1:{ALICE}", f"1:{BOB}"}


def test_a_transfer_names_its_token_even_where_only_the_contract_is_known() -> None:
    (move,) = views.activity(block(transfer(token_in=None, amount_in=None, amount_in_raw="9")))[f"1:{BOB}"]
    assert (move["token"], move["amount_raw"], "amount" in move) == (WETH, "9", False)


def test_a_swap_belongs_to_who_sent_its_transaction() -> None:
    def traders(event: dict[str, Any], **more: Any) -> set[str]:
        return {key for key, moves in views.activity(block(event, **more)).items() if moves[-1]["kind"] == "swap"}

    nobody = swap(from_address=None, recipient=DAI, sender=POOL)
    assert traders(swap()) == {f"1:{ALICE}"}
    assert traders(nobody, transactions=[transaction(1, from_address=BOB)]) == {f"1:{BOB}"}
    assert traders(nobody) == {f"1:{DAI}"}
    assert traders(swap(from_address=None, sender=POOL)) == {f"1:{POOL}"}
    assert traders(swap(from_address=None)) == set()


def test_the_median_gas_price_is_a_price_that_was_paid() -> None:
    prices = [5, 1, 3, 4]
    paid = [transaction(n, gas_price_wei=price) for n, price in enumerate(prices)]
    assert views.median_gas_price(block(transactions=[*paid, transaction(9, gas_price_wei=None)])) == 3
    assert views.median_gas_price(block()) is None


def test_records_lie_with_their_owners_and_fit_their_schemas() -> None:
    tokens = [f"0x{n:040x}" for n in range(1, 20)]
    events = [swap(token_in=token, log_index=n, from_address=token) for n, token in enumerate(tokens)]
    made = block(*events, transactions=[transaction(1)])
    pairs, wallets = views.pair_records(made, (), owner), views.wallet_records(made, (), owner)
    assert len(flat(pairs, "pairs")) == len(tokens)
    assert flat(wallets, "wallets").keys() == views.activity(made).keys()
    assert set(pairs) == set(range(4))
    for value in pairs.values():
        record = PairTrades.model_validate(value)
        assert (record.chain_id, record.number, record.revision, record.status) == (1, NUMBER, 4, "complete")
        assert record.timestamp == TIME
    for value in wallets.values():
        assert WalletActivity.model_validate(value).median_gas_price_wei == 30 * 10**9


def test_a_revision_names_what_earlier_ones_named_with_empty_lists() -> None:
    before = block(swap(), transactions=[transaction(1)])
    named = views.names(before)
    after = block(swap(token_out=DAI, from_address=BOB), status="removed")
    pairs = flat(views.pair_records(after, named, owner), "pairs")
    wallets = flat(views.wallet_records(after, named, owner), "wallets")
    assert {key: len(trades) for key, trades in pairs.items()} == {PAIR: 0, f"1:{DAI}:{WETH}": 1}
    assert {key: len(moves) for key, moves in wallets.items()} == {f"1:{ALICE}": 0, f"1:{BOB}": 1}


def test_a_block_without_a_time_makes_records_without_one() -> None:
    (value,) = views.pair_records(block(swap(), timestamp=None), (), owner).values()
    assert "timestamp" not in value


def test_a_clock_record_fits_both_schemas() -> None:
    assert PairTrades.model_validate(views.clock_record(1, TIME, 4, "pairs")).status == "clock"
    assert WalletActivity.model_validate(views.clock_record(1, TIME, 4, "wallets")).number is None
