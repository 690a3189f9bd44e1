"""`soba config`: each setting, its value and where it comes from."""

import json
import sys
from typing import Annotated, Any

import typer

from base.settings import Settings, load, meaningless, origins, shown

app = typer.Typer()


@app.command()
def config(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Each setting with its value (secrets masked) and its origin: a variable, .env, run.json or default."""
    settings = load()
    found = origins(settings)
    if wrong := wrong_limits(settings):
        print(wrong, file=sys.stderr)
    rows = {name: {"value": shown(settings, name), "origin": origin} for name, origin in found.items()}
    if as_json:
        print(json.dumps({"settings": rows, "meaningless": list(meaningless())}))
        return
    width = max(map(len, rows))
    for name, row in rows.items():
        print(f"{name:{width}}  {as_variable(row['value']) or '-':32}  {row['origin']}")
    for told in meaningless().values():
        print(told)


def as_variable(value: Any) -> str:
    """A value as its variable is written: an object as JSON, a list with commas, nothing as nothing."""
    if isinstance(value, dict):
        return json.dumps(value) if value else ""
    if isinstance(value, list | tuple):
        return ",".join(value)
    return "" if value is None else str(value)


def wrong_limits(settings: Settings) -> str:
    """What HTTP would refuse to serve with; empty where it takes the limits as they are."""
    if not settings.rate_limits:
        return ""
    from facade import app  # its routes take long to import

    return app.wrong_limits(app.create_app(settings), settings)
