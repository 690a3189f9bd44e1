"""`soba docs`: the reference pages that are made from the registries, so that they cannot be wrong."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import typer
from prometheus_client.metrics import MetricWrapperBase

from base import metrics
from base.settings import ROOT
from tables.registry import INDEXES, TABLES
from topics import asyncapi
from topics.json_schemas import schema_name, value_schema
from topics.registry import DEAD_LETTER_SUFFIX, TOPICS

app = typer.Typer()
DOCS = ROOT / "docs"
SCHEMAS = DOCS / "schemas"
MADE = "<!-- Made by `bin/soba docs` from the registry; a test compares them. Change the registry, not this page. -->"


@app.command()
def docs() -> None:
    """Write the pages and schemas of docs/ that are made from the code."""
    made = pages()
    for path, text in made.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        print(path.relative_to(ROOT))
    for left in SCHEMAS.glob("*.json"):
        if left not in made:
            left.unlink()


def pages() -> dict[Path, str]:
    """Every made page and its text."""
    return {
        DOCS / "topics.md": topics_page(),
        DOCS / "tables.md": tables_page(),
        DOCS / "metrics.md": metrics_page(),
        DOCS / "asyncapi.json": _json(asyncapi.document()),
        **{SCHEMAS / f"{topic.name}.json": _json(value_schema(topic)) for topic in TOPICS.values()},
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def topics_page() -> str:
    """All topics as Markdown."""
    rows = [
        f"| `{t.name}` | {t.key} | [{schema_name(t.schema)}](schemas/{t.name}.json) |"
        f" {', '.join(t.writers)} | {', '.join(t.readers)} |"
        f" {t.max_bytes >> 20} MiB | {kept(t.retention)} | {'yes' if t.dead_letters else ''} |"
        for t in TOPICS.values()
    ]
    text = [
        "# Topics",
        "",
        MADE,
        "",
        "Values are JSON, but for those of `model.releases`. Records carry CloudEvents headers in binary mode (`ce_id` is",
        "deterministic: the same result, made again, has the same one), and `request_id`, `traceparent` and `tracestate` where",
        "there is one. All producers use Java's murmur2 partitioner (librdkafka: `partitioner=murmur2_random`). Schemas only",
        "grow; a breaking change is a new topic.",
        "",
        "For machines: [asyncapi.json](asyncapi.json) is all of this as AsyncAPI 3.0, with every header and field, and",
        "[schemas/](schemas) holds the JSON Schema of each topic's value. What only Soba writes is described as it is written,",
        "what others write as it is taken; beyond a schema, `chain.events` has the rules of `models/chain/rules.py`.",
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


def metrics_page() -> str:
    """All Prometheus metrics as Markdown."""
    rows = []
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (told,) = metric.describe()
            name = told.name + ("_total" if told.type == "counter" else "")
            rows.append(f"| `{name}` | {told.type} | {', '.join(metric._labelnames)} | {told.documentation} |")
    return "\n".join(
        [
            "# Metrics",
            "",
            MADE.replace("registry", "code"),
            "",
            "For Prometheus, at `/metrics` of the facade and of each worker's own port (docs/operations.md). What has the label",
            "`agent` is a worker's, everything else the facade's. Beside these, each process exposes what prometheus_client knows",
            "of it: `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds`, `python_gc_*`.",
            "",
            "| metric | type | labels | what |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


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
