"""`soba chaos`: a long trust run; the tests of a checkout do it."""

import subprocess
import sys
from typing import Any

import typer

from base.settings import ROOT
from console.local.errors import LocalError

app = typer.Typer()


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def chaos(context: typer.Context) -> None:
    """Kill, pause, join and leave under load, then compare: nothing lost, nothing twice."""
    if not (ROOT / "tests" / "chaos").is_dir():
        raise LocalError("the long run is part of the tests: run it in a checkout")
    arguments: list[Any] = [sys.executable, "-m", "tests.chaos.long", *context.args]
    raise typer.Exit(subprocess.run(arguments, cwd=ROOT).returncode)
