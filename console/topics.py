"""`soba topics`: list, create and check the topics of the registry, and follow one of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Annotated, Any

import orjson
import typer

from console import records
from console.local.errors import LocalError
from topics import admin
from topics.registry import TOPICS, max_bytes

app = typer.Typer(help="List, create and check the topics; follow one.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]


@app.command("list")
def list_(json: AsJson = False) -> None:
    """Every topic: name, key, partitions, size, writers, readers and the records it holds now.

    Exit code 1 when no Kafka answers; what the registry says is shown all the same.
    """
    there: dict[str, int] = {}
    held: dict[str, records.Spans] = {}
    failed = False
    try:
        settings, there = records.connected()
    except LocalError as error:  # the registry is worth seeing without a cluster too
        print(f"{error}\nOnly what the registry says is shown.", file=sys.stderr)
        failed = True
    else:
        held = records.spans(settings, {name: count for name, count in there.items() if source_of(name)})
    rows = [_row(name, there, held) for topic in TOPICS.values() for name in names(topic.name)]
    if json:
        for row in rows:
            print(orjson.dumps(row).decode())
    else:
        _table(rows)
    if failed:
        raise typer.Exit(1)


def names(topic: str) -> list[str]:
    """A topic and, where it has one, its dead-letter topic."""
    return [topic, TOPICS[topic].dlq] if TOPICS[topic].dead_letters else [topic]


def source_of(name: str) -> str | None:
    """The topic of the registry that `name` is or holds dead letters of; None for a stranger."""
    source = records.source_of(name)
    return source if source in TOPICS and name in names(source) else None


def _row(name: str, there: dict[str, int], held: dict[str, records.Spans]) -> dict[str, Any]:
    topic = TOPICS[records.source_of(name)]
    dead = name == topic.dlq
    return {
        "name": name,
        "key": "as it came" if dead else topic.key,
        "partitions": there.get(name),
        "max_bytes": max_bytes(name),
        "writers": [reader for reader in topic.readers if reader != "consumers"] if dead else list(topic.writers),
        "readers": ["operators"] if dead else list(topic.readers),
        "records": sum(end - first for first, end in held[name].values()) if name in held else None,
        "doc": f"What was refused of {topic.name}, with the reason in its headers." if dead else topic.doc,
    }


def _table(rows: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("topic", "key", "writers", "readers"):
        table.add_column(title, overflow="fold")
    for title in ("parts", "max", "records"):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(
            row["name"],
            row["key"],
            ", ".join(row["writers"]),
            ", ".join(row["readers"]),
            _or_dash(row["partitions"]),
            size(row["max_bytes"]),
            _or_dash(row["records"]),
        )
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _or_dash(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def size(count: int) -> str:
    """Bytes as a person writes them."""
    return f"{count / (1 << 20):.2f}".rstrip("0").rstrip(".") + " MiB"


@app.command()
def create(json: AsJson = False) -> None:
    """Create the topics that are missing; those that exist stay as they are."""
    settings, _ = records.connected()
    made = sorted(admin.create(settings))
    if json:
        print(orjson.dumps({"created": made}).decode())
    elif made:
        print("\n".join(f"created {name}" for name in made))
    else:
        print("nothing to create: all topics are there")


@app.command()
def check(json: AsJson = False) -> None:
    """Compare the cluster's topics with the registry; exit code 1 when something is wrong."""
    settings, _ = records.connected()
    faults = admin.check(settings)
    if json:
        print(orjson.dumps({"ok": not faults, "faults": faults}).decode())
    else:
        print("\n".join(faults) if faults else "all topics are as they should be")
    if faults:
        raise typer.Exit(1)


@app.command()
def tail(
    topic: Annotated[str, typer.Argument(help="A topic's name.")],
    count: Annotated[int, typer.Option("-n", min=0, help="How many of the newest to begin with.")] = 10,
    follow: Annotated[bool, typer.Option(help="Go on with new records until Ctrl-C.")] = True,
    json: AsJson = False,
) -> None:
    """The newest records with their headers, and then new ones as they come."""
    settings, there = records.connected()
    partitions = there[records.known(topic, there)]
    found, after = records.newest(settings, topic, partitions, count)
    _print(found, json)
    if follow:
        _print(records.read(settings, topic, after), json)


def _print(found: Iterable[records.Seen], json: bool) -> None:
    for seen in found:
        print(records.as_json(seen).decode() if json else records.as_text(seen, headers=True), flush=True)
