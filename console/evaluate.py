"""`soba evaluate NAME`: score the models on labelled data, with the figures that the cards quote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from base.settings import ROOT
from console.figures import show
from console.local.errors import LocalError
from ingest.raw import Malformed

SAMPLES = ROOT / "samples" / "blocks"

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _evaluate() -> None:
    """Score the models on labelled data."""


@app.command()
def mev(
    data: Annotated[Path, typer.Option(help="A folder of ID/block.json[.gz] with expected.json beside it.")] = SAMPLES,
    out: Annotated[Path | None, typer.Option(help="Write the findings there, one JSON object a line.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """MEV found in blocks against their labels, kind by kind, and blocks a second on one core.

    Where a folder `vectors` lies beside DATA, the cases in it are counted too.
    """
    from console import evaluate_mev

    try:
        done = evaluate_mev.run(data)
    except Malformed as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    if out is not None:
        try:
            out.write_bytes(b"".join(line + b"\n" for line in done.lines))
        except OSError as error:
            raise LocalError(
                f"--out {out} cannot be written: {error.strerror}; name a file in a folder that exists"
            ) from error
    for line in done.told():
        typer.echo(line)
    raise typer.Exit(show(done.figures(), json))


@app.command()
def drift(
    data: Annotated[Path, typer.Option(help="A folder with the labelled history (docs/models/fraud.md).")],
    quarters: Annotated[int, typer.Option(min=1, help="How many of the newest are compared with those before.")] = 4,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """How far the newest quarters of labelled history are from those before, as the fraud models see them."""
    from console import evaluate_drift, evaluate_fraud, fraud_data, needs

    fraud_data.there(data)
    needs.training()
    with Console(stderr=True).status("reading") as status:
        history, labels = fraud_data.read(data, status.update)
        status.update("replaying")
        judged = evaluate_fraud.judge(history, labels, evaluate_fraud.judges(past=False))
    raise typer.Exit(show(evaluate_drift.figures(judged, quarters), json))


@app.command()
def fraud(
    data: Annotated[Path, typer.Option(help="A folder with the labelled history (docs/models/fraud.md).")],
    out: Annotated[Path | None, typer.Option(help="Write the scores there: address, quarter, n_tx, score.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Scores of labelled account-quarters by models that have not seen them, behaviour only."""
    from console import evaluate_fraud, evaluate_rules, fraud_data, needs

    fraud_data.there(data)
    needs.training()
    with Console(stderr=True).status("reading") as status:
        history, labels = fraud_data.read(data, status.update)
        status.update("replaying")
        by = evaluate_fraud.judges(past=False)
        judged = evaluate_fraud.judge(history, labels, by)
        if out is not None:
            evaluate_fraud.write(judged, out)
        figures = evaluate_fraud.figures(history, labels, judged, status.update)
        figures += evaluate_rules.figures(history, labels, judged, by)
        if (table := data / "kaggle_accounts.csv").exists():
            figures.append(evaluate_fraud.table(table))
    raise typer.Exit(show(figures, json))
