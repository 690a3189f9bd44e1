"""`soba demo` as a user starts it: a process of its own, twice on one data folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from base.settings import ROOT, Settings

pytestmark = pytest.mark.pipeline


def soba(data_dir: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    environment = Settings(_env_file=None).environment(data_dir=data_dir, port=0, worker_port=0)
    command = [sys.executable, "-m", "console", *argv]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=150)


def test_the_demo_finds_everything_and_the_second_start_shows_it_again(tmp_path: Path) -> None:
    first = soba(tmp_path, "demo", "--once", "--fast")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Replaying 30 real Ethereum blocks" in first.stdout
    assert "7 broken events go between them, on purpose" in first.stdout
    assert "  valid      5,975" in first.stdout
    assert "  rejected   7:" in first.stdout
    assert "  findings   18 sandwiches" in first.stdout
    assert "  alerts     18" in first.stdout
    assert "time to first finding" in first.stdout
    for reason in ("malformed_json 1", "same_token 1", "address_checksum 1"):
        assert reason in first.stdout

    second = soba(tmp_path, "demo", "--once", "--fast")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "already there" in second.stdout
    assert "  findings   18 sandwiches" in second.stdout
    assert "  rejected   7:" in second.stdout

    # Nothing runs any more.
    after = soba(tmp_path, "topics", "check")
    assert after.returncode == 1
    assert "bin/soba up" in after.stderr
