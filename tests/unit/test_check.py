"""bin/check: npm is run for tests/chain, and not for tests that need none of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from base.settings import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One without tests/chain/node_modules, in which every program only notes that it was called, in `called`."""
    for name in ("bin/check", "tests/chain/package-lock.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("tests/chain/test_follow.py", "tests/unit/test_rules.py", "tests/chains/test_it.py", "unit"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    for name in ("npm", "python", "coverage", "ruff", "mypy", "lint-imports"):
        program = tmp_path / "venv" / "bin" / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/called\n')
        program.chmod(0o755)
    (tmp_path / "tests" / "chain" / "node_modules").mkdir()
    return tmp_path


def called(checkout: Path, *argv: str) -> list[str]:
    """What was called, in order, for `bin/soba test ARGV`."""
    venv = checkout / "venv"
    environment = {**os.environ, "PATH": f"{venv / 'bin'}:{os.environ['PATH']}"}
    subprocess.run([checkout / "bin" / "check", venv, *argv], env=environment, capture_output=True, check=True)
    return (checkout / "called").read_text().splitlines()


@pytest.mark.parametrize(
    "argv",
    [
        ("tests/unit",),
        ("tests/unit/", "-k", "rules"),
        ("./tests/unit/test_rules.py::test_that[tests/chain]",),
        ("-x", "-m", "long", "tests/unit/test_rules.py"),
        ("tests/chains",),
        ("-k", "tests", "tests/unit"),
    ],
)
def test_tests_that_need_no_node_do_without_npm(checkout: Path, argv: tuple[str, ...]) -> None:
    assert called(checkout, *argv) == [f"python -m pytest {' '.join(argv)}"]


@pytest.mark.parametrize(
    "argv",
    [
        ("tests",),
        ("tests/",),
        (".",),
        ("tests/chain",),
        ("tests/unit", "tests/chain/test_follow.py"),
        ("tests/chain/test_follow.py::test_it",),
        ("tests/unit/../chain",),
        ("-k", "unit"),
        ("-x",),
    ],
)
def test_tests_that_may_need_a_node_have_npm_run_first(checkout: Path, argv: tuple[str, ...]) -> None:
    npm, pytest_ = called(checkout, *argv)
    assert npm.startswith("npm ci ") and pytest_ == f"python -m pytest {' '.join(argv)}"


def test_an_absolute_path_is_told_by_where_it_lies(checkout: Path) -> None:
    assert len(called(checkout, str(checkout / "tests" / "unit"))) == 1
    assert len(called(checkout, str(checkout / "tests" / "chain" / "test_follow.py"))) == 3  # of both


def test_all_there_is_to_check_begins_with_npm(checkout: Path) -> None:
    first, second, *_ = called(checkout)
    assert first.startswith("npm ci ") and second == "ruff check ."
