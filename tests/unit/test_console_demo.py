"""The demo's tally, its verdict and its screen, from records made by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from base.settings import ROOT, Settings
from console import demo
from console.demo_sample import BLOCKS, Sample, Sent, load
from console.demo_view import Screen, alerts, kinds, line_of, reasons, summary
from console.demo_watch import Refused, Tally
from console.local.errors import LocalError
from console.local.process import created_at
from console.records import Seen
from console.up import begin_anew
from ingest.files import read_blocks
from models.mev import detect
from tests.contract import facade
from topics import headers

FRONT, VICTIM, BACK = ("0x" + digit * 64 for digit in "abc")
BROKEN = b'{"event_type": "airdrop"}'


@pytest.fixture
def tally() -> Tally:
    block = Sent("1:17", 1, 17, events=3, value=b"{}")
    return Tally(Sample({"1:17": block}, [BROKEN], frozenset({("1:17", FRONT, BACK)}), {"demo-0": b"{}"}))


def record(topic: str, value: Any, more: headers.Headers | None = None, partition: int = 1) -> Seen:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Seen(topic, partition, 0, 0, b"1", more or [], raw)


def block(number: int = 17, events: int = 3, revision: int = 5) -> Seen:
    value = {"chain_id": 1, "number": number, "status": "complete", "revision": revision, "events": [{}] * events}
    return record("chain.blocks", value)


def finding(revision: int = 5, status: str = "final", number: int = 17) -> Seen:
    value: dict[str, Any] = {"id": "f1", "chain_id": 1, "block_number": number, "revision": revision, "status": status}
    value |= {"kind": "sandwich", "front": [FRONT], "victims": [VICTIM], "back": [BACK], "attackers": []}
    value |= {"pools": [], "protocols": [], "profit": [], "confidence": 1, "evidence": [], "model": "m"}
    return record("mev.findings", value)


def alert(status: str = "final", revision: int = 5) -> Seen:
    value: dict[str, Any] = {
        "id": "a1",
        "kind": "sandwich",
        "args": {},
        "severity": "low",
        "entity": "1:17",
        "text": "t",
    }
    value |= {"chain_id": 1, "block_number": 17, "revision": revision, "status": status, "source": "f1"}
    return record("alerts", value)


def alert_of(request: str) -> Seen:
    value: dict[str, Any] = {"id": request, "kind": "risk.request", "args": {}, "severity": "high", "entity": "1:0x1"}
    value |= {"text": "t", "chain_id": 1, "processed_at": 5.0, "revision": 4, "status": "final", "source": request}
    return record("alerts", value)


def assessment(id: str = "demo-0", level: str = "critical") -> Seen:
    value: dict[str, Any] = {"kind": "request", "id": id, "revision": 4, "status": "final", "chain_id": 1, "model": "m"}
    value |= {"from_address": "0x1", "amount": "1.5", "risk_score": 0.97, "risk_level": level, "is_suspicious": True}
    value |= {"alerts": [], "evidence": 1, "unknown": {}, "warnings": [], "processed_at": 5.0}
    value["sender"] = {"address": "0x1", "known": "first_contact", "evidence": 1, "level": level}
    return record("risk.scores", value)


def activity(*wallets: str, number: int | None = 17) -> Seen:
    moves: dict[str, list[Any]] = {"1:0xgone": [], **{one: [{}] for one in wallets}}
    return record("wallet.activity", {"chain_id": 1, "number": number, "wallets": moves})


def wallet(level: str) -> Seen:
    value: dict[str, Any] = {
        "kind": "wallet",
        "id": "1:0x1",
        "revision": 4,
        "status": "final",
        "chain_id": 1,
        "model": "m",
    }
    value |= {"address": "0x1", "risk_level": level, "at": {"block_number": 1, "evidence": 2}}
    return record("risk.scores", value)


def letter(value: bytes, offset: int = 6, index: str | None = None) -> Seen:
    more = headers.dead_letter(
        topic="chain.events",
        partition=1,
        offset=offset,
        index=index,
        reason="unknown_event_type",
        field="event_type",
        detail="",
        agent="validate",
    )
    return record("chain.events.dlq", value, more)


def test_nothing_fails_once_everything_came_out(tally: Tally) -> None:
    assert len(demo.failures(tally)) == 4  # the block, the broken event, the label, the request
    for one in (block(), finding(), alert(), letter(BROKEN), assessment()):
        assert tally.take(one) is not None
    assert demo.failures(tally) == ["no alert for swap request demo-0"]
    assert tally.take(alert_of("demo-0")) is None  # its assessment has said it
    assert demo.failures(tally) == []
    assert (tally.valid, tally.rejected.total(), len(tally.standing_alerts)) == (3, 1, 2)
    assert tally.first_finding_at is not None
    for one in (block(), finding(), alert(), letter(BROKEN, offset=9), assessment(), assessment("another")):
        assert tally.take(one) is None  # no news
    assert tally.rejected.total() == 1


def test_what_is_not_of_the_sample_does_not_count(tally: Tally) -> None:
    for one in (block(number=18), finding(number=18), letter(b"another broken one"), letter(b"{}", index="0")):
        assert tally.take(one) is None
    assert (tally.valid, tally.found, tally.rejected.total()) == (0, [], 0)


def test_refused_elements_of_a_sample_block_are_told_from_those_of_others(tally: Tally) -> None:
    for one in (block(events=2), letter(b"{}", offset=5, index="1"), letter(b"{}", offset=5, index="transactions/0")):
        tally.take(one)
    tally.take(letter(BROKEN))
    assert tally.rejected.total() == 3
    assert "2 elements of the real blocks refused (bin/soba dlq list)" in demo.failures(tally)
    assert tally.lost == 0  # the refused transaction does not make up for a lost event, nor count as one


def test_a_note_that_letters_were_replayed_is_no_letter(tally: Tally) -> None:
    note = [("ce_type", headers.HANDLED_TYPE.encode()), ("ce_id", b"chain.events.dlq/1/6:replayed")]
    value = {"status": "replayed", "offsets": [6], "at": "2026-01-01T00:00:00Z"}
    assert tally.take(record("chain.events.dlq", value, note)) is None
    assert tally.rejected.total() == 0


def test_a_lost_event_a_retraction_and_a_missing_alert_fail(tally: Tally) -> None:
    for one in (block(events=2), letter(BROKEN), finding(), assessment(), alert_of("demo-0")):
        tally.take(one)
    assert demo.failures(tally) == ["no alert for finding f1", "1 event is neither valid nor rejected"]
    tally.take(alert())
    tally.take(finding(revision=4, status="retracted"))
    assert len(tally.found) == 1  # older than what is held
    tally.take(finding(revision=6, status="retracted"))
    assert tally.found == []
    assert demo.failures(tally)[0].startswith("labelled sandwich not found in block 1:17")


def test_requests_are_told_by_level_and_risky_wallets_counted(tally: Tally, capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(tally)
    news = tally.take(assessment())
    assert news is not None
    screen.tell(news)
    assert "request   critical: 1.5 from 0x1: probability 0.00" in capsys.readouterr().out
    tally.take(wallet("high"))
    tally.take(activity("1:0x1", number=18))  # somebody else's block, on which the sample does not depend
    assert "0 of 0 in the blocks" in summary(screen, "http://x", False, None, False)
    for one in (activity("1:0x1", "1:0x2"), activity("1:0x2"), activity(number=None)):
        assert tally.take(one) is None
    text = summary(screen, "http://x", False, None, False)
    assert "1 swap request assessed: 1 critical" in text
    assert "1 of 2 in the blocks score medium or higher" in text
    assert "curl -s http://x/api/risk/wallets/0x1\n" in text
    tally.take(wallet("low"))
    assert "0 of 2 in the blocks" in summary(screen, "http://x", False, None, False)


def test_alerts_are_told_by_what_they_are_of(tally: Tally) -> None:
    for one in (finding(), alert(), alert_of("demo-0"), alert_of("mine-1")):
        tally.take(one)
    assert alerts(tally) == "2: 1 of findings, 1 of swap requests"
    assert tally.quiet_findings == []


@pytest.mark.parametrize("room", [None, 100, 60])
def test_findings_of_one_transaction_are_told_apart(room: int | None) -> None:
    told = [
        line_of(one, room)
        for decoded in read_blocks(BLOCKS)
        if decoded.block.number in (13302365, 18000050)
        for one in detect(decoded.block)
    ]
    assert len(set(told)) == len(told)
    assert any(one.startswith("liquidation") and one.endswith("+0.00043 ETH") for one in told)


def test_the_samples_are_whole() -> None:
    sample = load()
    assert len(sample.blocks) == 30
    assert len(sample.labels) == 18
    assert len(sample.broken) == 7
    assert len(sample.requests) == 100
    assert all(json.loads(one.value)["status"] == "complete" for one in sample.blocks.values())


def test_plain_lines_and_the_summary(tally: Tally, capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(tally)
    with screen.shown():
        for one in (block(), finding(), alert(), letter(BROKEN)):
            news = tally.take(one)
            assert news is not None
            screen.tell(news)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "blocks    1 of 1 validated"
    assert lines[1] == f"sandwich  block 17  front {FRONT}  1 victim  back {BACK}"
    assert lines[2:] == [
        "alert     low: t",
        "rejected  unknown_event_type (event_type) at chain.events/1/6",
    ]
    text = summary(screen, "http://127.0.0.1:3000", keyed=False, first_finding_s=(1.25, 10.5), stored=False)
    assert text.splitlines()[:3] == ["", "Summary: 1 finding", lines[1]]  # as it was told live, under a heading
    assert "What happened" in text
    assert "time to first finding: 1.2 s, after 10.5 s of set-up and start" in text
    assert f"curl -s http://127.0.0.1:3000/api/mev/transactions/{FRONT}" in text
    assert reasons(tally.rejected) == "1: unknown_event_type 1"
    stored = summary(screen, "http://127.0.0.1:3000", keyed=True, first_finding_s=None, stored=True)
    assert "Stored from an earlier start" in stored
    assert "HTTP is closed: put a key into SOBA_API_KEY" in stored
    assert "Authorization: Bearer $SOBA_API_KEY" in stored


@pytest.mark.parametrize("columns", [50, 60, 80, 100, 200])
def test_the_summary_fits_the_terminal(
    tally: Tally, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    for one in (block(), finding(), letter(BROKEN)):
        tally.take(one)
    for place in range(5):
        element = Refused(f"a_reason_{place}", "", "chain.events/1/5", str(place))
        tally.letters[str(place)] = element
    text = summary(Screen(tally), "http://127.0.0.1:3000", keyed=False, first_finding_s=None, stored=False)
    told, where = text.split("Where to look")
    assert max(map(len, told.splitlines())) <= columns
    # Nothing is lost by it: every reason, and both ends of each transaction.
    for place in range(5):
        assert f"a_reason_{place} 1" in " ".join(told.split())
    assert FRONT[:6] in told and BACK[-4:] in told and ("…" in told) == (columns < 180)
    # What is to be copied stands whole in one line.
    assert f"  curl -s http://127.0.0.1:3000/api/mev/transactions/{FRONT}" in where.splitlines()
    assert "  curl -s 'http://127.0.0.1:3000/api/mev?limit=3'" in where.splitlines()


def test_the_live_lines_of_a_narrow_terminal_name_both_transactions(tally: Tally) -> None:
    from rich.console import Console

    screen = Screen(tally)
    console = Console(width=60)
    screen._live = SimpleNamespace(console=console)
    told = alert()
    caught = f"one trade was caught between {FRONT} and {BACK}; the attacker gained 1 WETH."
    told = replace(told, value=told.value.replace(b'"t"', json.dumps(caught).encode()))
    for one in (block(), finding(), told, letter(BROKEN)):
        news = tally.take(one)
        assert news is not None
        screen.tell(news)
    with console.capture() as captured:
        console.print(screen)
    assert "alert     low: one trade was caught; the attacker gained 1" in captured.get()
    lines = [line.rstrip() for line in captured.get().splitlines()]
    assert "sandwich 17: 0xaaaa…aaaa → 0xcccc…cccc, 1 victim" in lines
    assert "rejected  unknown_event_type (event_type) at chain.events/1/6" in " ".join(lines)


def test_the_live_table_shows_the_counts(tally: Tally) -> None:
    from rich.console import Console

    screen = Screen(tally, sent_blocks=1, sent_events=4)
    tally.take(block())
    console = Console(width=100)
    with console.capture() as captured:
        console.print(screen)
    assert "1 of 1 validated, 0 in work" in captured.get()
    assert "4 sent, 3 valid" in captured.get() and "waiting" not in captured.get()
    screen.away = ["kafka"]
    with console.capture() as captured:
        console.print(screen)
    assert "for kafka to come back" in captured.get()


def test_fresh_deletes_only_what_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path)
    (tmp_path / "bench").mkdir()
    begin_anew(settings, yes=True)  # a bench ran there and nothing else: there is nothing to delete
    (tmp_path / "bench").rmdir()
    (tmp_path / "redis").mkdir()
    with pytest.raises(LocalError, match="not a data folder"):
        begin_anew(settings, yes=True)
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "kafka").mkdir()
    (tmp_path / "logs").mkdir()
    begin_anew(settings, yes=True)
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", "lock", "logs"}
    with pytest.raises(LocalError, match="local data only"):
        begin_anew(Settings(_env_file=None, data_dir=tmp_path, brokers="other:9092"), yes=True)
    begin_anew(Settings(_env_file=None, data_dir=tmp_path / "nothing"), yes=False)
    assert not (tmp_path / "nothing").exists()


def test_fresh_asks_before_it_deletes_what_is_not_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path)
    other = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    launcher = {"pid": other.pid, "created": created_at(other.pid)}
    for state, stops in (({}, "deletes all data"), ({"sample_only": True, "launcher": launcher}, f"pid {other.pid}")):
        (tmp_path / "run.json").write_text(json.dumps(state))
        (tmp_path / "kafka").mkdir(exist_ok=True)
        monkeypatch.setattr("sys.stdin.isatty", lambda: False)
        with pytest.raises(LocalError, match=rf"{stops}(.|\n)*--yes"):
            begin_anew(settings, yes=False)
        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        monkeypatch.setattr("typer.confirm", lambda text, **_: (_ for _ in ()).throw(typer.Abort))
        with pytest.raises(typer.Abort):
            begin_anew(settings, yes=False)
        assert (tmp_path / "kafka").exists()
    other.communicate(b"\n")
    assert other.returncode == 0  # it was left alone
    (tmp_path / "run.json").write_text('{"sample_only": true}')
    begin_anew(settings, yes=False)
    assert not (tmp_path / "kafka").exists()


def test_the_readme_says_what_the_demo_finds() -> None:
    counts = Counter(one.kind for decoded in read_blocks(BLOCKS) for one in detect(decoded.block))
    told = " ".join((ROOT / "README.md").read_text().split())
    assert (
        f"{counts['sandwich']} sandwiches, {counts['arbitrage']} arbitrages, {counts['liquidation']} liquidations, "
        f"{counts['backrun']} back-runs and one provider of just-in-time liquidity are found"
    ) in told
    assert (counts["jit"], counts["frontrun"]) == (1, 0)
    assert f"{load().events:,} events go in" in told


def test_what_was_found_is_counted_by_kind_one_or_several() -> None:
    one, two = (facade.finding(1, number) for number in range(2))
    assert kinds([]) == "none yet"
    assert kinds([one]) == "1 sandwich"
    assert kinds([one, facade.finding(1, 3, kind="liquidation"), two]) == "2 sandwiches, 1 liquidation"
