"""`soba bench NAME`: measure, and say whether the figures pass."""

from __future__ import annotations

import typer

from console.bench import firehose, fraud, ingest, mev, reply

app = typer.Typer(no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure, and say whether the figures pass."""


app.command()(reply.reply)
app.command()(firehose.firehose)
app.command()(fraud.fraud)
app.command()(mev.mev)
app.command()(ingest.ingest)
