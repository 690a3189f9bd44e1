"""What only some commands need is installed once their options are known to be right, and by nothing else."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from base.settings import ROOT
from console import needs
from console.local.errors import LocalError

MARK = "import pathlib, sys; pathlib.Path(sys.argv[2], 'asked').write_text(sys.argv[1])"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose environment is installed, but for what training needs; asked to install, it only notes that."""
    for name in ("bin/soba", "requirements.lock", "requirements-training.lock", "requirements-dev.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin" / "install.py").write_text(MARK)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "requirements.lock", tmp_path / ".venv" / ".stamp-requirements.lock")
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    "argv",
    [
        ("evaluate", "fraud"),
        ("evaluate", "fraud", "--help"),
        ("evaluate", "drift", "--data", "/nowhere"),
        ("train", "--help"),
        ("train", "fraud", "--labels", "data"),
        ("train", "fraud", "--labels", "nobody"),
        ("train", "reference"),
        ("fuzz", "--help"),
        ("fuzz", "--inputs", "1"),
    ],
)
def test_nothing_is_installed_for_a_command_that_cannot_run(checkout: Path, argv: tuple[str, ...]) -> None:
    done = subprocess.run([checkout / "bin" / "soba", *argv], capture_output=True, text=True)
    assert not (checkout / ".venv" / "asked").exists()
    assert (done.returncode == 0) == ("--help" in argv) and "Traceback" not in done.stderr


def test_what_is_missing_is_installed_by_the_lock(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv = checkout / ".venv"
    monkeypatch.setattr(needs, "ROOT", checkout)
    monkeypatch.setattr(needs, "INSTALLER", checkout / "bin" / "install.py")
    monkeypatch.setattr(sys, "prefix", str(venv))
    lock = checkout / "requirements-training.lock"
    assert not needs.missing(lock, venv, ("sys",)) and needs.missing(lock, venv, ("sys", "no_such_module"))
    (venv / f".stamp-{lock.name}").write_text("of an earlier version")
    needs.training()
    assert (venv / "asked").read_text() == str(lock)
    shutil.copy(lock, venv / f".stamp-{lock.name}")
    (venv / "asked").unlink()
    needs.training()
    assert not (venv / "asked").exists()


def test_who_cannot_install_is_told_what_is_missing(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(checkout))
    (checkout / ".stamp-requirements-training.lock").write_text("of an earlier version")
    with pytest.raises(LocalError, match=r"lacks hdbscan, lightgbm.*\n.*bin/soba installs it"):
        needs.training()


def test_what_training_adds_changes_nothing_that_a_running_system_uses() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9._-]+==\S+", (ROOT / name).read_text(), re.M))

    base = pins("requirements.lock")
    assert base and base <= pins("requirements-training.lock")
