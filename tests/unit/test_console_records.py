"""Lines for people and programs, filters, keys and lines of the record commands."""

from __future__ import annotations

import io
import json
import os
import time
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError

from base.settings import Settings
from console import records
from console.consume import Search, matches, parse_filter
from console.dlq import about, nothing
from console.letters import letter_of
from console.local.errors import LocalError
from console.produce import Sent, header_of, key_of, lines_of
from console.produce import _one_id as one_id
from console.produce import _report as report
from console.records import SHOWN, Seen, as_json, as_text, beginning, known, parsed, short
from topics import headers
from topics.registry import ALERTS, CHAIN_EVENTS, MEV_FINDINGS, PAIR_TRADES, SWAP_REQUESTS


def seen(value: bytes, more: headers.Headers | None = None, key: bytes | None = b"1") -> Seen:
    return Seen("chain.events", 1, 42, 1_700_000_000_123, key, more or [], value)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (b'{"event_type": "swap"}', b"1"),
        (b'{"event_type": "swap", "chain_id": 10}', b"10"),
        (b'{"chain_id": "10"}', b"10"),
        (b'[{"chain_id": 5}, {"chain_id": 6}]', b"5"),
        (b'{"chain_id": 137, "number": 1, "status": "complete", "events": []}', b"137"),
        (b'{"chain_id": true}', None),
        (b'{"chain_id": 1.5}', None),
        (b'{"chain_id": null}', None),
        (b"[]", None),
        (b"[[1]]", None),
        (b"17", None),
        (b"not json", None),
        (b"\xff", None),
        (b"[" * 100_000, None),
    ],
)
def test_chain_events_are_keyed_by_chain(line: bytes, key: bytes | None) -> None:
    assert key_of(CHAIN_EVENTS, line) == key


def test_keys_follow_the_rule_of_each_topic() -> None:
    assert key_of(MEV_FINDINGS, b'{"chain_id": 1, "block_number": 17}') == b"1:17"
    assert key_of(MEV_FINDINGS, b'{"chain_id": 1}') is None
    assert key_of(ALERTS, b'{"entity": "1:17"}') == b"1:17"
    assert key_of(PAIR_TRADES, b'{"chain_id": 1}') is None


def test_swap_requests_are_keyed_by_who_sells_in_either_spelling() -> None:
    for name in ("fromAddress", "from_address"):
        assert key_of(SWAP_REQUESTS, json.dumps({name: "0xAb", "amount": 1}).encode()) == b"0xAb"
        assert key_of(SWAP_REQUESTS, json.dumps([{name: "0xAb"}, {name: "0xcd"}]).encode()) == b"0xAb"
    assert key_of(SWAP_REQUESTS, b'{"from_address": null, "fromAddress": "0xAb"}') is None
    assert key_of(SWAP_REQUESTS, b'{"amount": 1}') is None


@pytest.mark.parametrize("text", ["request_id", "=mine", ""])
def test_a_header_has_a_name_and_a_value(text: str) -> None:
    assert header_of("request_id=a=b") == ("request_id", b"a=b") and header_of("empty=") == ("empty", b"")
    with pytest.raises(LocalError, match="--header takes NAME=VALUE"):
        header_of(text)


def test_several_lines_under_one_id_are_told_of() -> None:
    assert "3 lines are one request, mine-1: the first is assessed" in one_id([("request_id", b"mine-1")], 3)
    assert one_id([("note", b"mine-1")], 3) == ""


def test_lines_that_are_not_json_are_told_with_where_they_end(capsys: pytest.CaptureFixture[str]) -> None:
    report(CHAIN_EVENTS, Sent(lines=3, acknowledged=3, no_json=2, keyless=1), "one.json", json=False)
    assert capsys.readouterr().err == (
        "warning: 2 lines are not JSON; one.json is read as one record a line; "
        "they end as dead letters: bin/soba dlq show chain.events\n"
        "warning: 1 without a usable chain_id: sent with key 1\n"
    )


def test_lines_are_taken_as_they_are_but_for_their_ends() -> None:
    source = io.BytesIO(b' {"a": 1} \n\n  \r\nnot json\r\n{"last": true}')
    assert list(lines_of(source)) == [(1, b' {"a": 1} '), (4, b"not json"), (5, b'{"last": true}')]


def test_json_lines_hold_the_value_byte_for_byte() -> None:
    value = b'{"a": 1.10,\n "big": 123456789012345678901234567890}'
    line = as_json(seen(value))
    assert b"\n" not in line
    assert b'{"a": 1.10,  "big": 123456789012345678901234567890}' in line
    row = json.loads(line)
    assert (row["topic"], row["partition"], row["offset"]) == ("chain.events", 1, 42)
    assert row["timestamp"] == "2023-11-14T22:13:20.123Z"


@pytest.mark.parametrize(
    ("value", "field", "shown"),
    [
        (b"null", "value", None),
        (b"not json", "text", "not json"),
        (b"NaN", "text", "NaN"),
        (b"\xff\xfe", "base64", "//4="),
        (b"", "text", ""),
    ],
)
def test_what_is_not_json_is_text_or_base64(value: bytes, field: str, shown: str | None) -> None:
    row = json.loads(as_json(seen(value)))
    assert row[field] == shown
    assert {"value", "text", "base64"} & row.keys() == {field}


def test_text_is_cut_and_says_so() -> None:
    assert short(b"x" * SHOWN) == "x" * SHOWN
    cut = short(b"x" * 100_000)
    assert cut.startswith("x" * SHOWN + "…")
    assert "100,000 bytes" in cut
    assert as_text(seen(b"1", [("a", b"b")], key=None), headers=True).splitlines() == [
        "chain.events/1/42  2023-11-14T22:13:20.123Z  key=-",
        "  a: b",
        "  1",
    ]


def test_filters_look_into_fields_and_lists() -> None:
    value = parsed(b'{"number": 17, "status": "complete", "hash": null, "events": [{"to": "0xAb"}, {"to": "0xcd"}]}')
    for text in ("number=17", "status=complete", "hash=null", "events.to=0xab", "events.to=0xCD"):
        assert matches(value, [parse_filter(text)]), text
    for text in ("number=18", "nothing=1", "events=1", "status.x=complete"):
        assert not matches(value, [parse_filter(text)]), text
    assert not matches(value, [parse_filter("number=17"), parse_filter("status=partial")])
    assert matches(parsed(b'[{"chain_id": 5}, {"chain_id": 6}]'), [parse_filter("chain_id=6")])
    with pytest.raises(LocalError):
        parse_filter("number")


def test_a_search_that_finds_nothing_says_why() -> None:
    assert Search("alerts", "latest", []).nothing() == "nothing new came to alerts; --from earliest shows what is there"
    assert Search("alerts", "earliest", []).nothing() == "alerts holds no records"
    assert Search("alerts", "7", []).nothing() == "alerts holds no records from offset 7 on"
    search = Search("alerts", "earliest", [parse_filter("a.b=1"), parse_filter("nmuber=5")])
    for value in (b'{"a": {"b": 2}, "number": 5}', b"not json"):
        assert not search.fits(value)
    assert search.nothing() == (
        "2 records of alerts read, none matches --filter a.b=1 --filter nmuber=5"
        " (none has a field nmuber; --json shows the fields)"
    )


def test_where_to_begin() -> None:
    assert beginning("7", 2) == {0: 7, 1: 7}
    assert set(beginning("earliest", 2).values()) != set(beginning("latest", 2).values())
    with pytest.raises(LocalError):
        beginning("-1", 2)


def test_an_offset_beyond_the_end_is_told_and_waits_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(records, "spans", lambda *_: {"alerts": {0: (3, 9), 1: (0, 4)}})
    assert records.within(Settings(_env_file=None), "alerts", {0: 7, 1: 7}) == {0: 7, 1: 4}
    assert capsys.readouterr().err == "alerts/1 ends before offset 7, at 4: only new records are read there\n"


def test_a_reader_of_silence_that_leaves_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as out:
        monkeypatch.setattr("sys.stdout", out)
        silent = SimpleNamespace(assign=lambda _: None, poll=lambda _: time.sleep(0.05), close=lambda: None)
        monkeypatch.setattr(records, "Consumer", lambda _: silent)
        monkeypatch.setattr(records, "UNREAD_S", 0.5)
        settings = Settings(_env_file=None, brokers="nowhere:9092")
        assert list(records.read(settings, "alerts", {0: 0}, idle_s=0.5)) == []
        os.close(reading)
        with pytest.raises(BrokenPipeError):
            list(records.read(settings, "alerts", {0: 0}, idle_s=60))


def test_what_is_there_already_is_read_however_late_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is what follows the end of the topic, not a Kafka that takes its time before it."""
    now = [0.0]
    end = SimpleNamespace(code=lambda: KafkaError._PARTITION_EOF)
    came = iter([None] * 50 + [end] + [None] * 6)

    def poll(timeout: float) -> Any:
        now[0] += timeout
        message = next(came)
        return None if message is None else SimpleNamespace(error=lambda: message, partition=lambda: 0)

    monkeypatch.setattr(records, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(records, "_reader_there", lambda: None)
    late = SimpleNamespace(assign=lambda _: None, poll=poll, close=lambda: None)
    monkeypatch.setattr(records, "Consumer", lambda _: late)
    ends: list[float] = []
    settings = Settings(_env_file=None, brokers="nowhere:9092")
    found = records.read(settings, "alerts", {0: 0}, idle_s=1, caught_up=lambda: ends.append(now[0]))
    assert list(found) == [] and ends == [pytest.approx(51 * records.POLL_S)]
    assert now[0] == pytest.approx(ends[0] + 1, abs=2 * records.POLL_S), "and then the silence is as long as was said"


def test_a_reason_that_no_letter_has_names_those_there_are() -> None:
    assert nothing("banana", []) == "no dead letters"
    assert nothing("banana", ["b", "a"]) == "no dead letters of reason banana; the reasons there are: a, b"
    assert nothing("a", ["b", "a"]) == "no dead letters of reason a are open; without --open there are some"


def test_a_topic_that_is_not_there_says_what_to_do() -> None:
    assert known("anything", {"anything": 1}) == "anything"
    with pytest.raises(LocalError, match="topics create"):
        known("chain.blocks.dlq", {})
    with pytest.raises(LocalError, match=r"chain\.events"):
        known("chain.event", {})


def test_a_dead_letter_says_why_and_where() -> None:
    letter = headers.dead_letter(
        topic="chain.events",
        partition=0,
        offset=9,
        index="3",
        reason="schema",
        field="amount_in",
        detail="must be above 0",
        agent="validate",
        carried=[("request_id", b"r1"), (headers.ATTEMPT, b"2"), (headers.LETTER, b"chain.events.dlq/1/40")],
    )
    record = seen(b"{}", letter)
    told = letter_of(record)
    assert told is not None and about(record, told, "open").splitlines() == [
        "letter  chain.events/1/42  open",
        "reason  schema  field amount_in",
        "detail  must be above 0",
        "source  element 3 of chain.events/0/9, refused by validate",
        "history replayed 2 times, last from chain.events.dlq/1/40",
        "request r1",
    ]
