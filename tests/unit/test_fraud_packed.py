"""A profile packed and unpacked is the same profile."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.fraud.bitmaps import BITS, ONE, slot
from models.fraud.features import of_profile
from models.fraud.half import NO_TRANSACTIONS, NO_TRANSFERS
from models.fraud.packed import pack, unpack
from models.fraud.profile import Move, Profile, TokenMove

SLOTS = st.integers(0, BITS - 1)
SIDES = st.sampled_from((0, 1))
TIMES = st.integers(1_600_000_000, 1_600_000_000 + 90 * 86_400)
FAME = st.floats(0, 1e6)
LISTED = st.sampled_from(("", "ofac 0xa", "forta_phishing,mine 0xb"))
MOVES = st.builds(
    Move,
    TIMES,
    SIDES,
    st.none() | SLOTS,
    st.sampled_from((0, 1, 10**17, 10**18)) | st.integers(0, 2**256 - 1),
    st.none() | st.integers(0, 30_000_000) | st.just(21_000),
    st.none() | st.integers(0, 30_000_000),
    st.none() | st.floats(0, 1e6),
    st.integers(0, 20),
    st.sampled_from(("0x", "0xa9059cbb", "0x095ea7b3")),
    st.booleans(),
    FAME,
    LISTED,
)
TOKEN_MOVES = st.builds(TokenMove, TIMES, SIDES, st.none() | SLOTS, SLOTS, st.booleans(), FAME, FAME, LISTED)
MANY = [Move(1_600_000_000 + n, 1, slot(f"0x{n:040x}"), n, None, None, None, 0, "0x", False, 0.0) for n in range(500)]
"""So many peers that their bitmap is all digits."""


def profile_of(moves: list[Move | TokenMove]) -> Profile:
    profile = Profile()
    for move in sorted(moves, key=lambda move: move.time):
        profile.move(move) if isinstance(move, Move) else profile.token_move(move)
    return profile


@given(st.lists(MOVES | TOKEN_MOVES, max_size=30))
@settings(max_examples=60, deadline=None)
@example(MANY)
def test_what_is_packed_comes_back_exactly(moves: list[Move | TokenMove]) -> None:
    profile = profile_of(moves)
    found = unpack(pack(profile))
    assert found == profile
    assert repr([*map(float, of_profile(found))]) == repr(
        [*map(float, of_profile(profile))]
    )  # NaN is not equal to itself
    assert pack(found) == pack(profile)


def test_what_most_wallets_have_alone_is_the_same_object_for_all() -> None:
    """Also of a row read back, and none who counts a move counts it for all."""
    sent, coin = MANY[0], TokenMove(1_600_000_000, 0, 5, 7, False, 0.0, 0.0)
    for one in (profile_of([sent, sent]), unpack(pack(profile_of([sent, sent])))):
        assert one.went.peers is one.peers is ONE[sent.peer or 0]
        assert one.came.numbers is NO_TRANSACTIONS and one.came.transfers is one.went.transfers is NO_TRANSFERS
        one.token_move(coin)
        one.move(sent._replace(side=0))
        assert (one.came.moves, one.came.tokens, one.went.moves, one.went.tokens) == (1, 1, 2, 0)
    assert not any(NO_TRANSACTIONS) and not any(NO_TRANSFERS) and Profile() == profile_of([])
