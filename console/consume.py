"""`soba consume`: the records of a topic from a place on, filtered by fields."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

import typer

from console import records
from console.local.errors import LocalError
from console.records import Seen

app = typer.Typer(help="Read a topic's records.")
Filter = tuple[list[str], str]
"""A path of field names, and the text that a value there must have."""


def parse_filter(text: str) -> Filter:
    """`status=complete`, `events.event_type=swap`.

    Raises LocalError when it is not FIELD=VALUE.
    """
    path, equals, wanted = text.partition("=")
    if not equals or not path:
        raise LocalError(f"--filter takes FIELD=VALUE (fields inside with dots), not {text!r}")
    return path.split("."), wanted


def matches(value: Any, filters: list[Filter]) -> bool:
    """Whether each filter finds its text in the value; of a list one element is enough."""
    return all(any(_text(found) == wanted.lower() for found in _at(value, path)) for path, wanted in filters)


def _at(value: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(value, list):
        for element in value:
            yield from _at(element, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _text(value: Any) -> str:
    """As JSON writes it, in lower case, so that 0xAB finds 0xab."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value).lower()


@app.command()
def consume(
    topic: Annotated[str, typer.Argument(help="A topic's name.")],
    start: Annotated[
        str, typer.Option("--from", metavar="earliest|latest|OFFSET", help="Where to begin.")
    ] = "latest",
    count: Annotated[int | None, typer.Option("-n", min=1, help="End after so many records.")] = None,
    filter: Annotated[
        list[str], typer.Option("--filter", metavar="FIELD=VALUE", help="Only those; repeatable.")
    ] = [],  # noqa: B006 (Typer reads it as a default and never keeps it)
    timeout: Annotated[float | None, typer.Option(min=0.1, help="End after so many silent seconds.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line, whole values.")] = False,
) -> None:
    """Records as they come, until Ctrl-C; exit code 1 when the timeout came before -n records."""
    filters = [parse_filter(text) for text in filter]
    settings, there = records.connected()
    partitions = there[records.known(topic, there)]
    begin = records.beginning(start, partitions)
    shown = 0
    found = _filtered(records.read(settings, topic, begin, idle_s=timeout), filters)
    for seen in islice(found, count):
        print(records.as_json(seen).decode() if json else records.as_text(seen), flush=True)
        shown += 1
    if count is not None and shown < count:
        raise typer.Exit(1)


def _filtered(found: Iterator[Seen], filters: list[Filter]) -> Iterator[Seen]:
    return (seen for seen in found if not filters or matches(records.parsed(seen.value), filters))
