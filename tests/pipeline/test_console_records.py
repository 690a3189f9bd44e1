"""soba topics, produce, consume and dlq against a real broker.

They use alerts, which no agent reads, and reasons and entities of their own: the broker is shared with other tests.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import Producer

from base.settings import ROOT, Settings, get_settings
from tests.conftest import spawned, without_coverage
from tests.pipeline.conftest import Soba
from topics import clients, headers
from topics.admin import create
from topics.registry import ALERTS, TOPICS

pytestmark = pytest.mark.pipeline


def rows(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_topics_are_listed_with_what_they_hold(soba: Soba, tmp_path: Path, entity: str) -> None:
    code, out, _ = soba("topics", "list", "--json")
    before = {row["name"]: row for row in rows(out)}
    assert code == 0
    assert before.keys() >= {*TOPICS, "chain.events.dlq"}
    assert before["chain.events"]["max_bytes"] == 8 << 20
    assert before["alerts"]["partitions"] == 2

    file = tmp_path / "lines"
    file.write_text(f'{{"entity": "{entity}"}}\n' * 3)
    assert soba("produce", "alerts", file)[0] == 0
    after = {row["name"]: row for row in rows(soba("topics", "list", "--json")[1])}
    assert after["alerts"]["records"] == before["alerts"]["records"] + 3
    assert "chain.events.dlq" in soba("topics", "list")[1]


def test_check_finds_nothing_wrong_after_create(soba: Soba) -> None:
    assert soba("topics", "create")[1] == "nothing to create: all topics are there\n"
    assert rows(soba("topics", "create", "--json")[1]) == [{"created": []}]
    code, out, _ = soba("topics", "check", "--json")
    assert (code, rows(out)) == (0, [{"ok": True, "faults": []}])


def test_check_fails_when_the_cluster_has_too_few_partitions(soba: Soba, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBA_PARTITIONS", "3")
    get_settings.cache_clear()
    code, out, _ = soba("topics", "check")
    assert code == 1
    assert "chain.blocks: 2 partitions" in out


def test_lines_arrive_byte_for_byte_under_their_key(soba: Soba, tmp_path: Path, entity: str) -> None:
    file = tmp_path / "lines"
    lines = [f'{{"entity":  "{entity}", "n": {n}, "big": 123456789012345678901234567890}}' for n in range(3)]
    file.write_text("\n\n".join(lines))
    code, out, _ = soba("produce", "alerts", file)
    assert code == 0
    told = re.fullmatch(r"alerts: 3 of 3 lines acknowledged, at alerts/(\d+)/(\d+) to (\d+)\n", out)
    assert told is not None

    read = ("consume", "alerts", "--from", "earliest", "--filter", f"entity={entity}", "--json")
    code, out, _ = soba(*read, "-n", "3")
    assert code == 0
    assert [line.split('"value":')[1] for line in out.splitlines()] == [line + "}" for line in lines]
    assert {row["key"] for row in rows(out)} == {entity}
    last = rows(out)[-1]
    assert [int(part) for part in told.groups()] == [last["partition"], last["offset"] - 2, last["offset"]]

    # One key is one partition: reading on from an offset gives what follows it.
    found = soba(*read[:3], str(last["offset"]), *read[4:], "-n", "1")
    assert rows(found[1])[0] == last

    code, out, err = soba(*read, "-n", "4", "--timeout", "3")
    assert (code, len(rows(out)), err) == (1, 3, "")


def test_a_search_without_a_find_says_so_and_prints_no_json(
    soba: Soba, child_env: dict[str, str], tmp_path: Path, entity: str
) -> None:
    file = tmp_path / "lines"
    file.write_text(f'{{"entity": "{entity}"}}\n')
    assert soba("produce", "alerts", file)[0] == 0
    read = ("consume", "alerts", "--from", "earliest", "--json", "--filter", f"entity={entity}x")
    code, out, err = soba(*read, "--timeout", "1")
    assert (code, out) == (0, "")
    assert re.fullmatch(rf"[\d,]+ records? of alerts read, none matches --filter entity={entity}x\n", err), err
    # Without a time limit it says so as soon as it has read everything, and goes on.
    with spawned(
        [sys.executable, "-m", "console", *read],
        cwd=ROOT,
        env=without_coverage(child_env),
        stderr=subprocess.PIPE,
        text=True,
    ) as waiting:
        assert waiting.stderr is not None
        assert "none matches" in (line := waiting.stderr.readline()) and "waiting for new ones" in line
        waiting.send_signal(signal.SIGINT)
        assert "none matches" in waiting.stderr.read() and waiting.wait(60) == 130


def test_headers_are_sent_with_each_line(soba: Soba, tmp_path: Path, entity: str) -> None:
    file = tmp_path / "lines"
    file.write_text(f'{{"entity": "{entity}"}}\n')
    code, out, _ = soba("produce", "alerts", file, "--header", "request_id=mine=1", "--header", "note=", "--json")
    (place,) = rows(out)[0]["places"]
    assert code == 0 and place["first"] == place["last"]
    (seen,) = rows(
        soba("consume", "alerts", "--from", "earliest", "--filter", f"entity={entity}", "-n", "1", "--json")[1]
    )
    assert seen["headers"] == {"request_id": "mine=1", "note": ""}
    assert (seen["partition"], seen["offset"]) == (place["partition"], place["first"])
    assert "--header takes NAME=VALUE" in soba("produce", "alerts", file, "--header", "request_id")[2]


def test_failures_are_named_by_line(soba: Soba, tmp_path: Path, entity: str) -> None:
    file = tmp_path / "lines"
    large = json.dumps({"entity": entity, "text": "x" * ALERTS.max_bytes})
    file.write_text(f'{{"entity": "{entity}"}}\n{large}\n{entity}, not json\n')
    code, out, err = soba("produce", "alerts", file)
    assert code == 1
    assert out.startswith("alerts: 2 of 3 lines acknowledged, at alerts/")
    assert "line 2: too large" in err
    assert f"warning: 1 line is not JSON; {file} is read as one record a line\n" in err
    assert (
        "warning: alerts is written by alerts and risk_alerts only; its readers take for real what is sent here" in err
    )
    (row,) = rows(soba("produce", "alerts", file, "--json")[1])
    assert row["failed"][0]["line"] == 2
    assert (row["lines"], row["acknowledged"], row["without_key"], row["not_json"]) == (3, 2, 1, 1)


def test_standard_input_and_tail(settings: Settings, child_env: dict[str, str], entity: str) -> None:
    create(settings)
    command = [sys.executable, "-m", "console"]
    line = f'{{"entity": "{entity}"}}\n'.encode()
    sent = subprocess.run([*command, "produce", "alerts"], input=line, cwd=ROOT, env=child_env, capture_output=True)
    assert sent.returncode == 0, sent.stderr
    tail = [*command, "topics", "tail", "alerts", "-n", "1", "--json"]
    with spawned(tail, cwd=ROOT, env=child_env, stdout=subprocess.PIPE) as following:
        assert following.stdout is not None
        first = json.loads(following.stdout.readline())
        again = subprocess.run([*command, "produce", "alerts", "-"], input=line, cwd=ROOT, env=child_env)
        second = json.loads(following.stdout.readline())
        following.terminate()
    assert again.returncode == 0
    assert first["value"] == second["value"] == {"entity": entity}
    assert second["offset"] == first["offset"] + 1


def test_dead_letters_are_counted_and_shown(soba: Soba, settings: Settings, entity: str) -> None:
    producer = Producer(clients.producer(settings))
    for offset, raw in enumerate([b'{"op": 1}', b"\xff\xfe"]):
        letter = headers.dead_letter(
            topic="requests.data",
            partition=0,
            offset=offset,
            index=None,
            reason=entity,
            field="op",
            detail="not an operation",
            agent="verdicts",
        )
        producer.produce("requests.data.dlq", value=raw, key=b"k", headers=cast(Any, letter))
    assert producer.flush(60) == 0
    del producer  # it would complain when the session's broker ends

    code, out, _ = soba("dlq", "list", "--json")
    assert code == 0
    counts = {"count": 2, "open": 2, "replayed": 0, "dropped": 0, "attempts": 0}
    assert {"topic": "requests.data", "reason": entity, **counts} in rows(out)
    assert entity in soba("dlq", "list")[1]
    for topic, there in (("requests.data", True), ("requests.data.dlq", True), ("chain.events", False)):
        assert (entity in soba("dlq", "list", topic)[1]) is there
    assert "alerts has no dead letters; these topics do: " in soba("dlq", "list", "alerts")[2]

    _, out, _ = soba("dlq", "show", "requests.data", "--reason", entity)
    assert f"reason  {entity}  field op\ndetail  not an operation\nsource  requests.data/0/0" in out
    assert '{"op": 1}' in out and "\\xff\\xfe" in out
    assert b"\xff\xfe".decode(errors="replace") in soba("dlq", "show", "requests.data", "--reason", entity, "--raw")[1]
    _, out, _ = soba("dlq", "show", "requests.data.dlq", "-n", "1", "--reason", entity, "--json")
    (row,) = rows(out)
    assert row["base64"] == "//4="
    assert row["headers"]["dlq.source"] == "requests.data/0/1" and row["state"] == "open"
    assert soba("dlq", "show", "--reason", "no such reason")[1].startswith("no dead letters of reason no such")
    assert soba("dlq", "show", "pair.trades")[0] == 1


def test_mistakes_are_explained(soba: Soba, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for argv, said in [
        (("produce", "chain.event"), "the topics are: chain.events"),
        (("produce", "alerts", str(tmp_path / "nothing")), "cannot be read"),
        (("consume", "chain.event"), "there is no topic chain.event"),
        (("consume", "alerts", "--from", "yesterday"), "earliest, latest or an offset"),
    ]:
        code, _, err = soba(*argv)
        assert (code, said in err) == (1, True), (argv, err)
    monkeypatch.delenv("SOBA_BROKERS")
    monkeypatch.setenv("SOBA_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()
    code, _, err = soba("consume", "alerts")
    assert code == 1
    assert "bin/soba up" in err
    assert "SOBA_BROKERS" in err
    code, out, err = soba("topics", "list")
    assert (code, "chain.events" in out, "bin/soba up" in err) == (1, True, True)
