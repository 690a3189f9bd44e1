"""Read records for the commands: from where to where, as lines for people or for programs."""

from __future__ import annotations

import base64
import json
import re
import select
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from base.settings import Settings, get_settings
from console import reach
from console.local.errors import LocalError
from topics import clients
from topics.headers import Headers
from topics.registry import DEAD_LETTER_SUFFIX, TOPICS, wanted

GROUP = "soba-console"
"""A consumer must name a group; it never joins or commits."""
QUIET = {"log_level": 0}
"""librdkafka says nothing by itself: it repeats a refused connection twenty times a second."""
TIMEOUT_S = 5
POLL_S = 0.2
NO_LEADER_YET = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
UNREAD_S = 30.0
"""What a topic holds already is waited for so long at least: a Kafka that is busy, or a reader that is, is no silence."""
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
SHOWN = 400
"""Characters of a value that a line for people shows."""

Spans = dict[int, tuple[int, int]]
"""Partition → first offset and the offset after the last."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One record as it stands in a topic."""

    topic: str
    partition: int
    offset: int
    at_ms: int
    key: bytes | None
    headers: Headers
    value: bytes

    def header(self, name: str) -> str:
        """The header `name` as text, empty where there is none."""
        return next((value.decode(errors="replace") for key, value in self.headers if key == name), "")


def connected() -> tuple[Settings, dict[str, int]]:
    """The settings with a Kafka that answers, and its topics with their partition counts.

    Raises LocalError when there is none, with what to do.
    """
    settings = get_settings()
    reach.kafka_known(settings)
    return settings, reach.kafka(settings)


def known(topic: str, there: dict[str, int]) -> str:
    """The topic's name, once it is sure that it exists.

    Raises LocalError when it does not, saying whether it should.
    """
    if topic in there:
        return topic
    if topic in {want.name for want in wanted(1, 1)}:
        raise LocalError(f"topic {topic} does not exist on this cluster yet: bin/soba topics create")
    raise LocalError(f"there is no topic {topic}; the topics are: {', '.join(TOPICS)}")


def dead_letter_topics() -> list[str]:
    """The names of all dead-letter topics."""
    return [topic.dlq for topic in TOPICS.values() if topic.dead_letters]


def source_of(topic: str) -> str:
    """The topic whose dead letters `topic` holds; itself where it is none."""
    return topic.removesuffix(DEAD_LETTER_SUFFIX)


def spans(settings: Settings, partitions: dict[str, int]) -> dict[str, Spans]:
    """What each of these topics holds now, by partition.

    Raises KafkaException when the broker does not answer.
    """
    consumer = Consumer(clients.consumer(settings, GROUP, **QUIET))
    try:
        return {
            name: {number: _edges(consumer, TopicPartition(name, number)) for number in range(count)}
            for name, count in partitions.items()
        }
    finally:
        consumer.close()


def _edges(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """First offset and the one after the last; waits for the leader of a topic that was made just now."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return consumer.get_watermark_offsets(place, timeout=TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() not in NO_LEADER_YET or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def read(
    settings: Settings,
    topic: str,
    start: dict[int, int],
    stop: dict[int, int] | None = None,
    idle_s: float | None = None,
    caught_up: Callable[[], None] | None = None,
) -> Iterator[Seen]:
    """Records from `start` by partition: up to `stop`, or on and on; once all were read, ends after `idle_s` without one.

    Commits nothing. `caught_up` is called once, when all partitions were read to their ends.

    Raises KafkaException when the broker refuses; without `stop`, BrokenPipeError when nobody reads standard output any more.
    """
    if stop is not None:
        start = {number: first for number, first in start.items() if first < stop[number]}
        if not start:
            return
    consumer = Consumer(clients.consumer(settings, GROUP, **QUIET, **{"enable.partition.eof": True}))
    unfinished = set(start)
    try:
        consumer.assign([TopicPartition(topic, number, offset) for number, offset in start.items()])
        last = looked = time.monotonic()
        while stop is None or unfinished:
            if idle_s is not None and time.monotonic() - last > (max(idle_s, UNREAD_S) if unfinished else idle_s):
                return
            message = consumer.poll(POLL_S)
            if stop is None and time.monotonic() - looked >= POLL_S:
                _reader_there()
                looked = time.monotonic()
            if message is None:
                continue
            if (error := message.error()) is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    if unfinished == {message.partition() or 0}:
                        last = time.monotonic()  # silence begins
                    unfinished.discard(message.partition() or 0)
                    if not unfinished and caught_up is not None:
                        caught_up()
                        caught_up = None
                elif error.code() == KafkaError._ALL_BROKERS_DOWN:
                    print(f"Kafka at {settings.brokers} is away; waiting for it", file=sys.stderr)
                elif not error.retriable() and error.code() != KafkaError._TRANSPORT:
                    raise KafkaException(error)
                continue
            record = seen(message)
            if stop is not None and record.offset >= stop[record.partition] - 1:
                unfinished.discard(record.partition)
                if record.offset >= stop[record.partition]:
                    continue
            yield record
            last = time.monotonic()  # after the yield: the reader's own time is not silence
    finally:
        consumer.close()


def _reader_there() -> None:
    """Raises BrokenPipeError when nobody reads standard output any more: the next record to notice it by may never come."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):  # no file, as in tests
        return
    if any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0)):
        raise BrokenPipeError


def since(settings: Settings, topic: str, held: Spans, at_ms: int) -> dict[int, int]:
    """The first offset of each partition whose record is not older than `at_ms`; its end where all are."""
    consumer = Consumer(clients.consumer(settings, GROUP, **QUIET))
    try:
        # A time stands where an offset would.
        asked = [TopicPartition(topic, number, max(at_ms, 0)) for number in held]
        found = consumer.offsets_for_times(asked, timeout=TIMEOUT_S) if asked else []
    finally:
        consumer.close()
    ends = {one.partition: held[one.partition][1] for one in found}
    return {
        one.partition: min(one.offset, ends[one.partition]) if one.offset >= 0 else ends[one.partition] for one in found
    }


def newest(settings: Settings, topic: str, partitions: int, count: int) -> tuple[list[Seen], dict[int, int]]:
    """The `count` newest records of a topic in order of time, and the offsets that follow them."""
    held = spans(settings, {topic: partitions})[topic]
    stop = {number: end for number, (_, end) in held.items()}
    start = {number: max(first, end - count) for number, (first, end) in held.items()}
    found = list(read(settings, topic, start, stop)) if count else []
    return sorted(found, key=lambda record: (record.at_ms, record.offset))[-count:] if count else [], stop


def beginning(word: str, partitions: int) -> dict[int, int]:
    """Where to start by partition: `earliest`, `latest` or an offset.

    Raises LocalError for anything else.
    """
    special = {"earliest": OFFSET_BEGINNING, "latest": OFFSET_END}
    if word not in special and not word.isdecimal():
        raise LocalError(f"--from takes earliest, latest or an offset, not {word!r}")
    return dict.fromkeys(range(partitions), special[word] if word in special else int(word))


def within(settings: Settings, topic: str, start: dict[int, int]) -> dict[int, int]:
    """The offsets with those beyond a partition's end moved to it, each told: Kafka would begin at the first record instead.

    Raises KafkaException when the broker does not answer.
    """
    held = spans(settings, {topic: len(start)})[topic]
    for number, offset in start.items():
        if offset > (end := held[number][1]):
            told = f"{topic}/{number} ends before offset {offset}, at {end}: only new records are read there"
            print(told, file=sys.stderr, flush=True)
    return {number: min(offset, held[number][1]) for number, offset in start.items()}


def moment(text: str, option: str, now: float) -> int:
    """Unix milliseconds of `2h`, `30m`, `3d` (so long ago) or a time by RFC 3339, UTC where it names no zone.

    Raises LocalError for anything else.
    """
    if found := re.fullmatch(r"(\d{1,6})([smhdw])", text, re.ASCII):
        return int((now - int(found[1]) * SECONDS[found[2]]) * 1000)
    try:
        at = datetime.fromisoformat(text)
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise LocalError(f"{option} takes 30m, 2h, 3d (so long ago) or 2026-01-31T12:00:00Z, not {text!r}") from None


def seen(message: Message) -> Seen:
    """A received message; librdkafka's optional fields are all there in one without error."""
    headers: Any = message.headers() or []
    return Seen(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        message.key() or None,
        [(name, value or b"") for name, value in headers],
        message.value() or b"",
    )


def as_row(record: Seen) -> dict[str, Any]:
    """For `orjson.dumps`; the value stands in it byte for byte when it is JSON, else as text or base64."""
    row: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": _time(record.at_ms),
        "key": None if record.key is None else record.key.decode(errors="replace"),
        "headers": {name: value.decode(errors="replace") for name, value in record.headers},
    }
    if parsed(record.value) is not None or record.value == b"null":
        # A line break can only be white space in valid JSON. A fragment keeps numbers beyond 64 bits whole.
        row["value"] = orjson.Fragment(record.value.replace(b"\n", b" ").replace(b"\r", b" "))
    else:
        try:
            row["text"] = record.value.decode()
        except UnicodeDecodeError:
            row["base64"] = base64.b64encode(record.value).decode()
    return row


def as_json(record: Seen) -> bytes:
    """One line of JSON."""
    return orjson.dumps(as_row(record))


def as_text(record: Seen, headers: bool = False) -> str:
    """Lines for a person: where and when, the value cut short, and the headers if wanted."""
    key = "-" if record.key is None else record.key.decode(errors="replace")
    lines = [f"{record.topic}/{record.partition}/{record.offset}  {_time(record.at_ms)}  key={key}"]
    if headers:
        lines += [f"  {name}: {value.decode(errors='replace')}" for name, value in record.headers]
    return "\n".join([*lines, f"  {short(record.value)}"])


def short(value: bytes, whole_by: str = "--json") -> str:
    """A value cut to what a screen takes, saying so and which option shows it whole."""
    text = value[: 4 * SHOWN].decode(errors="backslashreplace")
    whole = len(value) <= 4 * SHOWN and len(text) <= SHOWN
    return text if whole else f"{text[:SHOWN]}… ({len(value):,} bytes; {whole_by} shows all)"


def parsed(value: bytes) -> Any:
    """The value as JSON with exact integers; None where it is none (or null)."""
    try:
        return json.loads(value, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _time(at_ms: int) -> str:
    at = datetime.fromtimestamp(max(at_ms, 0) / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
