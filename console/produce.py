"""`soba produce`: send lines to a topic, as the exact bytes they are, and say what Kafka acknowledged."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import orjson
import typer
from confluent_kafka import KafkaException, Producer
from pydantic.alias_generators import to_camel

from base.settings import Settings
from base.wording import counted
from console import records
from console.local.errors import LocalError
from console.local.progress import Progress, progress
from topics import clients
from topics.headers import REQUEST_ID, Headers
from topics.registry import SWAP_REQUESTS, TOPICS, Topic

app = typer.Typer(help="Send JSON lines to a topic.")
FLUSH_S = 45
"""Longer than the producer's delivery timeout: by then every line is acknowledged or failed."""
FALLBACK_KEY = b"1"
OTHERS = frozenset({"any producer", "operators"})
"""Writers in the registry that are none of our services."""
NAMED = 20
"""How many failed lines are named one by one."""


@dataclass(slots=True)
class Sent:
    """What became of the lines."""

    lines: int = 0
    acknowledged: int = 0
    keyless: int = 0
    no_json: int = 0
    failed: dict[int, str] = field(default_factory=dict)
    """Line number → why."""
    places: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Partition → offsets of the first and the last line there."""

    def lies(self, partition: int, offset: int) -> None:
        """Note where Kafka has put a line."""
        self.acknowledged += 1
        first, _ = self.places.get(partition, (offset, offset))
        self.places[partition] = first, offset


def key_of(topic: Topic, line: bytes) -> bytes | None:
    """The key by the registry's rule for this value (an array's first element); None when it gives none."""
    value = records.parsed(line)
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return None
    parts = [_part(value, name) for name in topic.key.split(":")]
    return None if any(part is None for part in parts) else ":".join(map(str, parts)).encode()


def _part(value: dict[str, Any], name: str) -> str | None:
    camel = to_camel(name)  # as callers of HTTP write it
    part = value[name] if name in value else value.get(camel, 1 if name == "chain_id" else None)
    if isinstance(part, bool) or not isinstance(part, (int, str)) or part == "":
        return None
    return str(part)


def lines_of(source: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The lines with something in them and their numbers, without their line ends."""
    for number, line in enumerate(source, start=1):
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if line.strip():
            yield number, line


def header_of(text: str) -> tuple[str, bytes]:
    """`request_id=mine-1` as a header.

    Raises LocalError when it is not NAME=VALUE.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise LocalError(f"--header takes NAME=VALUE, such as {REQUEST_ID}=mine-1, not {text!r}")
    return name, value.encode()


def send(settings: Settings, topic: Topic, source: BinaryIO, headers: Headers, bar: Progress) -> Sent:
    """Send every line under `headers`; on Ctrl-C what was handed over is still waited for."""
    producer = Producer({**clients.producer(settings), **records.QUIET})
    sent = Sent()

    def delivered(number: int, error: Any, message: Any) -> None:
        if error is None:
            sent.lies(message.partition(), message.offset())
        else:
            sent.failed[number] = error.str()

    try:
        for number, line in lines_of(source):
            sent.lines += 1
            bar.advance(len(line) + 1)
            if len(line) > topic.max_bytes:
                sent.failed[number] = f"too large: {len(line):,} bytes of at most {topic.max_bytes:,}"
                continue
            key = key_of(topic, line)
            if key is None:
                no_json = records.parsed(line) is None and line.strip() != b"null"
                sent.no_json += no_json
                sent.keyless += not no_json
                key = FALLBACK_KEY
            _hand_over(producer, topic.name, key, line, headers, partial(delivered, number))
    except KeyboardInterrupt:
        print("interrupted: waiting for what was sent", file=sys.stderr)
    producer.flush(FLUSH_S)
    return sent


def _hand_over(producer: Any, topic: str, key: bytes, line: bytes, headers: Headers, done: Any) -> None:
    """Queue one line; a full queue is waited for, and a refusal goes to `done` like any other failure."""
    while True:
        try:
            producer.produce(topic, key=key, value=line, headers=headers, on_delivery=done)
            producer.poll(0)
            return
        except BufferError:
            producer.poll(0.1)
        except KafkaException as error:
            done(error.args[0], None)
            return


@app.command()
def produce(
    topic: Annotated[str, typer.Argument(help="A topic of soba topics list.")],
    file: Annotated[Path | None, typer.Argument(help="JSON lines; left out or -: standard input.")] = None,
    header: Annotated[
        list[str],
        typer.Option(
            "--header",
            metavar="NAME=VALUE",
            help="A header of each record, such as request_id=mine-1; repeatable. docs/topics.md says which mean something.",
        ),
    ] = [],  # noqa: B006 (Typer reads it as a default and never keeps it)
    json: Annotated[bool, typer.Option("--json", help="The result as one JSON object.")] = False,
) -> None:
    """Send each line of FILE as one record, byte for byte, and say where it lies; exit code 1 unless Kafka acknowledged all.

    The key is made from the line by the topic's rule (docs/topics.md). Nothing is validated here: what is wrong with a line is
    for the pipeline to say (see soba dlq).
    """
    if topic not in TOPICS:
        raise LocalError(f"there is no topic {topic}; the topics are: {', '.join(TOPICS)}")
    headers = [header_of(text) for text in header]
    settings, there = records.connected()
    records.known(topic, there)
    if warning := _of_agents(TOPICS[topic]):
        print(f"warning: {warning}", file=sys.stderr)
    with _source(file) as source, _bar(source, topic) as bar:
        sent = send(settings, TOPICS[topic], source, headers, bar)
    if topic == SWAP_REQUESTS.name and sent.lines > 1 and (warning := _one_id(headers, sent.lines)):
        print(f"warning: {warning}", file=sys.stderr)
    _report(TOPICS[topic], sent, "standard input" if str(file or "-") == "-" else str(file), json)
    if sent.failed or sent.acknowledged < sent.lines:
        raise typer.Exit(1)


def _one_id(headers: Headers, lines: int) -> str:
    """What to know of several lines under one id; empty where they name none."""
    named = next((value.decode() for name, value in headers if name == REQUEST_ID), "")
    told = f"{lines:,} lines are one request, {named}: the first is assessed; send one a call, or an array in one line"
    return told if named else ""


def _of_agents(topic: Topic) -> str:
    """What to know before sending to a topic that only our own services write; empty for one that is for others too."""
    if OTHERS.intersection(topic.writers):
        return ""
    return f"{topic.name} is written by {' and '.join(topic.writers)} only; its readers take for real what is sent here"


@contextmanager
def _source(file: Path | None) -> Iterator[BinaryIO]:
    if file is None or str(file) == "-":
        if sys.stdin.isatty():
            print("type JSON, one record a line; Ctrl-D ends", file=sys.stderr)
        yield sys.stdin.buffer
        return
    try:
        source = file.open("rb")
    except OSError as error:
        raise LocalError(f"{file} cannot be read: {error.strerror}") from error
    with source:
        yield source


class _Quiet:
    """Progress that nobody sees: the size is unknown, or the output is not a terminal."""

    def advance(self, count: int) -> None:
        pass


@contextmanager
def _bar(source: BinaryIO, topic: str) -> Iterator[Progress]:
    try:
        total = os.fstat(source.fileno()).st_size
    except OSError:
        total = 0
    if total and sys.stdout.isatty():
        with progress(f"to {topic}", total) as bar:
            yield bar
    else:
        yield _Quiet()


def _report(topic: Topic, sent: Sent, name: str, json: bool) -> None:
    lost = sent.lines - sent.acknowledged - len(sent.failed)
    if json:
        row = {
            "topic": topic.name,
            "lines": sent.lines,
            "acknowledged": sent.acknowledged,
            "places": [
                {"partition": partition, "first": first, "last": last}
                for partition, (first, last) in sorted(sent.places.items())
            ],
            "without_key": sent.keyless + sent.no_json,
            "not_json": sent.no_json,
            "failed": [{"line": number, "error": why} for number, why in sorted(sent.failed.items())],
            "unanswered": lost,
        }
        print(orjson.dumps(row).decode())
        return
    where = ", ".join(
        f"{topic.name}/{partition}/{first}" + (f" to {last}" if last > first else "")
        for partition, (first, last) in sorted(sent.places.items())
    )
    print(
        f"{topic.name}: {sent.acknowledged:,} of {counted(sent.lines, 'line')} acknowledged"
        + (f", at {where}" if where else "")
    )
    if sent.no_json:
        text = f"{counted(sent.no_json, 'line is', 'lines are')} not JSON; {name} is read as one record a line"
        ends = f"; they end as dead letters: bin/soba dlq show {topic.name}" if topic.dead_letters else ""
        print(f"warning: {text}{ends}", file=sys.stderr)
    if sent.keyless:
        text = f"{sent.keyless:,} without a usable {topic.key}: sent with key {FALLBACK_KEY.decode()}"
        print(f"warning: {text}", file=sys.stderr)
    for number, why in sorted(sent.failed.items())[:NAMED]:
        print(f"line {number}: {why}", file=sys.stderr)
    if len(sent.failed) > NAMED:
        print(f"and {len(sent.failed) - NAMED:,} more lines failed (--json names all)", file=sys.stderr)
    if lost:
        print(f"{counted(lost, 'line was', 'lines were')} not answered within {FLUSH_S} s", file=sys.stderr)
