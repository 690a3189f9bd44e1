"""validate keeps each of its promises about blocks, one by one."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from agents.agent import Result
from models.chain import assembly
from tests.unit.validating import CHAINS, ELSEWHERE, FORKS, HERE, PARTITIONS, last, reasons, take, validator
from tests.unit.wire import (
    ALICE,
    DAI,
    NOW,
    NUMBER,
    POOL,
    TIME,
    TRACE,
    USDC,
    WETH,
    decoded,
    encoded,
    envelope,
    inside,
    records,
    swap,
    transaction,
    transfer,
    tx,
)
from topics.registry import CHAIN_EVENTS


def test_a_complete_envelope_closes_at_once() -> None:
    result = take(envelope(inside(swap())))
    assert last(result)["status"] == "complete"
    assert last(result)["revision"] == 0


def test_a_block_closes_when_a_newer_block_of_its_chain_is_seen() -> None:
    state = validator()
    assert take(swap(), swap(chain_id=CHAINS[1], block_number=NUMBER + 1), state=state).outputs == []
    result = take(swap(NUMBER + 1), state=state, first=2)
    assert [(b["number"], b["status"]) for b in decoded(result.outputs)] == [(NUMBER, "partial")]
    # And what is late to an older block closes at once.
    assert last(take(swap(log_index=1), state=state, first=3))["revision"] == 3


def test_a_block_closes_after_two_quiet_seconds() -> None:
    state = validator()
    take(swap(), state=state)
    take(swap(log_index=1), state=state, first=1, now=NOW + 1.5)
    assert state.handle([], NOW + 3.4).outputs == []
    assert state.floor() == 0
    assert last(state.handle([], NOW + 3.5))["revision"] == 1
    assert state.floor() is None


def test_a_block_is_open_for_five_seconds_at_the_most() -> None:
    state = validator()
    for place in range(5):
        assert take(swap(log_index=place), state=state, first=place, now=NOW + place).outputs == []
    assert len(last(take(swap(log_index=9), state=state, first=9, now=NOW + 5))["events"]) == 6


def test_an_assembled_block_is_partial_and_a_complete_envelope_replaces_it() -> None:
    state = validator()
    take(swap(log_index=5), state=state)
    assert last(state.handle([], NOW + 2))["status"] == "partial"
    result = take(envelope(inside(swap(log_index=6))), state=state, first=1)
    assert [event["log_index"] for event in last(result)["events"]] == [6]
    assert last(result)["status"] == "complete"


def test_events_stand_in_order_and_absent_indexes_last() -> None:
    places = [(1, 9), (None, 3), (0, 4), (None, None), (0, 2), (1, None)]
    values = [
        transfer(transaction_index=t, log_index=log, event_id=f"e{n}", transaction_hash=tx(n))
        for n, (t, log) in enumerate(places)
    ]
    found = last(take(*values, swap(NUMBER + 1)))["events"]
    assert [event["event_id"] for event in found] == ["e4", "e2", "e0", "e5", "e1", "e3"]


def test_the_first_of_an_identity_wins_and_other_content_is_refused() -> None:
    same = swap(event_id="other", amount_in="1.50")
    result = take([swap(), same, swap(amount_in="2")], swap(NUMBER + 1))
    assert [event["event_id"] for event in last(result)["events"]] == ["e1"]
    assert reasons(result) == [("conflicting_duplicate", "2")]


def test_without_a_log_index_the_event_id_is_the_identity() -> None:
    values = [swap(log_index=None, event_id=name) for name in ("a", "b", "a")]
    assert len(last(take(values, swap(NUMBER + 1)))["events"]) == 2


def test_a_block_goes_on_without_what_is_refused_and_counts_it() -> None:
    good, zero = inside(swap()), inside(swap(log_index=1, amount_in="0"))
    bad = transaction(2, gas_limit=1)
    value = (
        b'{"chain_id":1,"number":18000000,"status":"complete","events":[ '
        + b" , ".join(
            [encoded(good), encoded(zero) + b" ", b'{"event_type":"swap"}', encoded({**good, "amount_out": "1"})]
        )
        + b'],"transactions":['
        + encoded(transaction(1))
        + b" , "
        + encoded(bad)
        + b"]}"
    )
    result = take(value)
    assert last(result)["rejected"] == 4
    assert len(last(result)["events"]) == len(last(result)["transactions"]) == 1
    assert [(letter.index, letter.reason, letter.raw) for letter in result.dead_letters] == [
        ("1", "amount_positive", encoded(zero)),
        ("2", "missing_field", b'{"event_type":"swap"}'),
        ("3", "conflicting_duplicate", encoded({**good, "amount_out": "1"})),
        ("transactions/1", "gas_limit", encoded(bad)),
    ]


def test_nulls_are_unknown_and_nothing_is_made_up() -> None:
    names = ("hash", "parent_hash", "timestamp", "base_fee", "transactions")
    bare = {"hash": tx(1), "index": 0, **dict.fromkeys(("from_address", "value_wei", "gas_used", "status"))}
    result = take(
        {**envelope(inside(swap())), **dict.fromkeys(names)}, envelope(number=NUMBER + 1, transactions=[bare])
    )
    first, second = decoded(result.outputs)
    assert result.dead_letters == []
    assert not {*names} - {"transactions"} & {*first}
    assert "timestamp" not in first["events"][0]
    assert second["transactions"] == [{"hash": tx(1), "index": 0}]
    trades = [value for value in decoded(result.after) if value.get("pairs") and value["status"] != "clock"]
    assert "timestamp" not in trades[0]


def test_unknown_fields_are_kept_out_of_the_result() -> None:
    result = take(envelope({**inside(swap()), "mood": 1}, transactions=[transaction(1, mood=1)], mood=1))
    assert b"mood" not in result.outputs[0].value
    assert result.dead_letters == []


@pytest.mark.parametrize("status", ["complete", "partial"])
def test_an_envelope_sent_twice_is_no_new_revision(status: str) -> None:
    """Even where it came from bytes with unknown fields the first time, and with values that parsers share."""
    value = envelope(
        {**inside(swap()), "mood": 1}, status=status, transactions=[transaction(1, mood=1)], base_fee=7, miner=ALICE
    )
    state = validator()
    take(value, state=state)
    assert len(state.handle([], NOW + 5).outputs) == (status == "partial")
    assert take(value, state=state, first=1, now=NOW + 6).outputs == []
    assert state.floor() is None


def test_another_forks_late_event_changes_nothing() -> None:
    state = validator()
    take(envelope(inside(swap()), hash=FORKS[1]), state=state)
    result = take(swap(log_index=1, block_hash=FORKS[2]), state=state, first=1)
    assert (reasons(result), result.outputs) == ([("other_fork", None)], [])
    result = take(swap(log_index=1, block_hash=FORKS[1]), swap(log_index=2), state=state, first=2)
    assert (reasons(result), len(last(result)["events"])) == ([], 3)


def test_a_partial_envelope_of_another_fork_changes_nothing_even_if_only_its_events_say_so() -> None:
    state = validator()
    take(envelope(inside(swap()), hash=FORKS[1]), state=state)
    late = inside(swap(log_index=1, block_hash=FORKS[2]))
    assert reasons(take(envelope(late, status="partial"), state=state, first=1)) == [("other_fork", None)]
    assert reasons(take(envelope(late, status="partial", hash=FORKS[2]), state=state, first=2)) == [
        ("other_fork", None)
    ]


def test_a_block_is_removed_and_another_fork_takes_its_number() -> None:
    state = validator()
    take(envelope(inside(swap()), hash=FORKS[1], transactions=[transaction(1)]), state=state)
    assert reasons(take(envelope(status="removed", hash=FORKS[2]), state=state, first=1)) == [("other_fork", None)]
    removed = last(take(envelope(status="removed", hash=FORKS[1]), state=state, first=2))
    assert (removed["status"], removed["revision"]) == ("removed", 2)
    assert removed["events"] == removed["transactions"] == []
    assert reasons(take(swap(block_hash=FORKS[1]), state=state, first=3)) == [("other_fork", None)]
    assert take(envelope(status="removed", hash=FORKS[1]), state=state, first=4).outputs == []
    take(swap(block_hash=FORKS[2], log_index=7), state=state, first=5)
    new = last(state.handle([], NOW + 2))
    assert (new["status"], new["hash"], new["revision"]) == ("partial", FORKS[2], 5)
    assert [event["log_index"] for event in new["events"]] == [7]


def test_a_removed_block_does_not_come_back_in_secret() -> None:
    state = validator()
    take(envelope(status="removed"), state=state)
    assert take(envelope(status="partial"), state=state, first=1).outputs == []
    back = last(state.handle([], NOW + 2))
    assert (back["status"], back["events"], back["revision"]) == ("partial", [], 1)


def test_a_removal_of_a_block_never_seen_is_a_revision_too() -> None:
    result = take(envelope(status="removed", hash=FORKS[1]))
    assert (last(result)["status"], result.dead_letters) == ("removed", [])


def test_a_complete_envelope_of_another_fork_replaces_a_block() -> None:
    state = validator()
    take(envelope(inside(swap()), hash=FORKS[1]), state=state)
    result = take(envelope(inside(swap(token_out=DAI)), hash=FORKS[2]), state=state, first=1)
    assert last(result)["hash"] == FORKS[2]
    pairs = {key: trades for value in decoded(result.after) for key, trades in value.get("pairs", {}).items()}
    assert pairs[f"1:{USDC}:{WETH}"] == []
    assert len(pairs[f"1:{DAI}:{WETH}"]) == 1


def test_a_removal_names_all_that_the_block_named_with_empty_lists() -> None:
    state = validator()
    before = take(envelope(inside(swap()), transactions=[transaction(1)]), state=state)
    after = take(envelope(status="removed"), state=state, first=1)

    def named(result: Result) -> dict[tuple[str, int | None, str], int]:
        return {
            (output.topic, output.partition, key): len(moves)
            for output in result.after
            for value in [json.loads(output.value)]
            for key, moves in (value.get("pairs") or value.get("wallets") or {}).items()
        }

    assert named(before).keys() == named(after).keys()
    assert set(named(after).values()) == {0}
    assert all(named(before).values())


def test_late_is_only_what_is_below_the_512_highest_blocks() -> None:
    state = validator()
    take(*[envelope(number=NUMBER + n, timestamp=TIME) for n in range(1, 512)], state=state)
    assert reasons(take(swap(), state=state, first=600)) == []  # 511 are held: it is one of 512 now
    assert reasons(take(swap(NUMBER - 1), state=state, first=601)) == [("too_late", None)]
    take(envelope(number=NUMBER + 512), state=state, first=602)
    assert reasons(take(swap(log_index=1), state=state, first=603)) == [("too_late", None)]
    assert reasons(take(swap(NUMBER + 1), state=state, first=604)) == []
    assert reasons(take(swap(NUMBER - 1, chain_id=CHAINS[1]), state=state, first=605)) == []


def test_blocks_below_are_forgotten() -> None:
    state = validator()
    for n in range(700):
        take(envelope(number=NUMBER + n, timestamp=TIME), state=state, first=n)
    assert len(state.assembly.blocks) <= assembly.HELD_BLOCKS + assembly.SWEEP
    assert min(number for _, number in state.assembly.blocks) <= NUMBER + 700 - assembly.HELD_BLOCKS


def test_a_new_hour_of_a_chain_is_told_once_to_every_partition_of_every_view() -> None:
    state = validator()

    def clocks(result: Result) -> list[tuple[str, int | None, int, int]]:
        return [
            (output.topic, output.partition, value["chain_id"], value["timestamp"])
            for output, value in zip(result.after, decoded(result.after), strict=True)
            if value["status"] == "clock"
        ]

    def everywhere(chain: int, time: int) -> list[tuple[str, int | None, int, int]]:
        return [(topic, n, chain, time) for topic in ("pair.trades", "wallet.activity") for n in range(PARTITIONS)]

    hour = TIME // 3600 * 3600
    assert clocks(take(envelope(timestamp=hour), state=state)) == everywhere(1, hour)
    assert clocks(take(envelope(number=NUMBER + 1, timestamp=hour + 3599), state=state, first=1)) == []
    result = take(envelope(number=NUMBER + 2, timestamp=hour + 3600), state=state, first=2)
    assert clocks(result) == everywhere(1, hour + 3600)
    assert clocks(take(envelope(number=NUMBER + 3, timestamp=hour), state=state, first=3)) == []
    result = take(envelope(chain_id=CHAINS[1], timestamp=hour), state=state, first=4)
    assert clocks(result) == everywhere(CHAINS[1], hour)
    assert clocks(take(envelope(number=NUMBER + 4, timestamp=None), state=state, first=5)) == []


def test_what_is_misplaced_goes_on_as_its_own_bytes_once() -> None:
    alien = b' {"x" :1,' + encoded(swap(chain_id=ELSEWHERE))[1:]
    whole = encoded(envelope(chain_id=ELSEWHERE))
    result = take(
        b"[" + encoded(swap()) + b" ," + alien + b"\n]", whole, alien, traceparent=TRACE, request_id=b"r", other=b"o"
    )
    key = str(ELSEWHERE).encode()
    assert [(o.topic, o.key, o.value, o.partition) for o in result.sent_on] == [
        ("chain.events", key, value, None) for value in (alien.strip(), whole, alien)
    ]
    for output, place in zip(result.sent_on, ("0/1", "1", "2"), strict=True):
        origin = f"chain.events/{HERE}/{place}".encode()
        carried = [("request_id", b"r"), ("rerouted", b"1"), ("traceparent", TRACE)]
        assert sorted(output.headers) == [("origin", origin), *carried]
    assert result.dead_letters == []


def test_what_is_misplaced_and_larger_than_its_topic_takes_is_a_dead_letter() -> None:
    """The broker leaves room for headers, which a value may have used; sent on it would count as a fault of ours."""
    size = CHAIN_EVENTS.max_bytes + 1
    (record,) = records([envelope(chain_id=ELSEWHERE)])
    value = record.raw[:-1] + b',"x":"' + b"x" * (size - len(record.raw) - 7) + b'"}'
    assert len(value) == size
    result = validator().handle([record._replace(raw=value)], NOW)
    assert (reasons(result), result.sent_on) == ([("too_large", None)], [])
    assert "8,388,609 bytes" in result.dead_letters[0].detail


def test_what_is_misplaced_twice_is_a_dead_letter() -> None:
    result = take(swap(chain_id=ELSEWHERE), swap(), rerouted=b"1")
    assert (reasons(result), result.sent_on) == ([("misplaced", None)], [])


def test_refusals_of_whole_values() -> None:
    future = envelope(timestamp=int(NOW) + 61)
    result = take(b"{", b"null", swap(amount_in="0"), future, {"events": [], "number": "x"}, [swap(), envelope()])
    assert [(letter.reason, letter.field, letter.index) for letter in result.dead_letters] == [
        ("malformed_json", "", None),
        ("wrong_type", "", None),
        ("amount_positive", "amount_in", None),
        ("future_time", "timestamp", None),
        ("wrong_type", "number", None),
        ("wrong_type", "", "1"),
    ]


def test_values_of_any_size_never_make_the_handler_raise() -> None:
    """orjson knows 64 bits only: what is wider must be refused before a block is encoded."""
    mint = {"event_type": "mint", "pool": POOL}
    names = ("observed_at", "gas_used", "timestamp", "tick")
    wide = [swap(log_index=n, **{name: 10**30}) for n, name in enumerate(names)]
    wide += [transfer(log_index=9, **mint, **{name: -(10**30)}) for name in ("tick_lower", "tick_upper")]
    result = take(wide, envelope(inside(swap(tick=-(2**63), observed_at=2**63 - 1))))
    assert [letter.field for letter in result.dead_letters] == [*names, "tick_lower", "tick_upper"]
    assert last(result)["events"][0]["tick"] == -(2**63)


def test_a_partial_envelope_sent_again_changes_nothing() -> None:
    state = validator()
    value = envelope(inside(swap()), inside(swap(log_index=1, amount_in="0")), status="partial")
    assert reasons(take(value, value, state=state)) == [("amount_positive", "1")] * 2
    closed = state.handle([], NOW + 10)
    assert (last(closed)["rejected"], last(closed)["revision"]) == (1, 0)
    more = take(envelope(inside(swap(log_index=2)), {"event_type": "swap"}, status="partial"), state=state, first=2)
    assert reasons(more) == [("missing_field", "1")]
    assert last(state.handle([], NOW + 20))["rejected"] == 2


def test_an_envelope_takes_its_hash_from_no_refused_event() -> None:
    refused = inside(swap(amount_in="0", block_hash=FORKS[1]))
    good = inside(swap(log_index=1, block_hash=FORKS[2]))
    result = take(envelope(refused, good))
    assert reasons(result) == [("wrong_block", "0")]
    assert last(result)["hash"] == FORKS[2] and len(last(result)["events"]) == 1


def test_counts_tell_what_became_of_events() -> None:
    result = take([swap(), swap(), swap(log_index=1)], envelope(chain_id=ELSEWHERE))
    assert result.taken == {"new": 2, "duplicate": 1, "rerouted": 1}


def test_a_partial_envelope_counts_only_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "ASSEMBLED_EVENTS", 3)
    monkeypatch.setattr(assembly, "ASSEMBLED_TRANSACTIONS", 2)
    state = validator()
    events = [inside(swap(log_index=n)) for n in range(4)]
    transactions = [transaction(n) for n in range(3)]
    whole = envelope(*events[:3], status="partial", transactions=transactions[:2])
    assert reasons(take(whole, whole, state=state)) == []
    assert reasons(take(envelope(events[3], status="partial"), state=state, first=2)) == [("too_large", None)]
    more = envelope(transactions=transactions[2:], status="partial")
    assert reasons(take(more, state=state, first=3)) == [("too_large", None)]
    large = envelope(*map(dict, events), status="partial", number=NUMBER + 1)
    assert reasons(take(large, state=state, first=4)) == [("too_large", None)]
    assert (1, NUMBER + 1) not in state.assembly.blocks  # refused, it leaves no trace
    complete = envelope(*map(dict, events), transactions=transactions)
    assert len(last(take(complete, state=state, first=5))["events"]) == 4


def test_a_block_stops_changing_when_too_many_names_would_have_to_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "NAMED", 5)
    state = validator()
    wallets = [f"0x{n:040x}" for n in range(1, 20)]
    refused = 0
    for offset, wallet in enumerate(wallets):
        refused += len(take(envelope(inside(swap(from_address=wallet))), state=state, first=offset).dead_letters)
    assert refused > 10 and len(state.assembly.blocks[1, NUMBER].named) < 10


def test_what_a_block_costs_does_not_depend_on_how_many_are_open() -> None:
    """It once did: 4,000 events of as many blocks took 2 s, those of one block 0.05 s. Calls are counted, generators' steps too."""

    def calls(blocks: int) -> float:
        state, batch = validator(), records([swap(NUMBER + n) for n in range(blocks)])
        many = 0

        def count(*_: Any) -> None:
            nonlocal many
            many += 1

        sys.setprofile(count)
        try:
            result = state.handle(batch, NOW)
        finally:
            sys.setprofile(None)
        assert len(result.outputs) == blocks - 1
        return many / blocks

    calls(10)
    assert calls(600) < 1.3 * calls(100)
