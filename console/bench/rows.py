"""Rows of a bench: which somebody chose, and each measured though another fails."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import typer

from console.bench.stage import say
from console.local.errors import LocalError


class Noting(Protocol):
    """What notes figures."""

    def add(self, name: str, value: float, unit: str, reference: str = "", pass_: str = "") -> Any: ...


B = TypeVar("B", bound=Noting)


def chosen(text: str, known: Collection[str], option: str = "--rows") -> list[str]:
    """The names in `text`, separated by commas.

    Raises:
        typer.BadParameter: there is no such name.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in known]:
        raise typer.BadParameter(f"{', '.join(unknown)}: choose of {', '.join(known)}", param_hint=option)
    return names


def measure(bench: B, names: Sequence[str], rows: Mapping[str, Callable[[B], None]]) -> None:
    """Measure each; one that cannot be is a figure that does not pass, since the others are worth having."""
    for name in names:
        say(f"{time.strftime('%H:%M:%S')} {name}")
        try:
            rows[name](bench)
        except (LocalError, subprocess.CalledProcessError) as error:
            say(f"{name}: {error}")
            bench.add(f"{name}: could not be measured", 1, "rows", "", "= 0")
