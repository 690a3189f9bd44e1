"""soba dlq replay and drop against a real broker, and a real validate worker before and after its fault is mended.

The mechanics are tried on requests.data: its letters carry reasons of their own here, and nobody needs what is sent there again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from base.settings import ROOT, Settings
from console import letters, records, replay
from facade.routes.data import EXAMPLE
from tests.conftest import wait_for
from tests.contract.facade import child, hash_of, new_chain, validating
from tests.pipeline.conftest import Soba
from tests.pipeline.strict import MARK
from topics import clients
from topics.headers import dead_letter
from topics.partition import partition

pytestmark = pytest.mark.pipeline
TOPIC = "requests.data"


def produce(settings: Settings, topic: str, *sent: tuple[bytes | None, bytes, Any]) -> None:
    """(key, value, headers) of records, confirmed."""
    producer = Producer(clients.producer(settings))
    for key, value, headers in sent:
        producer.produce(topic, value, key, headers=headers)
    assert producer.flush(60) == 0


def refuse(settings: Settings, reason: str, values: Sequence[bytes], first: int = 0, **more: Any) -> None:
    """Letters of requests.data under the key `reason`, from source offset `first` of its own on."""
    first += int(reason[:8], 16)
    facts: dict[str, Any] = {"index": None, "field": "op", "detail": "d", "agent": "verdicts", **more}
    made = [
        dead_letter(topic=TOPIC, partition=0, offset=first + at, reason=reason, **facts) for at in range(len(values))
    ]
    produce(
        settings, f"{TOPIC}.dlq", *((reason.encode(), value, head) for value, head in zip(values, made, strict=True))
    )


def arrived(settings: Settings, topic: str, key: str) -> list[records.Seen]:
    """The records of a topic under a key."""
    held = records.spans(settings, {topic: settings.partitions})[topic]
    start, stop = ({number: span[side] for number, span in held.items()} for side in (0, 1))
    return [one for one in records.read(settings, topic, start, stop) if one.key == key.encode()]


def counts(soba: Soba, reason: str) -> dict[str, int]:
    """What `dlq list` says of a reason."""
    rows = [json.loads(line) for line in soba("dlq", "list", "--json")[1].splitlines()]
    [row] = [row for row in rows if row["reason"] == reason]
    return {name: row[name] for name in ("open", "replayed", "dropped")}


def result(told: tuple[int, str, str], code: int = 0) -> dict[str, Any]:
    """The JSON object of a command that ended with this code."""
    assert told[0] == code, told
    found: dict[str, Any] = json.loads(told[1])
    return found


def test_letters_are_sent_once_as_they_came(soba: Soba, settings: Settings, entity: str) -> None:
    raws = [b'{"op":  1}', b"\xff\xfe", b"[3]"]
    refuse(settings, entity, raws, carried=[("request_id", b"r1")])
    refuse(settings, entity, raws[:1])  # a crash told the first again
    dry = result(soba("dlq", "replay", TOPIC, "--reason", entity, "--dry-run", "--json"))
    assert (dry["chosen"], dry["sent"], dry["reasons"]) == (3, 3, {entity: 3})
    assert {row["now"] for row in dry["refused_again"]} == {"wrong_schema", "malformed_json"}
    told = soba("dlq", "replay", TOPIC, "--reason", entity, "--dry-run")[1].splitlines()
    assert told[0] == f"{TOPIC}: would send 3 of 3 letters"
    assert told[1].endswith("3  today's rules refuse 2 as wrong_schema, 1 as malformed_json")
    assert arrived(settings, TOPIC, entity) == [] and counts(soba, entity)["open"] == 4

    code, out, _ = soba("dlq", "replay", TOPIC, "--reason", entity)
    assert code == 0 and out.splitlines()[0] == f"{TOPIC}: sent 3 of 3 letters"
    found = arrived(settings, TOPIC, entity)
    assert [one.value for one in found] == raws
    assert {one.partition for one in found} == {partition(entity.encode(), settings.partitions)}
    assert [one.header("dlq.attempt") for one in found] == ["1"] * 3 and found[0].header("request_id") == "r1"
    assert all(one.header("dlq.letter").startswith(f"{TOPIC}.dlq/") for one in found)
    assert counts(soba, entity) == {"open": 0, "replayed": 4, "dropped": 0}

    again = soba("dlq", "replay", f"{TOPIC}.dlq", "--reason", entity)
    assert again[0] == 0 and "no letter fits; there are " in again[1]
    assert len(arrived(settings, TOPIC, entity)) == 3


def test_dropped_letters_keep_their_bytes_and_can_be_taken_back(soba: Soba, settings: Settings, entity: str) -> None:
    refuse(settings, entity, [b"0", b"1", b"2", b"3"])
    assert result(soba("dlq", "drop", TOPIC, "--reason", entity, "--dry-run", "--json"))["dropped"] == 4
    assert counts(soba, entity)["open"] == 4
    code, out, _ = soba("dlq", "drop", TOPIC, "--reason", entity, "-n", "3")
    assert code == 0 and out.startswith(f"{TOPIC}: dropped 3 letters\n")
    assert counts(soba, entity) == {"open": 1, "replayed": 0, "dropped": 3}
    shown = soba("dlq", "show", TOPIC, "--reason", entity)[1]
    assert shown.count("  dropped\n") == 3 and shown.count("  open\n") == 1 and "\n0\n" in shown
    assert soba("dlq", "show", TOPIC, "--reason", entity, "--open")[1].count("reason") == 1
    # By itself, the newest of all: what became of it stands behind it.
    rows = [json.loads(line) for line in soba("dlq", "show", TOPIC, "-n", "4", "--json")[1].splitlines()]
    assert [(row["value"], row["state"]) for row in rows] == [
        (0, "dropped"), (1, "dropped"), (2, "dropped"), (3, "open"),
    ]  # fmt: skip

    assert result(soba("dlq", "replay", TOPIC, "--reason", entity, "--json"))["sent"] == 1
    place = f"{rows[1]['partition']}:{rows[1]['offset']}"
    assert result(soba("dlq", "replay", TOPIC, "--offset", place, "--json"))["chosen"] == 0
    assert result(soba("dlq", "replay", TOPIC, "--dropped", "--offset", place, "--json"))["sent"] == 1
    assert [one.value for one in arrived(settings, TOPIC, entity)] == [b"3", b"1"]
    assert counts(soba, entity) == {"open": 0, "replayed": 2, "dropped": 2}


def test_letters_are_chosen_by_time_and_attempt(soba: Soba, settings: Settings, entity: str) -> None:
    refuse(settings, entity, [b"0"])
    [old] = [json.loads(line) for line in soba("dlq", "show", TOPIC, "--reason", entity, "--json")[1].splitlines()]
    wait_for(lambda: time.time() * 1000 > records.moment(old["timestamp"], "", 0) + 1)
    refuse(settings, entity, [b"1"], 1, carried=[("dlq.attempt", b"1"), ("dlq.letter", b"a/0/0")])
    choose = ("dlq", "replay", TOPIC, "--dry-run", "--json", "--reason", entity)
    assert result(soba(*choose, "--until", old["timestamp"]))["chosen"] == 0
    later = records.moment(old["timestamp"], "", 0) + 1
    stamp = f"{old['timestamp'][:-4]}{later % 1000:03d}Z"
    if later % 1000:  # else the second changes too
        assert result(soba(*choose, "--until", stamp))["chosen"] == 1
        assert result(soba(*choose, "--since", stamp))["chosen"] == 1
    assert result(soba(*choose, "--since", "1h", "--until", "0s"))["chosen"] == 2
    assert [result(soba(*choose, "--attempt", str(n)))["chosen"] for n in range(3)] == [1, 1, 0]
    [row] = [json.loads(line) for line in soba("dlq", "list", "--json")[1].splitlines() if entity in line]
    assert row["attempts"] == 1
    assert "  at attempt 1\n" in soba("dlq", "list")[1]


def test_a_replay_killed_between_sending_and_noting_loses_none(
    soba: Soba, settings: Settings, child_env: dict[str, str], entity: str
) -> None:
    raws = [str(at).encode() for at in range(10)]
    refuse(settings, entity, raws)
    argv = [sys.executable, "-m", "tests.pipeline.killed_replay", "dlq", "replay", TOPIC, "--reason", entity]
    killed = subprocess.run(argv, cwd=ROOT, env=child_env, capture_output=True, timeout=150)
    assert killed.returncode == -9, killed.stderr
    assert counts(soba, entity) == {"open": 7, "replayed": 3, "dropped": 0}
    assert [one.value for one in arrived(settings, TOPIC, entity)] == raws[:6]
    assert result(soba("dlq", "replay", TOPIC, "--reason", entity, "--json"))["sent"] == 7
    # The three that were sent and not noted come twice; their id says that they are the same.
    found = arrived(settings, TOPIC, entity)
    assert [one.value for one in found] == [*raws[:6], *raws[3:]]
    assert len({one.header("ce_id") for one in found}) == 10


def test_ctrl_c_notes_what_was_sent(
    soba: Soba, settings: Settings, entity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(settings, entity, [b"0", b"1", b"2"])
    real = letters.values

    def interrupted(*args: Any) -> Iterator[records.Seen]:
        yield from list(real(*args))[:2]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(letters, "values", interrupted)
        code, out, _ = soba("dlq", "replay", TOPIC, "--reason", entity)
    assert code == 130 and "sent 2 of 3 letters" in out and "run it again for the rest" in out
    assert result(soba("dlq", "replay", TOPIC, "--reason", entity, "--json"))["sent"] == 1
    assert [one.value for one in arrived(settings, TOPIC, entity)] == [b"0", b"1", b"2"]


def test_what_kafka_does_not_take_stays_open(
    soba: Soba, settings: Settings, entity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(settings, entity, [b"0", b"1" * 5_000, b"2"])
    real = clients.producer
    with monkeypatch.context() as patch:
        patch.setattr(clients, "producer", lambda settings: {**real(settings), "message.max.bytes": 2_000})
        code, out, _ = soba("dlq", "replay", TOPIC, "--reason", entity)
    assert (code, out.splitlines()[0]) == (1, f"{TOPIC}: sent 2 of 3 letters")
    assert "stays requests.data.dlq/" in out and "too large" in out
    assert counts(soba, entity) == {"open": 1, "replayed": 2, "dropped": 0}
    with monkeypatch.context() as patch:
        gone = {"bootstrap.servers": "127.0.0.1:1", "delivery.timeout.ms": 200}
        patch.setattr(clients, "producer", lambda settings: {**real(settings), **gone})
        code, _, err = soba("dlq", "replay", TOPIC, "--reason", entity)
        assert code == 1 and "Kafka did not take all letters for requests.data" in err and "run it again" in err
        code, _, err = soba("dlq", "drop", TOPIC, "--reason", entity)
        assert code == 1 and "did not take the note that 1 letters were dropped" in err
    assert counts(soba, entity)["open"] == 1


def test_what_retention_took_meanwhile_is_told(
    soba: Soba, settings: Settings, entity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(settings, entity, [b"0", b"1"])
    real = letters.values
    monkeypatch.setattr(letters, "values", lambda *args: list(real(*args))[1:])
    told = result(soba("dlq", "replay", TOPIC, "--reason", entity, "--json"), 1)
    assert told["sent"] == 1 and [row["why"] for row in told["stay"]] == ["its retention ended meanwhile"]


def test_mistakes_are_told(soba: Soba) -> None:
    for argv, said in [
        (("replay", "alerts"), "alerts has no dead letters"),
        (("drop", TOPIC, "--offset", "17"), "PARTITION:OFFSET of a letter, such as 0:17, not '17'"),
        (("replay", TOPIC, "--until", "tomorrow"), "--until takes 30m, 2h, 3d"),
        (("drop", TOPIC), f"which letters of {TOPIC}? Choose by --reason, --offset"),
    ]:
        code, out, err = soba("dlq", *argv)
        assert (code, out) == (1, "") and said in err


# With validate


def strict(settings: Settings, log: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A validate worker that refuses what it should not."""
    return child(["-m", "tests.pipeline.strict"], settings, log)


def blocks(settings: Settings, chain: int) -> dict[int, dict[str, Any]]:
    """The newest revision of each block of a chain."""
    found: dict[int, dict[str, Any]] = {}
    for one in arrived(settings, "chain.blocks", str(chain)):
        value = json.loads(one.value)
        if value["revision"] >= found.get(value["number"], {"revision": -1})["revision"]:
            found[value["number"]] = value
    return found


def chain_letters(soba: Soba, settings: Settings, chain: int) -> list[dict[str, Any]]:
    """What `dlq show` says of the letters of a chain."""
    lines = soba("dlq", "show", "chain.events", "-n", "1000", "--json")[1].splitlines()
    return [row for line in lines if (row := json.loads(line))["key"] == str(chain)]


def event(at: int, **more: Any) -> dict[str, Any]:
    return {**EXAMPLE, "event_id": None, "transaction_hash": hash_of(at), "log_index": at, **more}


def inside(at: int, **more: Any) -> dict[str, Any]:
    """An event as it stands in an envelope that says its block and time."""
    return event(at, block_number=None, timestamp=None, **more)


def test_mended_code_takes_replayed_letters_whatever_they_stood_in(
    soba: Soba, settings: Settings, tmp_path: Path
) -> None:
    chain, number, hash = new_chain(), 17_000_000, hash_of(10**6)
    transactions = [{"hash": hash_of(at), "index": at, "gas_used": used} for at, used in ((1, 21_000), (2, MARK))]
    envelope = {
        "chain_id": chain, "number": number, "status": "complete", "timestamp": "2023-04-08T00:00:11Z",
        "transactions": transactions,
        "events": [inside(1, block_hash=hash), inside(2, gas_used=MARK), inside(3), inside(4, gas_used=MARK)],
    }  # fmt: skip
    alone = {"chain_id": chain, "block_number": number + 1}
    values: list[Any] = [
        envelope, [event(5, **alone), event(6, **alone, gas_used=MARK)], event(7, **alone, gas_used=MARK),
    ]  # fmt: skip
    key = str(chain).encode()
    choose = ("dlq", "replay", "chain.events", "--reason", "a_fault_of_ours", "--json")
    with strict(settings, tmp_path / "strict.log"):
        produce(settings, "chain.events", *((key, json.dumps(value).encode(), []) for value in values))
        wait_for(lambda: len(chain_letters(soba, settings, chain)) == 5, 120, every=0.2)
        first = chain_letters(soba, settings, chain)
        assert sorted(row["headers"].get("dlq.index", "") for row in first) == ["", "1", "1", "3", "transactions/1"]
        # Sent before anything is mended they come back, and say so.
        assert result(soba(*choose))["sent"] == 5
        wait_for(lambda: len(chain_letters(soba, settings, chain)) == 10, every=0.2)
    found = chain_letters(soba, settings, chain)
    assert [(row["state"], row["headers"].get("dlq.attempt")) for row in found] == [
        *[("replayed", None)] * 5, *[("open", "1")] * 5,
    ]  # fmt: skip
    names = {f"{row['topic']}/{row['partition']}/{row['offset']}" for row in found[:5]}
    assert {row["headers"]["dlq.letter"] for row in found[5:]} == names
    # Elements are wrapped for each journey, so what comes back is what was refused at first.
    assert sorted(json.dumps(row["value"]) for row in found[5:]) == sorted(json.dumps(row["value"]) for row in first)

    with validating(settings, tmp_path / "mended.log"):
        told = result(soba(*choose))
        assert (told["sent"], told["stay"], told["refused_again"]) == (5, [], [])

        def whole() -> bool:
            held = blocks(settings, chain)
            return [len(held.get(number + at, {"events": []})["events"]) for at in (0, 1)] == [4, 3]

        wait_for(whole, 120, every=0.2)
        assert result(soba(*choose))["chosen"] == 0
        wait_for(lambda: len(blocks(settings, chain)[number]["transactions"]) == 2, every=0.2)
    held = blocks(settings, chain)
    assert (held[number]["status"], held[number]["hash"]) == ("complete", hash)
    assert [one["log_index"] for one in held[number]["events"]] == [1, 2, 3, 4]
    assert [one["log_index"] for one in held[number + 1]["events"]] == [5, 6, 7]
    assert [one["index"] for one in held[number]["transactions"]] == [1, 2]
    assert len(chain_letters(soba, settings, chain)) == 10


def test_an_element_whose_envelope_is_gone_stays_and_says_so(soba: Soba, settings: Settings) -> None:
    chain = new_chain()
    whole = json.dumps(event(2, chain_id=chain, block_number=5)).encode()
    key, reason = str(chain).encode(), f"r{chain}"
    sources = ("chain.events/0/999999999", "chain.events/99/0", "nonsense")

    def letter(value: bytes, source: str) -> tuple[bytes, bytes, Any]:
        head = dead_letter(
            topic="chain.events", partition=0, offset=0, index="7", reason=reason, field="", detail="", agent="validate",
            carried=[("origin", source.encode())],
        )  # fmt: skip
        return key, value, head

    produce(
        settings, "chain.events.dlq",
        *(letter(json.dumps(inside(at)).encode(), source) for at, source in enumerate(sources)), letter(whole, sources[0]),
    )  # fmt: skip
    code, out, _ = soba("dlq", "replay", "chain.events", "--reason", reason)
    assert code == 1 and "chain.events: sent 1 of 4 letters" in out
    assert out.count("is gone or was made anew") == 3 and f"its envelope {sources[0]}" in out
    assert [one.value for one in arrived(settings, "chain.events", str(chain))] == [whole]
    assert counts(soba, reason) == {"open": 3, "replayed": 1, "dropped": 0}


def test_sources_are_found_where_they_stand(settings: Settings, soba: Soba) -> None:
    chain = new_chain()
    produce(settings, "chain.events", (str(chain).encode(), b"a", []), (str(chain).encode(), b"b", []))
    first, second = arrived(settings, "chain.events", str(chain))
    with closing(letters.Sources(settings, {"chain.events": settings.partitions})) as sources:
        for one in (second, first, second):
            assert sources.at(f"chain.events/{one.partition}/{one.offset}", "chain.events") == one.value
        assert sources.at(f"chain.blocks/{first.partition}/{first.offset}", "chain.events") is None
        assert sources.at(f"chain.events/{second.partition}/{second.offset + 10**6}", "chain.events") is None


def test_rounds_are_bounded_by_count_and_bytes(
    soba: Soba, settings: Settings, entity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[int] = []
    real = letters.note

    def note(producer: Any, topic: str, spots: Any, status: Any) -> None:
        rounds.append(len(spots))
        real(producer, topic, spots, status)

    monkeypatch.setattr(letters, "note", note)
    monkeypatch.setattr(replay, "AT_ONCE", 2)
    refuse(settings, entity, [b"0", b"1", b"2", b"3", b"4"])
    assert result(soba("dlq", "replay", TOPIC, "--reason", entity, "--json"))["sent"] == 5
    monkeypatch.setattr(replay, "AT_ONCE_BYTES", 1)
    refuse(settings, entity, [b"0", b"1"], 5)
    assert result(soba("dlq", "replay", TOPIC, "--reason", entity, "--json"))["sent"] == 2
    assert rounds == [2, 2, 1, 1, 1]
