"""What is kept of a wallet over blocks: moves, windows, contributions."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from models.fraud import kept
from models.fraud.bitmaps import BITS, slot
from models.fraud.features import FEATURES, of_profile
from models.fraud.profile import DAY_S, IN, OUT, Move, Profile, TokenMove
from models.fraud.said import MOST, Parties, Said, moves_of, said
from models.fraud.wallet import SPAN, Memory, current
from models.fraud.windows import HOP_S
from tests.unit.test_fraud_packed import MOVES, TOKEN_MOVES
from tests.unit.wire import BOB, USDC, WETH, tx
from topics.schemas.chain import WalletActivity, WalletMove
from topics.schemas.made import made
from topics.schemas.wallet import Known

FAMOUS = {BOB: 3.0, USDC: 7.0}
GWEI = 10**9
MOVE = TypeAdapter(WalletMove)


def parties() -> Parties:
    return Parties(lambda address: FAMOUS.get(address, 0.0))


def told(**fields: Any) -> Move | TokenMove:
    move = {"kind": "transaction", "direction": "out", "transaction_hash": tx(1), "peer": BOB, **fields}
    return moves_of(MOVE.validate_python(move), 1_000, 20 * GWEI, parties())


def test_a_transaction_is_a_move_with_its_gas_against_what_others_pay() -> None:
    found = told(value_wei="5", gas_limit=21_000, gas_used=20_000, gas_price_wei=30 * GWEI, selector="0x", status=1)
    assert found == Move(1_000, OUT, slot(BOB), 5, 21_000, 20_000, 1.5, 1, "0x", False, 3.0)
    found = told(value_wei="5", direction="in", gas_price_wei=30 * GWEI + 1, selector="0xa9059cbb")
    assert isinstance(found, Move)
    assert (found.side, found.price_digits, found.selector, found.gas_limit) == (IN, 11, "0xa9059cbb", None)


def test_what_failed_or_went_to_oneself_moves_no_value() -> None:
    for fields in ({"status": 0}, {"direction": "self"}):
        found = told(value_wei="5", **fields)
        assert isinstance(found, Move) and found.value == 0 and found.side == OUT
    failed = told(value_wei="5", status=0)
    assert isinstance(failed, Move) and failed.failed
    less = told(value_wei="-5")
    assert isinstance(less, Move) and less.value == 0, "the schema leaves signs to rules, and a topic has many writers"


def test_who_a_list_names_is_told_with_the_move_but_of_oneself() -> None:
    names = {BOB: "own,ofac", USDC: "own"}
    mine = Parties(lambda _: 0.0, lambda address: names.get(address, ""))
    move = {"kind": "transfer", "direction": "in", "transaction_hash": tx(1), "peer": BOB, "token": USDC}
    for way, listed in (("in", f"own,ofac {BOB}"), ("self", "")):
        assert moves_of(MOVE.validate_python({**move, "direction": way}), 1, None, mine).listed == listed


def test_what_is_unknown_stays_unknown() -> None:
    found = moves_of(
        MOVE.validate_python({"kind": "transaction", "direction": "out", "transaction_hash": tx(1)}), 1, None, parties()
    )
    assert found == Move(1, OUT, None, 0, None, None, None, 0, "0x", False, 0.0)


@pytest.mark.parametrize("kind", ["transfer", "swap"])
def test_transfers_and_swaps_are_token_moves(kind: str) -> None:
    direction = "self" if kind == "swap" else "in"
    found = told(kind=kind, direction=direction, token=USDC, amount_raw="5")
    assert found == TokenMove(1_000, OUT if kind == "swap" else IN, slot(BOB), slot(USDC), False, 3.0, 7.0)
    for bait in ({"amount_raw": "0"}, {"amount": "0.00"}):
        found = told(kind=kind, direction=direction, token=WETH, **bait)
        assert isinstance(found, TokenMove) and found.nothing and found.token_fame == 0.0


def test_a_swap_that_transfers_tell_of_is_not_counted_twice() -> None:
    pay = {"kind": "transfer", "direction": "out", "transaction_hash": tx(1), "peer": BOB, "token": USDC}
    swap = {"kind": "swap", "direction": "self", "transaction_hash": tx(1), "peer": BOB, "token": USDC}
    moves = [MOVE.validate_python(one) for one in (pay, swap, {**swap, "transaction_hash": tx(2)}, swap)]
    view = WalletActivity.model_validate(
        {"chain_id": 1, "number": 5, "revision": 1, "status": "complete", "timestamp": 1_000, "wallets": {}}
    )
    told = said(view, moves, parties())
    assert [move.side for move in told.moves] == [OUT, OUT] and told.more == 0, "the transfer, and the other swap"
    assert len(said(view, moves[1:], parties()).moves) == 3, "where nobody tells of transfers, swaps are what is known"


# Over blocks

START = 1_700_000_000
HOP = START // HOP_S
Told = tuple[int, int, list[Move | TokenMove]]
"""What a block says: number, revision, moves."""


def paid(number: int, many: int = 1, time: int | None = None) -> list[Move | TokenMove]:
    """Moves that are nobody else's."""
    at = START + 12 * number if time is None else time
    return [Move(at, OUT, slot(f"{number} {n}"), 10**15 + number, 21_000, 21_000, 1.1, 2, "0x", False, 2.0)
            for n in range(many)]  # fmt: skip


def taken(told: Sequence[Told], batch: int = 1) -> Known:
    """The row after all of it, written and read back after each batch."""
    known: Known | None = None
    for start in range(0, len(told), batch):
        memory = Memory(known)
        for number, revision, moves in told[start : start + batch]:
            memory.take(Said(number, revision, moves[0].time if moves else START, moves))
        known = Known.model_validate_json(Known(**memory.fields()).model_dump_json(exclude_none=True))
    assert known is not None
    return known


def plainly(*moves: Move | TokenMove) -> Profile:
    profile = Profile()
    for move in moves:
        profile.move(move) if isinstance(move, Move) else profile.token_move(move)
    return profile


def test_what_is_kept_and_what_is_folded_make_the_profile_of_all_moves() -> None:
    said: list[Told] = [(number, number, paid(number, 2)) for number in range(0, 300, 3)]
    known = taken(said)
    assert current(known) == plainly(*(move for _, _, moves in said for move in moves))
    # 297 is of the span from 256 on: what is below the one before that is folded.
    assert (known.number, known.folded, known.folded_revision) == (297, 189, 189)
    assert [kept.head(one).number for one in known.kept] == list(range(192, 300, 3))


MOVES_OF_A_BLOCK = st.integers(0, 3)


@given(
    st.lists(
        st.tuples(st.integers(0, 63), MOVES_OF_A_BLOCK, MOVES_OF_A_BLOCK), max_size=12, unique_by=lambda one: one[0]
    ),
    st.randoms(use_true_random=False),
    st.integers(1, 6),
)
@settings(max_examples=60, deadline=None)
def test_any_order_of_revisions_duplicates_and_batches_ends_in_the_same_row(
    blocks: list[tuple[int, int, int]], random: Any, batch: int
) -> None:
    """Each block has two revisions and comes twice; what is below them is folded before, and what is above after."""
    below: list[Told] = [(number, 1, paid(number)) for number in range(10)]
    above: list[Told] = [(300, 1, paid(300, 2)), (420, 1, paid(420))]
    first: list[Told] = [(100 + number, 10, paid(100 + number, many)) for number, many, _ in blocks]
    second: list[Told] = [(100 + number, 11, paid(100 + number, many)) for number, _, many in blocks]
    wanted = taken([*below, *sorted(second, key=lambda one: one[0]), *above])
    mixed = [*first, *second, *second, *first]
    random.shuffle(mixed)
    found = taken([*below, *mixed, *above], batch)
    assert found == wanted
    assert current(found) == current(wanted)


def test_a_removed_block_leaves_no_trace_in_what_is_scored() -> None:
    others: list[Told] = [(number, number, paid(number)) for number in (1, 3, 5)]
    removed: list[Told] = [*others, (4, 4, paid(4)), (4, 9, [])]
    assert current(taken(removed)) == current(taken(others))
    assert current(taken([(4, 4, paid(4)), (4, 9, [])])) is None
    # Also once it is folded.
    later: Told = (500, 500, paid(500))
    assert current(taken([*removed, later])) == current(taken([*others, later]))


def test_a_folded_block_is_settled() -> None:
    memory = Memory(taken([(1, 5, paid(1)), (200, 6, paid(200))]))
    assert memory.take(Said(1, 5, START, paid(1))) == "duplicate"
    assert memory.take(Said(1, 9, START, [])) == "too_late"
    assert memory.take(Said(200, 6, START, [])) == "duplicate"
    assert memory.take(Said(200, 2, START, [])) == "duplicate"
    # Below the kept ones, above the folded: it is still in order.
    assert memory.take(Said(30, 7, START + 12 * 30, paid(30))) == "new"
    assert memory.scored == plainly(*paid(1), *paid(30), *paid(200))


def view(number: int, many: int, **more: Any) -> WalletActivity:
    """What a block says of a wallet that paid so many others."""
    moves = [{"kind": "transaction", "direction": "out", "transaction_hash": tx(n), "peer": BOB, "value_wei": "7",
              "gas_limit": 50_000, "gas_used": 40_000, "gas_price_wei": 7 * GWEI + n} for n in range(many)]  # fmt: skip
    fields = {"number": number, "revision": number, "timestamp": START, "median_gas_price_wei": 6 * GWEI, **more}
    return WalletActivity.model_validate(
        {"chain_id": 1, "status": "complete", "wallets": {f"1:{BOB}": moves}, **fields}
    )


def by(view: WalletActivity) -> Said:
    return said(view, view.wallets[f"1:{BOB}"], parties())


def test_only_so_many_moves_of_a_block_count() -> None:
    found = by(view(1, 3 * MOST))
    assert (len(found.moves), found.more) == (MOST, 2 * MOST)
    memory = Memory(None)
    for number in range(4 * SPAN):
        memory.take(by(view(number, 3 * MOST)))
    known = Known(**memory.fields())
    assert known.more == 2 * SPAN * 2 * MOST and all(kept.head(one).more == 2 * MOST for one in known.kept)
    assert len(known.kept) == 2 * SPAN and len(known.model_dump_json()) < 256_000


def test_a_block_that_was_removed_or_has_no_time_says_nothing() -> None:
    assert by(view(1, 2, status="removed")) == Said(1, 1, START, ())
    assert by(view(1, 2, timestamp=None)) == Said(1, 1, 0, ())


def test_windows_hop_in_chain_time() -> None:
    """At any time 45 to 90 days are known: those since the span before the last move's began."""
    days = [HOP * HOP_S + day * DAY_S for day in range(0, 300, 5)]
    said: list[Told] = [(1_000 * n, n, paid(n, time=time)) for n, time in enumerate(days)]
    for last in range(1, len(said)):
        since = (days[last] // HOP_S - 1) * HOP_S
        wanted = plainly(*(move for _, _, moves in said[: last + 1] for move in moves if move.time >= since))
        assert current(taken(said[: last + 1])) == wanted
    # Nothing of long ago is left.
    long_ago = [*said, (10**6, 100, paid(9, time=days[-1] + 3 * HOP_S))]
    assert current(taken(long_ago)) == plainly(*long_ago[-1][2])


def test_time_never_goes_back() -> None:
    said: list[Told] = [(1, 1, paid(1, time=START + 90)), (2, 2, paid(2, time=START))]
    found = current(taken(said))
    assert found == plainly(*paid(1, time=START + 90), *paid(2, time=START + 90))
    assert found is not None and len(of_profile(found)) == len(FEATURES)


@given(st.lists(MOVES | TOKEN_MOVES, max_size=MOST))
@settings(max_examples=40, deadline=None)
def test_kept_moves_come_back_exactly(moves: list[Move | TokenMove]) -> None:
    same = [move._replace(time=START) for move in moves]
    assert current(taken([(1, 1, same)])) == (plainly(*same) if same else None)


def test_a_wallet_of_a_few_moves_takes_little_room() -> None:
    few = taken([(n, n, paid(n)) for n in range(5)])
    folded = taken([(1_000 * n, n, paid(n)) for n in range(5)])
    assert len(few.model_dump_json(exclude_none=True)) < 1_000
    assert len(folded.model_dump_json(exclude_none=True)) < 1_500


def test_a_row_in_memory_says_what_a_row_read_back_says() -> None:
    """What a busy wallet has ready is worked on with one batch; when that comes to nothing, the row is as it was."""
    live: Known | None = None
    stored: Known | None = None
    for number in range(1, 200, 2):
        said = Said(number, number, START + 12 * number, paid(number, 2))
        for replaced in (False, True) if number % 10 == 1 else (False,):
            gone = Memory(live)
            gone.take(said._replace(moves=paid(number, 5)))
            one, other = Memory(live), Memory(stored)
            if replaced:
                said = said._replace(revision=1_000 + number, moves=paid(number, 1))
            assert one.take(said) == other.take(said) == "new"
            assert one.scored == other.scored
            live, stored = Known(**one.fields()), Known.model_validate_json(Known(**other.fields()).model_dump_json())
            assert live.model_dump_json() == stored.model_dump_json()
    assert live is not None and live.ready is not None


SENT = Move(START, OUT, None, 10**18 + 1, 200_000, 150_000, 1.2345678, 9, "0xa9059cbb", False, 12.0)
COIN = TokenMove(START, OUT, None, 7, False, 12.0, 3.0)


@pytest.mark.parametrize("turns", [(SENT,), (SENT, SENT._replace(side=IN), COIN, COIN._replace(side=IN))])
@pytest.mark.parametrize(("blocks", "moves", "most"), [(3, 2, 6_000), (16, 2, 12_000), (128, MOST, 170_000)])
def test_a_row_in_memory_takes_what_operations_md_says(
    blocks: int, moves: int, most: int, turns: tuple[Move | TokenMove, ...]
) -> None:
    """With what it has ready: of a quiet wallet, a busy one, and one that as many move in each block as count.

    One that does all there is has numbers of both sides, of transactions and of transfers.
    """

    def row(wallet: int) -> Known:
        memory = Memory()
        for number in range(blocks):
            first = (wallet * blocks + number) * moves
            told = [
                turns[(first + n) % len(turns)]._replace(peer=(first + n) % BITS, time=START + 12 * number)
                for n in range(moves)
            ]
            memory.take(Said(number, number, START + 12 * number, told))
        assert memory.scored is not None
        return made(Known, memory.fields())

    row(0)
    tracemalloc.start()
    try:
        rows = [row(wallet) for wallet in range(1, 5)]
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(one.ready is not None for one in rows)
    assert taken / len(rows) < most
