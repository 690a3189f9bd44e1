"""The one form of every figure that a command prints: a table for people, one JSON object for machines."""

from __future__ import annotations

import json
import operator
import os
import platform
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from base.settings import ROOT

RESULTS = ROOT / "benchmarks" / "results"
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value. `pass_` is its condition (`< 6`, `>= 0.9`), if there is one; `aim` what we would like."""

    name: str
    value: float
    unit: str
    reference: str | None = None
    pass_: str | None = None
    aim: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the value meets its condition.

        Raises:
            ValueError: the condition is not `<operator> <number>`.
        """
        if self.pass_ is None:
            return True
        match = re.fullmatch(r"(<=?|>=?|=)\s*([-+0-9.eE]+)", self.pass_)
        if match is None:
            raise ValueError(f"{self.name}: {self.pass_!r} is not a condition like '< 6'")
        return _COMPARE[match[1]](self.value, float(match[2]))

    def row(self) -> dict[str, Any]:
        """As JSON."""
        names = ("name", "value", "unit", "reference")
        told = {name: getattr(self, name) for name in names}
        return {**told, "pass": self.pass_, "aim": self.aim, "ok": self.ok}


def document(figures: Sequence[Figure]) -> dict[str, Any]:
    """All rows, and where they were measured."""
    return {"rows": [figure.row() for figure in figures], "machine": machine(), "commit": commit()}


def keep(name: str, figures: Sequence[Figure], settings: dict[str, Any]) -> None:
    """Write them to `benchmarks/results/NAME.json`, with what they were measured with."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({**document(figures), "settings": settings}, indent=1) + "\n")


def show(figures: Sequence[Figure], as_json: bool) -> int:
    """Print them; the exit code: 1 when one does not pass."""
    if as_json:
        print(json.dumps(document(figures)), flush=True)
    else:
        table = Table("", "value", "unit", "reference", "pass", "aim", "", box=None, header_style="bold")
        for figure in figures:
            mark = "" if figure.pass_ is None else "ok" if figure.ok else "MISSED"
            texts = (figure.reference or "", figure.pass_ or "", figure.aim or "", mark)
            table.add_row(figure.name, f"{figure.value:g}", figure.unit, *texts)
        console = Console()
        console.print(table)
        console.print(f"{machine()}; commit {commit()}", style="dim")
    return 0 if all(figure.ok for figure in figures) else 1


def machine() -> str:
    """Cores, memory, system and Python."""
    memory = round(psutil.virtual_memory().total / 2**30)
    system = f"{platform.system()} {platform.machine()}"
    return f"{os.cpu_count()} cores, {memory} GiB, {system}, Python {platform.python_version()}"


def commit() -> str:
    """The short hash of the working tree's commit, `+` when files differ from it; `unknown` without git."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=10)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        short = git("rev-parse", "--short", "HEAD")
        return (short + ("+" if git("status", "--porcelain") else "")) or "unknown"
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
