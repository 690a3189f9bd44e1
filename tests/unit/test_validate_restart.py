"""validate after a restart: what it takes back from chain.blocks, and how much of that it needs."""

from __future__ import annotations

import json
from unittest.mock import patch

from agents import resumed
from agents.agent import Written
from models.chain import assembly
from tests.unit.validating import CHAINS, FORKS, reasons, take, validator
from tests.unit.wire import (
    DAI,
    NUMBER,
    USDC,
    WETH,
    decoded,
    encoded,
    envelope,
    inside,
    swap,
    written,
)


def test_restoring_sends_views_again_only_of_what_may_not_have_been_sent() -> None:
    state = validator()
    first = take(envelope(inside(swap())), state=state)
    second = take(envelope(inside(swap(NUMBER + 1)), number=NUMBER + 1), state=state, first=1)
    tail = written(*first.outputs, *second.outputs)
    again = validator().restore(tail, committed=1)
    assert (again.outputs, again.dead_letters) == ([], [])
    assert [output.value for output in again.after] == [output.value for output in second.after]
    assert validator().restore(tail, committed=2).after == []


def test_restoring_names_what_every_revision_read_had_named() -> None:
    """A zombie's late copy of an older revision among them."""
    tokens = [DAI, USDC, "0x" + "77" * 20]
    revisions = [
        written(*take(envelope(inside(swap(token_out=token))), first=offset).outputs)[0]
        for offset, token in enumerate(tokens, start=3)
    ]
    zombie, older, newest = revisions[1], revisions[0], revisions[2]
    again = validator().restore([older, newest, zombie], committed=5)
    pairs = {key: len(trades) for value in decoded(again.after) for key, trades in value.get("pairs", {}).items()}
    assert pairs == {f"1:{min(WETH, t)}:{max(WETH, t)}": int(t == tokens[2]) for t in tokens}


def test_a_replay_that_has_not_reached_the_newest_blocks_is_not_late() -> None:
    """Blocks that were emitted out of the committed offset's reach do not push a block out before they are read again."""
    with patch.object(assembly, "HELD_BLOCKS", 3):
        log = [
            swap(NUMBER + 1),
            envelope(number=NUMBER + 2),
            swap(),
            *[envelope(number=NUMBER + n) for n in range(3, 7)],
        ]
        undisturbed = take(*log)
        state = validator()
        # Of that batch only the newer blocks were confirmed.
        state.restore(
            written(*(output for output in undisturbed.outputs if json.loads(output.value)["number"] != NUMBER)), 0
        )
        again = take(*log, state=state)
    assert reasons(again) == reasons(undisturbed) == []
    assert [block["number"] for block in decoded(again.outputs)] == [NUMBER]


def test_a_replay_makes_no_dead_letters_of_what_was_refused_as_a_whole() -> None:
    state = validator()
    first = take(envelope(inside(swap()), hash=FORKS[1]), state=state)
    late = envelope({"event_type": "swap"}, status="partial", hash=FORKS[2])
    assert reasons(take(late, state=state, first=1)) == [("other_fork", None)]
    second = take(swap(log_index=1), state=state, first=2)
    again = validator()
    again.restore(written(*first.outputs, *second.outputs), committed=1)
    assert reasons(take(late, state=again, first=1)) == []


def block_of(number: int, revision: int, window: str | None = None, chain_id: int = 1) -> Written:
    value = {
        "chain_id": chain_id,
        "number": number,
        "revision": revision,
        "status": "complete",
        "events": [],
        "transactions": [],
    }
    headers = [] if window is None else [("held", window.encode())]
    return Written(f"{chain_id}:{number}:{revision}", headers, encoded(value))


def test_a_restart_reads_back_as_far_as_it_must() -> None:
    """All blocks that late events can change, of every chain, and half as many records again from before what is committed."""
    tail = [block_of(n, n, f"{max(0, n - 99)}:{min(n + 1, 100)}") for n in range(300)]
    assert resumed.enough(tail, committed=300) and resumed.enough(tail[-100:], committed=300)
    assert not resumed.enough(tail[-99:], committed=300)
    assert not resumed.enough(tail[-100:], committed=250)  # what was lowest then is not among them
    assert resumed.enough(tail, committed=150) and not resumed.enough(tail, committed=149)
    assert not resumed.enough([*tail, block_of(5, 300, "4:2", chain_id=2)], committed=301)
    assert resumed.enough([*tail, block_of(5, 300, "5:1", chain_id=2)], committed=301)
    assert not resumed.enough([block_of(n, n) for n in range(511)], committed=511)  # written before windows were told
    assert resumed.enough([], committed=0)


def test_a_tail_that_lacks_the_highest_blocks_is_not_enough() -> None:
    """Block 1000 came first, then older ones were filled in: they are the newest records and not the highest blocks."""
    with patch.object(assembly, "HELD_BLOCKS", 4):
        state = validator()
        first = take(envelope(inside(swap(1_000)), number=1_000), state=state)
        after = take(*(envelope(number=n) for n in range(100, 106)), state=state, first=1)
        tail = written(*after.outputs)
        assert not resumed.enough(tail[-4:], committed=7)
        assert resumed.enough(written(*first.outputs) + tail, committed=7)
        again = validator()
        again.restore(tail[-4:], committed=7)  # nothing older is to be had
        assert reasons(take(swap(101, log_index=9), state=again, first=7)) == [("too_late", None)]
        assert reasons(take(swap(1_000, log_index=9), state=again, first=8)) == []


def test_a_chain_whose_blocks_are_all_there_may_begin_lower() -> None:
    state = validator()
    tail = [*written(*take(envelope(number=50), state=state).outputs), block_of(5, 9, "1:3", chain_id=CHAINS[1])]
    again = validator()
    again.restore(tail, committed=10)
    assert reasons(take(swap(7), swap(4, chain_id=CHAINS[1]), state=again, first=10)) == [("too_late", None)]
