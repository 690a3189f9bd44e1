"""`soba train NAME`: make a model from labelled data, measured on what it has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from base.settings import ROOT, get_settings
from base.version import version
from console.figures import Figure, show
from console.local.errors import LocalError
from console.refit import Source
from topics.releases import pack, unpack
from topics.schemas.models import Release

SHIPPED = ROOT / "models" / "fraud"

app = typer.Typer(no_args_is_help=True)
_err = Console(stderr=True)


@app.callback()
def _train() -> None:
    """Make a model from labelled data."""


@app.command()
def fraud(
    data: Annotated[
        Path | None,
        typer.Option(help="A folder with labelled history (docs/models/fraud.md); left out: all from topics."),
    ] = None,
    labels: Annotated[
        Source | None,
        typer.Option(help="Where labels are from; of both, the topic's hold. Else data, without it topic."),
    ] = None,
    history: Annotated[
        Source | None,
        typer.Option(
            help="Where moves are from; of both, wallet.activity goes on where the data ends. Else as for labels."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where the release goes, and beside it the models of unseen/; else the data folder."),
    ] = None,
    name: Annotated[str | None, typer.Option("--version", help="What to call it; else day and time.")] = None,
    release: Annotated[
        bool, typer.Option("--release", help="Let it serve, if it is not worse than what does on the same accounts.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """The fraud model: boosted trees and an isolation forest over wallet profiles, with figures by campaigns it has not seen."""
    from console import champion, models, needs, refit
    from models.fraud.training import TooLittle, train

    sources = refit.sources(data, labels, history)
    needs.training()
    now = datetime.now(UTC).replace(microsecond=0)
    called = name or f"{now:%Y-%m-%d.%H%M}"
    kept = get_settings().data_dir / "models"
    folder = out or kept / called
    with _err.status("reading") as status:

        def say(text: str) -> None:
            status.update(text)
            _err.print(f"{datetime.now(UTC):%H:%M:%S} {text}", style="dim", highlight=False)

        moves, known = refit.gather(data, *sources, say)
        try:
            trained = train(moves, known, called, f"soba {version()}", now, say)
        except TooLittle as error:
            raise LocalError(f"no model can be made: {error}") from error
        try:
            if release:
                say("the model that serves, on the same accounts")
                serves = champion.serving()
                folders = [kept / serves.manifest.version, folder, SHIPPED]
                trained.releases["fraud"] = refit.beside(trained.releases["fraud"], serves, folders, moves, known)
        finally:  # what took so long is kept, whether or not Kafka answers; not before: those of `folder` may have been asked
            _keep(trained.releases, folder)
    figures = [Figure(metric, round(value, 4), "") for metric, value in trained.figures.items()]
    for detector, told_of in trained.ablation.items():
        figures += [Figure(f"{detector} alone: {metric}", round(value, 4), "") for metric, value in told_of.items()]
    try:
        if release:
            models.release(folder / "fraud.release")
    finally:
        code = show(figures, json)
    raise typer.Exit(code)


def _keep(releases: Mapping[str, Release], folder: Path) -> None:
    """The model that serves, and beside it those of unseen/."""
    (folder / "unseen").mkdir(parents=True, exist_ok=True)
    for name, one in releases.items():
        file = folder / "fraud.release" if name == "fraud" else folder / "unseen" / f"{name}.release"
        file.write_bytes(pack(one))
        _err.print(f"{file}: {file.stat().st_size:,} bytes", style="dim", highlight=False)


@app.command()
def reference(
    data: Annotated[Path, typer.Option(help="The folder that the model was trained on.")],
    out: Annotated[
        Path, typer.Option(help="The folder with its release, which is written anew, and unseen/.")
    ] = SHIPPED,
    name: Annotated[
        str | None, typer.Option("--version", help="What to call it; else `.1` behind its version.")
    ] = None,
) -> None:
    """Have a release tell what its model was trained on, so that drift shows, and where levels begin by a request or one move.

    The trees and what they say stay as they are.
    """
    from console import evaluate_fraud, fraud_data, needs
    from models.fraud import drift, first_contact
    from models.fraud.training import hash_of
    from models.releases import amended

    fraud_data.there(data)
    needs.training()
    file = out / "fraud.release"
    by = evaluate_fraud.judges(past=False, folder=out)
    release = unpack(file.read_bytes())
    with _err.status("reading") as status:
        history, labels = fraud_data.read(data, status.update)
        if hash_of(history, labels) != release.manifest.data_hash:
            raise LocalError(f"{file} was not trained on what is in {data}; give the folder that it was trained on")
        status.update("replaying")
        judged = evaluate_fraud.judge(history, labels, by)
    arrays = drift.fit(judged.vectors[:, by.serving.columns], judged.probability)
    asked, moved = ({side: one[~judged.fraud] for side, one in told.items()} for told in (judged.asked, judged.moved))
    arrays |= first_contact.fit(asked, moved)
    made = amended(release, name or f"{release.manifest.version}.1", arrays)
    file.write_bytes(pack(made))
    print(f"{file}: {made.manifest.id} tells what it was trained on, {len(judged.units):,} account-quarters")
