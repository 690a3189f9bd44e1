"""`soba docs`: the reference pages that are made from the registries, so that they cannot be wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import typer
from prometheus_client.metrics import MetricWrapperBase

from agents.judged import MOST_FAULTS
from agents.refused import REFUSED
from base import metrics
from base.settings import ROOT
from base.wording import FORMS, UNITS
from models.chain.rules import RULES
from tables.registry import INDEXES, TABLES
from topics import asyncapi
from topics.codecs import TOO_MANY_FAULTS
from topics.headers import HANDLED_TYPE
from topics.json_schemas import schema_name, value_schema
from topics.registry import DEAD_LETTER_SUFFIX, TOPICS
from topics.schemas import chain
from topics.schemas.forms import form

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
        DOCS / "events.md": events_page(),
        DOCS / "metrics.md": metrics_page(),
        DOCS / "asyncapi.json": _json(asyncapi.document()),
        **{SCHEMAS / f"{topic.name}.json": _json(value_schema(topic)) for topic in TOPICS.values()},
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def events_page() -> str:
    """The fields of events and of the envelope as Markdown."""
    forms = form(chain.Block)["$defs"] | {"Block": form(chain.Block)}
    common = chain.EventBase.model_fields.keys()
    text = [
        "# Events",
        "",
        MADE,
        "",
        "A record of `chain.events` is one event, an array of events, or a block envelope. An event is a flat object;",
        "a field that is unknown is left out. Decimal strings may be JSON numbers. Hex is taken in any case, but an address of",
        "mixed case must keep EIP-55.",
        "",
        "## Fields of every event",
        "",
        *_fields(form(chain.EventBase), common),
    ]
    for member in get_args(get_args(chain.Event)[0]):
        kinds = get_args(member.model_fields["event_type"].annotation)
        text += ["", f"## {', '.join(kinds)}", "", str(member.__doc__), ""]
        text += _fields(forms[member.__name__], [name for name in member.model_fields if name not in common])
        text += ["", "Beyond the form, it is refused for:", ""]
        text += [f"- {rule.__doc__}" for rule in RULES[kinds[0]]]
    text += ["", "## Block envelope", "", "`events` are events as above, `transactions` as below.", ""]
    text += _fields(forms["Block"], chain.Block.model_fields)
    text += [
        "",
        "## Transaction of an envelope",
        "",
        *_fields(forms["Transaction"], chain.Transaction.model_fields),
        "",
        "## Refused for what else is there",
        "",
        "A refused element is a dead letter of its own and the rest of its record is taken, except where a record is refused as",
        f"a whole: where it is no JSON, where the head of an envelope has a fault, and where more than {MOST_FAULTS:,} elements",
        f"have one (`{TOO_MANY_FAULTS}`): then the good ones are not taken either.",
        "",
        *(f"- {code}: {why}." for code, why in REFUSED.items()),
        "",
    ]
    return "\n".join(text)


def _fields(told: dict[str, Any], names: Iterable[str]) -> list[str]:
    """Fields of a JSON Schema as a table."""
    needed = told.get("required", ())
    rows = ["| field | form | required | what |", "|---|---|---|---|"]
    for name in names:
        field = told["properties"][name]
        what = " ".join(field.get("description", "").split())
        rows.append(f"| `{name}` | {_form(field, name)} | {'yes' if name in needed else ''} | {what} |")
    return rows


def _form(told: dict[str, Any], name: str) -> str:
    """What a field may be, in words."""
    options = [one for one in told.get("anyOf", [told]) if one.get("type") != "null"]
    if any(one.get("format") == "date-time" for one in options):
        return "unix seconds or RFC 3339"
    first = options[0]
    if "pattern" in first:
        return FORMS[first["pattern"]].replace("token units", UNITS.get(name, "token units"))
    values = first.get("enum") or ([first["const"]] if "const" in first else [])
    if values:
        return " or ".join(f"`{value}`" for value in values)
    if first.get("type") == "array":
        return f"list of {name}"
    if first.get("type") == "integer":
        if first.get("maximum") == 1:
            return "0 or 1"
        return "integer of at least 0" if first.get("minimum") == 0 else "integer"
    return f"text of at most {first['maxLength']} characters"


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
        "A replayed record carries `dlq.letter` (the letter it was) and `dlq.attempt` (how often it was replayed), and so does the",
        "letter that it becomes if it is refused again. What `bin/soba dlq replay` and `bin/soba dlq drop` did with letters stands",
        f"behind them in their partition, as records with `ce_type` `{HANDLED_TYPE}`: readers pass over those.",
        "",
    ]
    return "\n".join(text)


def tables_page() -> str:
    """All Redis tables and indexes as Markdown."""
    tables = [
        f"| `{t.name}` | {t.key} | `{schema_name(t.schema)}` | {', '.join(t.writers)} | {span(t.ttl)} | {t.doc} |"
        for t in TABLES
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
            "older than what is there. Each row has one writing agent.",
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
