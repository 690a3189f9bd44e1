"""`soba worker NAME` and `soba serve`: one service in this process."""

import sys
from typing import Annotated

import typer

from base.exits import EXIT_FAILING
from base.settings import Settings, get_settings
from console import reach
from console.cli import explain
from console.local.errors import LocalError

worker = typer.Typer()
serve = typer.Typer()


@worker.command()
def _worker(
    name: Annotated[str, typer.Argument(help="validate, chain, fraud or language, as in bin/soba status.")],
) -> None:
    """Run one worker in this process (it needs SOBA_BROKERS and REDIS_URL, or a running `soba up`)."""
    from agents.app import WORKERS, run

    if name not in WORKERS:
        raise typer.BadParameter(f"no worker {name!r}; there are: {', '.join(WORKERS)}")
    # A worker cannot start without Kafka; what it would say by itself is a page long.
    settings = _addressed()
    try:
        reach.broker_listens(settings)
    except LocalError as error:
        print(f"soba: {explain(error)}", file=sys.stderr)
        raise typer.Exit(EXIT_FAILING) from error
    run(name)


@serve.command()
def _serve() -> None:
    """Run the HTTP facade in this process (it needs SOBA_BROKERS and REDIS_URL, or a running `soba up`).

    It serves also while Kafka or Redis does not answer, at start as later: /ready and what needs them are a 503 until they do.
    Only on an address that is not loopback it first has to find a key, in SOBA_API_KEYS or in Redis.
    """
    from facade.app import run

    _addressed()
    run()


def _addressed() -> Settings:
    """The settings with an address of Kafka and of Redis.

    Raises LocalError when one is missing.
    """
    settings = get_settings()
    reach.kafka_known(settings)
    reach.redis_known(settings)
    return settings
