"""`soba demo` as a user starts it: a process of its own, twice on one data folder."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from base.settings import ROOT, Settings
from console.demo_sample import BLOCKS
from console.demo_view import kinds
from console.local import runfile
from ingest.files import read_blocks
from models.mev import detect
from tests.conftest import spawned, without_coverage

pytestmark = pytest.mark.pipeline


COMMAND = [sys.executable, "-m", "console"]
LIMIT_S = 300.0
"""Of one run: only there that a broken promise ends the test."""


def environment(data_dir: Path) -> dict[str, str]:
    return Settings(_env_file=None).environment(data_dir=data_dir, port=0, worker_port=0)


def soba(data_dir: Path, *argv: str, input: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *argv],
        cwd=ROOT,
        env=environment(data_dir),
        input=input,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


@contextmanager
def killed_when_late(process: subprocess.Popen[str]) -> Iterator[None]:
    """So that nobody reads for ever what a process prints."""
    late = threading.Timer(LIMIT_S, process.kill)
    late.start()
    try:
        yield
    finally:
        late.cancel()


@contextmanager
def demo_that_stays(data_dir: Path) -> Iterator[str]:
    """A demo that is up, with what it has printed; it ends as by Ctrl-C."""
    with (
        spawned(
            [*COMMAND, "demo", "--fast"],
            cwd=ROOT,
            env=without_coverage(environment(data_dir)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as running,
        killed_when_late(running),
    ):
        assert running.stdout is not None
        try:
            printed = ""
            for line in running.stdout:
                printed += line
                if "Soba stays up" in line:
                    break
            assert running.poll() is None, printed
            yield printed
        finally:
            running.send_signal(signal.SIGINT)
            running.stdout.read()
    assert running.returncode == 0


def interrupted(data_dir: Path, number: signal.Signals, beginning: str) -> str:
    """What `soba demo` prints that gets a signal at a line that begins so; SIGINT is ignored where it starts."""
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
    closed = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # it stays ignored where the tests run under nohup
    try:
        running = subprocess.Popen(
            [sys.executable, "-m", "tests.pipeline.signalled", number.name, beginning, "demo"],
            cwd=ROOT,
            env=without_coverage(environment(data_dir)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, ignored)
        signal.signal(signal.SIGHUP, closed)
    with running, killed_when_late(running):
        assert running.stdout is not None
        printed = running.stdout.read()
        running.wait()
    assert running.returncode == 0, printed
    assert runfile.read(data_dir)["processes"] == {}
    return printed


def test_a_signal_in_any_phase_stops_in_order(tmp_path: Path) -> None:
    for number, begins, after in (
        (signal.SIGHUP, "Kafka at", "Soba is up"),
        (signal.SIGINT, "blocks    5 of 30", "What happened"),
    ):
        printed = interrupted(tmp_path, number, begins)
        assert "\nstopping\n" in printed and printed.endswith(f"\nstopped; the data stays in {tmp_path}\n")
        assert after not in printed and "Traceback" not in printed
    # Nothing but a part of the sample is there, so it may begin anew unasked.
    assert runfile.read(tmp_path)["sample_only"]


def test_the_demo_finds_everything_and_the_second_start_shows_it_again(tmp_path: Path) -> None:
    with demo_that_stays(tmp_path) as first:
        # What is no block of ours must not keep the next start from what is.
        foreign = '{"hello": 1}\n{"chain_id": 2, "hello": 1}\nnot json\n'
        put = soba(tmp_path, "produce", "chain.blocks", input=foreign)
        assert put.returncode == 0, put.stderr
        made = soba(tmp_path, "keys", "create", "--name", "page")
        assert made.returncode == 0, made.stderr
    # What others sent is not deleted unasked.
    asked = soba(tmp_path, "demo", "--fresh")
    assert asked.returncode == 1 and "Add --yes to do that unasked" in asked.stderr
    assert "FAILED" not in first
    found = [one for decoded in read_blocks(BLOCKS) for one in detect(decoded.block)]
    assert "Replaying 30 real Ethereum blocks" in first
    assert "7 broken events between them, on purpose" in first
    assert "  valid      6,302" in first
    assert "  rejected   7:" in first
    assert f"  findings   {kinds(found)}" in first
    assert re.search(rf"  alerts     \d+: {len(found)} of findings, \d+ of swap requests\n", first)
    assert "time to first finding" in first
    for reason in ("malformed_json 1", "same_token 1", "address_checksum 1"):
        assert reason in first

    # A key that was made meanwhile closes HTTP: the demo cannot look there itself, and says how a caller can.
    second = soba(tmp_path, "demo", "--once", "--fast")
    assert second.returncode == 0 and "FAILED" not in second.stdout, second.stdout + second.stderr
    assert "HTTP is closed: put a key into SOBA_API_KEY" in second.stdout
    assert 'curl -s -H "Authorization: Bearer $SOBA_API_KEY"' in second.stdout
    assert "already there" in second.stdout
    assert f"  findings   {kinds(found)}" in second.stdout and "time to first finding" not in second.stdout
    assert "  rejected   7:" in second.stdout
    assert "ended" not in second.stdout

    # Nothing runs any more.
    after = soba(tmp_path, "topics", "check")
    assert after.returncode == 1
    assert "bin/soba up" in after.stderr
