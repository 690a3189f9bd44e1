"""`soba docs`: the reference pages that are made from the registries, so that they cannot be wrong."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, get_args, get_origin

import typer

from base.settings import ROOT
from tables.registry import INDEXES, TABLES
from topics.headers import HANDLED_TYPE
from topics.registry import DEAD_LETTER_SUFFIX, TOPICS
from topics.schemas import chain

app = typer.Typer()
MADE = "<!-- Made by `bin/soba docs` from the registry; a test compares them. Change the registry, not this page. -->"


@app.command()
def docs() -> None:
    """Write docs/topics.md and docs/tables.md anew."""
    for path, text in pages().items():
        path.write_text(text)
        print(path.relative_to(ROOT))


def pages() -> dict[Path, str]:
    """Every made page and its text."""
    return {ROOT / "docs" / "topics.md": topics_page(), ROOT / "docs" / "tables.md": tables_page()}


def topics_page() -> str:
    """All topics as Markdown."""
    rows = [
        f"| `{t.name}` | {t.key} | `{schema_name(t.schema)}` | {', '.join(t.writers)} | {', '.join(t.readers)} |"
        f" {t.max_bytes >> 20} MiB | {kept(t.retention)} | {'yes' if t.dead_letters else ''} |"
        for t in TOPICS.values()
    ]
    text = [
        "# Topics",
        "",
        MADE,
        "",
        "Values are JSON, but for those of `model.releases`. Records carry CloudEvents headers in binary mode (`ce_id` is",
        "deterministic: the same result, made again, has the same one), `traceparent` and `request_id` where there is one. All",
        "producers use Java's murmur2 partitioner (librdkafka: `partitioner=murmur2_random`). Schemas only grow; a breaking",
        "change is a new topic.",
        "",
        "| topic | key | schema | writers | readers | largest value | kept | dead letters |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
        "",
    ]
    for topic in TOPICS.values():
        text += [f"- `{topic.name}`: {topic.doc}"]
    text += [
        "",
        "## Dead letters",
        "",
        f"`<topic>{DEAD_LETTER_SUFFIX}` holds the original bytes of a refused element alone, for 30 days. Its headers say",
        "why and where: `dlq.reason`, `dlq.field`, `dlq.detail`, `dlq.source` (topic/partition/offset), `dlq.index` (its",
        "place, where it was one of many), `dlq.agent`. `bin/soba dlq list` counts them, `bin/soba dlq show` prints them.",
        "A replayed record carries `dlq.letter` (the letter it was) and `dlq.attempt` (how often it was replayed), and so does the",
        "letter that it becomes if it is refused again. What `bin/soba dlq replay` and `bin/soba dlq drop` did with letters stands",
        f"behind them in their partition, as records with `ce_type` `{HANDLED_TYPE}`: readers pass over those.",
        "",
    ]
    return "\n".join(text)


def tables_page() -> str:
    """All Redis tables and indexes as Markdown."""
    tables = [
        f"| `{t.name}` | {t.key} | `{schema_name(t.schema)}` | {t.writer} | {span(t.ttl)} | {t.doc} |" for t in TABLES
    ]
    indexes = [f"| `{i.name}` | {i.key} | `{i.table.name}` | {i.keep:,} |" for i in INDEXES]
    return "\n".join(
        [
            "# Redis tables",
            "",
            MADE,
            "",
            "A row lies at `table:{bNN}:key` with NN = crc32(key) % 256 in hex, so that rows of one bucket share a slot of a",
            "Redis cluster. Its value is the row's version in 20 digits, then JSON; a write is refused only if it is",
            "older than what is there. Each table has one writing agent.",
            "",
            "| table | key | row | writer | lives | what |",
            "|---|---|---|---|---|---|",
            *tables,
            "",
            "Indexes are sorted sets from a key to row keys, scored by block number. An index only points: whoever reads a",
            "row by way of one checks the row.",
            "",
            "| index | key | table | keeps |",
            "|---|---|---|---|",
            *indexes,
            "",
        ]
    )


def schema_name(schema: Any) -> str:
    """A schema as a person writes it: `Event, list of Event or Block`."""
    if schema == chain.Event:  # the union of all event types is one concept, and has no name at run time
        return "Event"
    if get_origin(schema) is list:
        return f"list of {schema_name(get_args(schema)[0])}"
    if get_args(schema):
        names = [schema_name(part) for part in get_args(schema)]
        return f"{', '.join(names[:-1])} or {names[-1]}"
    return str(schema.__name__)


def kept(retention: timedelta | None) -> str:
    """How long a topic keeps its records."""
    return "the newest of a key" if retention is None else span(retention)


def span(time: timedelta) -> str:
    """A duration in its largest whole unit."""
    seconds = int(time.total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds % length == 0:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
