"""`soba config`: each setting, its value and where it comes from."""

import json
from typing import Annotated, Any

import typer

from base.settings import load, meaningless, origins, shown

app = typer.Typer()


@app.command()
def config(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Each setting with its value (secrets masked) and its origin: a variable, .env, run.json or default."""
    settings = load()
    found = origins(settings)
    rows = {name: {"value": shown(settings, name), "origin": origin} for name, origin in found.items()}
    if as_json:
        print(json.dumps({"settings": rows, "meaningless": meaningless()}))
        return
    width = max(map(len, rows))
    for name, row in rows.items():
        print(f"{name:{width}}  {as_variable(row['value']) or '-':32}  {row['origin']}")
    for name in meaningless():
        print(f"{name} is set but has no meaning here: services are reached through Kafka; remove it")


def as_variable(value: Any) -> str:
    """A value as its variable is written: an object as JSON, a list with commas, nothing as nothing."""
    if isinstance(value, dict):
        return json.dumps(value) if value else ""
    if isinstance(value, list | tuple):
        return ",".join(value)
    return "" if value is None else str(value)
