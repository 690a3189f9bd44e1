"""`soba consume`: the records of a topic from a place on, filtered by fields."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Any

import typer

from base.wording import counted
from console import records
from console.local.errors import LocalError

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


@dataclass(slots=True)
class Search:
    """Records against filters: what was read, and which filters' fields were there at all."""

    topic: str
    start: str
    filters: list[Filter]
    read: int = 0
    shown: int = 0
    there: set[str] = field(default_factory=set)

    def fits(self, value: bytes) -> bool:
        """Whether a record passes all filters; counts it."""
        self.read += 1
        if not self.filters:
            return True
        parsed = records.parsed(value)
        self.there.update(".".join(path) for path, _ in self.filters if any(True for _ in _at(parsed, path)))
        return matches(parsed, self.filters)

    def tell_nothing(self, more: str = "") -> None:
        """Say on standard error that nothing was shown, where that is so."""
        if not self.shown:
            print(self.nothing() + more, file=sys.stderr, flush=True)

    def nothing(self) -> str:
        """Why nothing is shown, with what to do where there is something."""
        if not self.read and self.start == "latest":
            return f"nothing new came to {self.topic}; --from earliest shows what is there"
        if not self.read:
            from_ = "" if self.start == "earliest" else f" from offset {self.start} on"
            return f"{self.topic} holds no records{from_}"
        wanted = " ".join(f"--filter {'.'.join(path)}={text}" for path, text in self.filters)
        absent = [name for path, _ in self.filters if (name := ".".join(path)) not in self.there]
        why = f" (none has a field {', '.join(absent)}; --json shows the fields)" if absent else ""
        count = counted(self.read, "record")
        return f"{count} of {self.topic} read, none matches {wanted}{why}"


@app.command()
def consume(
    topic: Annotated[str, typer.Argument(help="A topic's name.")],
    start: Annotated[str, typer.Option("--from", metavar="earliest|latest|OFFSET", help="Where to begin.")] = "latest",
    count: Annotated[int | None, typer.Option("-n", min=1, help="End after so many records.")] = None,
    filter: Annotated[
        list[str],
        typer.Option(
            "--filter",
            metavar="FIELD=VALUE",
            help="Only those with this value, as in events.event_type=swap; repeatable.",
        ),
    ] = [],  # noqa: B006 (Typer reads it as a default and never keeps it)
    timeout: Annotated[float | None, typer.Option(min=0.1, help="End after so many silent seconds.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line, whole values.")] = False,
) -> None:
    """Records as they come, until Ctrl-C; exit code 1 when the timeout came before -n records."""
    filters = [parse_filter(text) for text in filter]
    settings, there = records.connected()
    partitions = there[records.known(topic, there)]
    begin = records.beginning(start, partitions)
    if start.isdecimal():
        begin = records.within(settings, topic, begin)
    search = Search(topic, start, filters)

    def waiting() -> None:
        if timeout is None:
            search.tell_nothing("; waiting for new ones, Ctrl-C ends it")

    found = records.read(settings, topic, begin, idle_s=timeout, caught_up=waiting)
    try:
        for seen in islice((seen for seen in found if search.fits(seen.value)), count):
            print(records.as_json(seen).decode() if json else records.as_text(seen), flush=True)
            search.shown += 1
    except KeyboardInterrupt:
        search.tell_nothing()
        raise
    search.tell_nothing()
    if count is not None and search.shown < count:
        raise typer.Exit(1)
