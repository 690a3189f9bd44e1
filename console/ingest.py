"""`soba ingest`: sources that produce block envelopes to chain.events."""

from __future__ import annotations

import typer

from console.ingest_files import files
from console.ingest_node import node

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _ingest() -> None:
    """Take blocks in: from nodes or files, to chain.events."""


app.command()(node)
app.command()(files)
