"""`soba dlq`: what the pipeline refused, and why."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Annotated

import orjson
import typer

from base.settings import Settings
from console import records
from console.local.errors import LocalError
from console.records import Seen
from topics.registry import DEAD_LETTER_SUFFIX

app = typer.Typer(help="What the pipeline refused, and why.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]


@app.command("list")
def list_(json: AsJson = False) -> None:
    """How many records were refused, by topic and reason."""
    settings, there = records.connected()
    counts: Counter[tuple[str, str]] = Counter()
    for topic in records.dead_letter_topics():
        if topic in there:
            found = _all(settings, there, topic)
            counts.update((records.source_of(topic), seen.header("dlq.reason")) for seen in found)
    rows = sorted(counts.items(), key=lambda row: (row[0][0], -row[1], row[0][1]))
    if json:
        for (topic, reason), count in rows:
            print(orjson.dumps({"topic": topic, "reason": reason, "count": count}).decode())
    elif not rows:
        print("no dead letters")
    else:
        width = max(len(reason) for (_, reason), _ in rows)
        for (topic, reason), count in rows:
            print(f"{topic:<16}{reason:<{width}}  {count:>9,}")
        print("look at them: bin/soba dlq show [TOPIC] [--reason REASON]")


@app.command()
def show(
    topic: Annotated[str | None, typer.Argument(help="Only those of this topic.")] = None,
    count: Annotated[int, typer.Option("-n", min=1, help="How many, the newest.")] = 10,
    reason: Annotated[str | None, typer.Option(help="Only those refused for this reason.")] = None,
    json: AsJson = False,
) -> None:
    """The newest dead letters: reason, field, detail, where it stood, and the original bytes."""
    settings, there = records.connected()
    found: list[Seen] = []
    for name in records.dead_letter_topics() if topic is None else [_dead_letters_of(topic)]:
        if name not in there:
            continue
        if reason is None:
            found += records.newest(settings, name, there[name], count)[0]
        else:
            found += [seen for seen in _all(settings, there, name) if seen.header("dlq.reason") == reason]
    found = sorted(found, key=lambda seen: (seen.at_ms, seen.offset))[-count:]
    for seen in found:
        if json:
            print(records.as_json(seen).decode(), flush=True)
        else:
            print(about(seen), flush=True)
            if sys.stdout.isatty():
                # A producer must not be able to write to an operator's terminal.
                text = seen.value.decode(errors="backslashreplace")
                print("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text), end="\n\n")
            else:
                sys.stdout.buffer.write(seen.value + b"\n\n")
                sys.stdout.buffer.flush()
    if not found and not json:
        print("no dead letters")


def _all(settings: Settings, there: dict[str, int], topic: str) -> Iterator[Seen]:
    held = records.spans(settings, {topic: there[topic]})[topic]
    start = {number: first for number, (first, _) in held.items()}
    return records.read(settings, topic, start, {number: end for number, (_, end) in held.items()})


def _dead_letters_of(topic: str) -> str:
    name = records.source_of(topic) + DEAD_LETTER_SUFFIX
    if name not in records.dead_letter_topics():
        have = ", ".join(map(records.source_of, records.dead_letter_topics()))
        raise LocalError(f"{topic} has no dead letters; these topics do: {have}")
    return name


def about(seen: Seen) -> str:
    """What a person wants to know before the bytes: why it was refused, and where it stood."""
    field = seen.header("dlq.field")
    index = seen.header("dlq.index")
    place = f"element {index} of {seen.header('dlq.source')}" if index else seen.header("dlq.source")
    lines = [
        f"reason  {seen.header('dlq.reason')}" + (f"  field {field}" if field else ""),
        f"detail  {seen.header('dlq.detail')}",
        f"source  {place}, refused by {seen.header('dlq.agent')}",
    ]
    if request := seen.header("request_id"):
        lines.append(f"request {request}")
    return "\n".join(lines)
