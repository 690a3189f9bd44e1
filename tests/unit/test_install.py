"""bin/install.py: what a mirror or a network does for a moment does not end an installation."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from base.settings import ROOT

RESET = "ConnectionResetError: [Errno 104] Connection reset by peer"
"""As pip says it where a transfer breaks off in the middle, which it does not try again."""


@pytest.fixture
def installer() -> Any:
    spec = importlib.util.spec_from_file_location("install", ROOT / "bin" / "install.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment whose pip fails as often as `fails` says, with these words, and counts how often it was called."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(
        f'#!/bin/sh\necho >>{tmp_path}/calls\n[ "$(wc -l <{tmp_path}/calls)" -gt "$(cat {tmp_path}/fails)" ] && exit\n'
        f"cat {tmp_path}/words\nexit 2\n"
    )
    python.chmod(0o755)
    (tmp_path / "lock").write_text("one==1 --hash=sha256:0\n")
    return tmp_path


def install(installer: Any, venv: Path, fails: int, words: str) -> int:
    """How often pip was called."""
    (venv / "fails").write_text(str(fails))
    (venv / "words").write_text(words)
    with (venv / "held").open("w") as held:
        try:
            installer.install(venv / "lock", venv, held.fileno())
        finally:
            calls = len((venv / "calls").read_text().splitlines())
    return calls


def test_a_transfer_that_breaks_off_is_begun_again(
    installer: Any, venv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install(installer, venv, installer.STARTS - 1, RESET) == installer.STARTS
    assert capsys.readouterr().out.count("broke off; going on") == installer.STARTS - 1


@pytest.mark.parametrize(
    ("words", "calls", "told"),
    [
        (RESET, 3, "start again to try anew"),
        ("NewConnectionError: Failed to establish a new connection", 1, "no network, and not every package"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES", 1, "it was refused"),
    ],
)
def test_what_stays_wrong_is_told(
    words: str, calls: int, told: str, installer: Any, venv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        install(installer, venv, 9, words)
    assert told in capsys.readouterr().err and len((venv / "calls").read_text().splitlines()) == calls
