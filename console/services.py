"""`soba worker NAME` and `soba serve`: one service in this process."""

from typing import Annotated

import typer

worker = typer.Typer()
serve = typer.Typer()


@worker.command()
def _worker(name: Annotated[str, typer.Argument(help="Its name, as in bin/soba status.")]) -> None:
    """Run one worker in this process (it needs SOBA_BROKERS and REDIS_URL, or a running `soba up`)."""
    from agents.app import WORKERS, run

    if name not in WORKERS:
        raise typer.BadParameter(f"no worker {name!r}; there are: {', '.join(WORKERS)}")
    run(name)


@serve.command()
def _serve() -> None:
    """Run the HTTP facade in this process (it needs SOBA_BROKERS and REDIS_URL, or a running `soba up`)."""
    from facade.app import run

    run()
