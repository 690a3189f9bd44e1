"""What is sent for a refused element, which letters are chosen, and what a replayed record says of itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.agent import DeadLetter
from agents.validate import Validator
from console import records as console_records
from console.alone import CannotSend, needs_source, standing_alone
from console.letters import Survey, Wanted, by_reason, chosen, letter_of, topic_of
from console.local.errors import LocalError
from console.records import Seen
from console.refusals import refusal
from console.replay import again_headers, partition_of
from tests.unit.wire import NOW, NUMBER, TIME, encoded, envelope, inside, records, swap, transaction, transfer, tx
from topics import headers
from topics.headers import HANDLED_TYPE, dead_letter, get, parse_place, place
from topics.schemas.letters import Handled, Letter

DLQ = "chain.events.dlq"
BAD = {"gas_used": 5}


def seen(offset: int, value: bytes, said: headers.Headers, at_ms: int = 0, partition: int = 0) -> Seen:
    return Seen(DLQ, partition, offset, at_ms, b"1", said, value)


def said(letter: DeadLetter) -> headers.Headers:
    """The headers that the runtime gives it."""
    return dead_letter(
        topic=letter.record.topic,
        partition=letter.record.partition,
        offset=letter.record.offset,
        index=letter.index,
        reason=letter.reason,
        field=letter.field,
        detail=letter.detail,
        agent="validate",
        carried=letter.record.headers,
    )


def refused(*values: Any, offset: int = 0) -> list[tuple[Letter, bytes]]:
    """The letters that validate makes of these records, as they are read from their topic."""
    found = Validator(0, 1).handle(records(values, offset), NOW).dead_letters
    read = [(letter_of(seen(at, letter.raw, said(letter))), letter.raw) for at, letter in enumerate(found)]
    return [(letter, raw) for letter, raw in read if letter is not None]


def mended(raw: bytes) -> bytes:
    return raw.replace(b'"gas_used": 5', b'"gas_used": 50000')


def taken(value: bytes) -> Validator:
    """What validate holds after one record, which it must not refuse any part of."""
    validator = Validator(0, 1)
    assert validator.handle(records([value]), NOW).dead_letters == []
    return validator


def test_an_event_of_an_envelope_takes_its_block_along() -> None:
    hash = tx(77)
    bad = inside(swap(log_index=1, **BAD))
    source = encoded(envelope(inside(swap(block_hash=hash)), bad, timestamp="2023-08-26T16:00:00Z"))
    [(letter, raw)] = refused(source)
    assert (letter.index, raw) == ("1", json.dumps(bad).encode())
    value = standing_alone(letter, raw, source, NOW)
    assert raw in value  # byte for byte
    assert json.loads(value) == {
        "chain_id": 1, "number": NUMBER, "status": "partial", "hash": hash, "timestamp": TIME, "events": [bad],
    }  # fmt: skip
    # Alone as it is, validate would refuse it for want of a block, mended or not.
    assert refusal("chain.events", b"1", mended(raw)) == "missing_field"
    assert refusal("chain.events", b"1", mended(value)) is None


def test_replayed_events_and_transactions_complete_their_block() -> None:
    whole = envelope(inside(swap()), inside(swap(log_index=1)), transactions=[transaction(1), transaction(2)])
    broken = envelope(
        inside(swap()), inside(swap(log_index=1, **BAD)), transactions=[transaction(1), transaction(2, gas_limit=1)]
    )
    validator, undisturbed = Validator(0, 1), Validator(0, 1)
    undisturbed.handle(records([whole]), NOW)
    source = encoded(broken)
    first = validator.handle(records([source]), NOW)
    assert [letter.index for letter in first.dead_letters] == ["1", "transactions/1"]
    sent = []
    for dead in first.dead_letters:
        letter = letter_of(seen(0, dead.raw, said(dead)))
        assert letter is not None
        value = standing_alone(letter, dead.raw, source, NOW)
        sent.append(
            value.replace(b'"gas_used": 5,', b'"gas_used": 120000,').replace(b'"gas_limit": 1,', b'"gas_limit": 50000,')
        )
    second = validator.handle(records(sent, 1), NOW)
    assert second.dead_letters == []
    blocks = [next(iter(one.assembly.blocks.values())) for one in (validator, undisturbed)]
    after, before = (json.loads(held.emitted or b"") for held in blocks)
    for name in ("events", "transactions", "status", "timestamp"):
        assert after[name] == before[name], name


def test_a_replay_that_is_refused_again_counts_its_attempts() -> None:
    validator, source = Validator(0, 1), encoded(envelope(inside(swap(log_index=1, **BAD))))
    [dead] = validator.handle(records([source]), NOW).dead_letters
    for attempt in (1, 2, 3):
        name = place(DLQ, 0, 10 + attempt, None)
        one = seen(10 + attempt, dead.raw, said(dead))
        letter = letter_of(one)
        assert letter is not None and letter.attempt == attempt - 1
        value = standing_alone(letter, dead.raw, source, NOW)
        [record] = records([value], first=attempt, headers=again_headers(letter, name, one.headers))
        [dead] = validator.handle([record], NOW).dead_letters
        source = value
        assert dead.raw == json.dumps(inside(swap(log_index=1, **BAD))).encode()  # wrapped once, not once an attempt
        assert get(said(dead), headers.ATTEMPT) == str(attempt).encode()
        assert get(said(dead), headers.LETTER) == name.encode()


def test_an_element_of_an_array_stands_alone() -> None:
    source = encoded([swap(), transfer(log_index=1, **BAD)])
    [(letter, raw)] = refused(source)
    assert letter.index == "1" and standing_alone(letter, raw, source, NOW) == raw


def test_what_came_alone_needs_no_source() -> None:
    [(alone, _), (element, _)] = [*refused(swap(**BAD)), *refused(envelope(inside(swap(**BAD))))]
    assert not needs_source("chain.events", alone)
    assert needs_source("chain.events", element) and not needs_source("user.events", element)


@pytest.mark.parametrize(
    "source",
    [
        None, b"{}", b"not json", encoded([swap()]), encoded(envelope(inside(swap()))),
        encoded(envelope(inside(swap()), inside(swap(log_index=9, **BAD)))), encoded(swap()),
    ],
)  # fmt: skip
def test_without_its_record_only_an_event_that_names_its_block_is_sent(source: bytes | None) -> None:
    [(letter, raw)] = refused(envelope(inside(swap()), inside(swap(log_index=1, **BAD))))
    with pytest.raises(CannotSend, match=r"envelope chain\.events/0/0 is gone or was made anew.*drop the letter"):
        standing_alone(letter, raw, source, NOW)
    [(letter, raw)] = refused([swap(), swap(log_index=1, **BAD)])
    assert standing_alone(letter, raw, source, NOW) == raw


def test_what_todays_rules_say() -> None:
    assert refusal("chain.events", b"1", encoded(swap())) is None
    assert refusal("chain.events", b"7", encoded(swap(**BAD))) == "gas_limit"
    assert refusal("requests.data", b"k", b'{"op": "validate_events", "events": []}') is None
    assert refusal("requests.data", b"k", b'{"op": 1}') == "wrong_schema"
    assert refusal("requests.data", b"k", b"{") == "malformed_json"


# Which letters


def letter_headers(reason: str = "r", id: str = "chain.events/0/1", attempt: int = 0) -> headers.Headers:
    out = [
        ("ce_id", id.encode()), ("ce_type", b"soba.dead_letter"), ("dlq.reason", reason.encode()), ("dlq.field", b"f"),
        ("dlq.detail", b"d"), ("dlq.source", id.encode()), ("dlq.agent", b"validate"),
    ]  # fmt: skip
    return [*out, (headers.ATTEMPT, str(attempt).encode())] if attempt else out


def handled(offset: int, status: str, *offsets: int, partition: int = 0) -> Seen:
    value = json.dumps({"status": status, "offsets": offsets, "at": "2026-01-01T00:00:00Z"}).encode()
    return seen(offset, value, [("ce_type", HANDLED_TYPE.encode())], partition=partition)


@pytest.fixture
def survey() -> Survey:
    """Letters 0 to 5 (4 tells 1 again), of which 2 was replayed, 3 dropped and 5 dropped and then replayed."""
    found = Survey(DLQ)
    for at in range(6):
        id = f"chain.events/0/{1 if at == 4 else at}"
        raw = b"1" if at == 4 else str(at).encode()
        found.take(seen(at, raw, letter_headers("odd" if at % 2 else "even", id, attempt=at % 3), at_ms=at * 1000))
    for mark in (handled(6, "dropped", 3, 5), handled(7, "replayed", 2, 5)):
        found.take(mark)
    return found


def test_the_last_word_on_a_letter_is_its_state(survey: Survey) -> None:
    states = [survey.state((0, at)) for at in range(6)]
    assert states == ["open", "open", "replayed", "dropped", "open", "replayed"]
    assert survey.state((1, 2)) == "open"


def test_a_refusal_told_twice_is_chosen_once_with_both_places(survey: Survey) -> None:
    groups = chosen(survey, Wanted(), None)
    assert [[noted.spot for noted in group] for group in groups] == [[(0, 0)], [(0, 1), (0, 4)]]
    assert by_reason(groups) == {"even": 1, "odd": 1}
    # Also where only one of them was asked for.
    assert [[n.spot[1] for n in group] for group in chosen(survey, Wanted(spots={(0, 4)}), None)] == [[1, 4]]


@pytest.mark.parametrize(
    ("wanted", "offsets"),
    [
        (Wanted(reasons=["even"]), [0, 4]),
        (Wanted(reasons=["odd", "even"]), [0, 1, 4]),
        (Wanted(since_ms=1000), [1, 4]),
        (Wanted(until_ms=1000), [0]),
        (Wanted(attempt=1), [1, 4]),
        (Wanted(attempt=2), []),
        (Wanted(states=("dropped",)), [3]),
        (Wanted(states=("replayed",), reasons=["odd"]), [5]),
    ],
)
def test_options_choose_together(survey: Survey, wanted: Wanted, offsets: list[int]) -> None:
    fit = [noted.spot[1] for noted in survey.letters.values() if wanted.fits(noted, survey.state(noted.spot))]
    assert fit == offsets


def test_the_oldest_come_first(survey: Survey) -> None:
    survey.take(seen(0, b"x", letter_headers("even", "chain.events/1/0"), at_ms=-5, partition=1))
    assert [group[0].spot for group in chosen(survey, Wanted(), 2)] == [(1, 0), (0, 0)]


def test_foreign_records_are_neither_letters_nor_notes(survey: Survey) -> None:
    before = dict(survey.letters), dict(survey.fates)
    for said in ([], [("ce_type", HANDLED_TYPE.encode())], [*letter_headers(), ("dlq.index", b"-1")]):
        survey.take(seen(20, b"{}", said))
    survey.take(handled(21, "replayed"))
    survey.take(handled(22, "forgotten", 1))
    assert (survey.letters, survey.fates, survey.strangers) == (*before, 5)


def test_the_first_of_equal_headers_counts() -> None:
    letter = letter_of(seen(0, b"", [*letter_headers("first"), *letter_headers("second")]))
    assert letter is not None and letter.reason == "first"


def test_what_a_schema_of_notes_takes() -> None:
    assert Handled.model_validate_json(handled(0, "dropped", 1, 2).value).offsets == [1, 2]


def test_replayed_records_say_where_they_come_from(survey: Survey) -> None:
    letter = letter_of(seen(2, b"2", letter_headers(attempt=2)))
    carried = [("request_id", b"r"), ("ce_id", b"x"), (headers.ATTEMPT, b"9")]
    assert letter is not None
    made = again_headers(letter, survey.name((0, 2)), carried)
    assert dict(made) == {
        "ce_specversion": b"1.0", "ce_id": b"chain.events.dlq/0/2", "ce_source": b"soba.dlq", "ce_type": b"soba.replayed",
        "content-type": b"application/json", "request_id": b"r", "dlq.attempt": b"3", "dlq.letter": b"chain.events.dlq/0/2",
    }  # fmt: skip


def test_a_rerouted_replay_keeps_its_history() -> None:
    validator = Validator(0, 1_000)
    past = [(headers.ATTEMPT, b"2"), (headers.LETTER, b"chain.events.dlq/0/2")]
    [sent] = validator.handle(records([swap(chain_id=5)], headers=past), NOW).sent_on
    assert [pair for pair in sent.headers if pair in past] == past


@pytest.mark.parametrize("attempt", [b"x", b"-1", b"", b"1" * 7, None])
def test_what_others_write_as_history_is_not_carried(attempt: bytes | None) -> None:
    past = [(headers.LETTER, b"a")] if attempt is None else [(headers.ATTEMPT, attempt), (headers.LETTER, b"a")]
    assert headers.history(past) == []
    assert headers.history([(headers.ATTEMPT, b"1"), (headers.LETTER, b"a" * 301)]) == []


def test_views_go_to_the_partition_they_stood_in() -> None:
    letter = letter_of(seen(0, b"{}", letter_headers(id="wallet.activity/3/17")))
    assert letter is not None
    assert partition_of("wallet.activity", letter) == 3
    assert partition_of("chain.events", letter) is None


def test_places_are_read_as_they_are_written() -> None:
    assert parse_place(place("chain.events", 3, 17, None)) == ("chain.events", 3, 17)
    assert parse_place(place("chain.events", 3, 17, "transactions/2")) == ("chain.events", 3, 17)
    for text in ("", "a/b/c", "chain.events/0", "chain.events/0/1x", "/0/1", "chain.events/٣/1"):
        assert parse_place(text) is None, text


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("30m", 998_200_000), ("2h", 992_800_000), ("1d", 913_600_000), ("0s", 1_000_000_000),
        ("1970-01-02T00:00:00Z", 86_400_000), ("1970-01-02", 86_400_000), ("1970-01-02T01:00:00+01:00", 86_400_000),
    ],
)  # fmt: skip
def test_moments(text: str, ms: int) -> None:
    assert console_records.moment(text, "--since", 1_000_000) == ms


@pytest.mark.parametrize("text", ["", "yesterday", "2x", "-2h", "٣h", "2026-13-01"])
def test_wrong_moments_are_told(text: str) -> None:
    with pytest.raises(LocalError, match="--since takes 30m, 2h, 3d"):
        console_records.moment(text, "--since", 0)


def test_a_topic_without_dead_letters_is_told() -> None:
    assert topic_of("chain.events") == topic_of(DLQ) == DLQ
    with pytest.raises(LocalError, match="alerts has no dead letters; these topics do: chain"):
        topic_of("alerts")
