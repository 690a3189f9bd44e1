"""Dead-letter topics read as what they are: letters, and beside them the records that say what became of them.

Those records (`Handled`) stand in the same partition behind the letters they name. So a topic tells by itself what is open, and
goes on telling after anything else is lost: retention deletes a letter before what was noted of it, and a topic that is made anew
forgets both.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from pydantic import ValidationError

from base.settings import Settings
from console import records
from console.local.errors import LocalError
from console.local.progress import counting
from console.records import Seen
from topics import clients
from topics.headers import HANDLED_TYPE, cloud_event, parse_place, place
from topics.registry import DEAD_LETTER_SUFFIX
from topics.schemas.letters import Fate, Handled, Letter

State = Literal["open", "replayed", "dropped"]
STATES: tuple[State, ...] = ("open", "replayed", "dropped")
FLUSH_S = 45
"""Longer than the producer's delivery timeout: by then every record is acknowledged or failed."""
FETCH_S = 30
KEPT_SOURCES = 4

Spot = tuple[int, int]
"""Partition and offset in a dead-letter topic."""


@dataclass(frozen=True, slots=True)
class Noted:
    """What must be known of each letter to choose: there may be millions. `same` is equal for the same refusal told twice."""

    spot: Spot
    at_ms: int
    reason: str
    attempt: int
    same: bytes


@dataclass(slots=True)
class Survey:
    """What a dead-letter topic holds."""

    topic: str
    letters: dict[Spot, Noted] = field(default_factory=dict)
    fates: dict[Spot, Fate] = field(default_factory=dict)
    strangers: int = 0
    """Records that are neither letters nor notes of ours."""

    def take(self, seen: Seen) -> None:
        """Note one record; the last word on a letter holds."""
        if seen.header("ce_type") == HANDLED_TYPE:
            try:
                handled = Handled.model_validate_json(seen.value)
            except ValidationError:
                self.strangers += 1
                return
            self.fates.update({(seen.partition, offset): handled.status for offset in handled.offsets})
            return
        letter = letter_of(seen)
        if letter is None:
            self.strangers += 1
            return
        same = hashlib.blake2b(letter.id.encode() + b"\0" + seen.value, digest_size=16).digest()
        spot = (seen.partition, seen.offset)
        self.letters[spot] = Noted(spot, seen.at_ms, sys.intern(letter.reason), letter.attempt, same)

    def state(self, spot: Spot) -> State:
        """What became of the letter there."""
        return self.fates.get(spot, "open")

    def name(self, spot: Spot) -> str:
        """`chain.events.dlq/0/17`."""
        return place(self.topic, *spot, None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters: all that fit everything that is given."""

    reasons: Collection[str] = ()
    since_ms: int | None = None
    until_ms: int | None = None
    spots: Collection[Spot] = ()
    attempt: int | None = None
    states: tuple[State, ...] = ("open",)

    def fits(self, noted: Noted, state: State) -> bool:
        """Whether it is one of those."""
        return (
            state in self.states
            and (not self.reasons or noted.reason in self.reasons)
            and (self.since_ms is None or noted.at_ms >= self.since_ms)
            and (self.until_ms is None or noted.at_ms < self.until_ms)
            and (not self.spots or noted.spot in self.spots)
            and (self.attempt is None or noted.attempt == self.attempt)
        )


def letter_of(seen: Seen) -> Letter | None:
    """What the headers of a dead letter say; None where the record is none of ours."""
    headers = {name: value.decode(errors="replace") for name, value in reversed(seen.headers)}
    try:
        return Letter.model_validate(headers)
    except ValidationError:
        return None


def topic_of(name: str) -> str:
    """The dead-letter topic of a topic, named by either.

    Raises LocalError when it has none.
    """
    topic = records.source_of(name) + DEAD_LETTER_SUFFIX
    if topic not in records.dead_letter_topics():
        have = ", ".join(map(records.source_of, records.dead_letter_topics()))
        raise LocalError(f"{name} has no dead letters; these topics do: {have}")
    return topic


def survey(settings: Settings, there: dict[str, int], topic: str) -> Survey:
    """Read a dead-letter topic as it stands now.

    Raises LocalError when it does not exist.
    """
    held = records.spans(settings, {topic: there[records.known(topic, there)]})[topic]
    found = Survey(topic)
    start = {number: first for number, (first, _) in held.items()}
    with counting(f"reading {topic}", sum(end - first for first, end in held.values())) as bar:
        for seen in records.read(settings, topic, start, {number: end for number, (_, end) in held.items()}):
            found.take(seen)
            bar.advance(1)
    return found


def chosen(found: Survey, wanted: Wanted, count: int | None) -> list[list[Noted]]:
    """The `count` oldest letters that fit, each with the others that tell the same refusal and are not done with either."""
    fit = [noted for noted in found.letters.values() if wanted.fits(noted, found.state(noted.spot))]
    same: dict[bytes, list[Noted]] = {noted.same: [] for noted in sorted(fit, key=lambda n: (n.at_ms, n.spot))}
    for noted in found.letters.values():
        if noted.same in same and found.state(noted.spot) in wanted.states:
            same[noted.same].append(noted)
    return list(same.values())[:count]


def values(settings: Settings, topic: str, spots: Collection[Spot]) -> Iterator[Seen]:
    """The letters at these places with their bytes, in order by partition; what retention took meanwhile is not among them."""
    start: dict[int, int] = {}
    stop: dict[int, int] = {}
    for partition, offset in spots:
        start[partition] = min(offset, start.get(partition, offset))
        stop[partition] = max(offset + 1, stop.get(partition, 0))
    for seen in records.read(settings, topic, start, stop):
        if (seen.partition, seen.offset) in spots:
            yield seen


def note(producer: Producer, topic: str, spots: Sequence[Spot], status: Fate) -> None:
    """Write down what became of letters, and have it confirmed.

    Raises LocalError when Kafka does not confirm it.
    """
    by_partition: dict[int, list[int]] = {}
    for partition, offset in sorted(spots):
        by_partition.setdefault(partition, []).append(offset)
    failed: list[str] = []

    def delivered(error: Any, _: Any) -> None:
        if error is not None:
            failed.append(error.str())

    for partition, offsets in by_partition.items():
        value = Handled(status=status, offsets=offsets, at=datetime.now(UTC)).model_dump_json().encode()
        headers: Any = cloud_event(f"{place(topic, partition, offsets[0], None)}:{status}", "soba.dlq", HANDLED_TYPE)
        producer.produce(topic, value, None, partition, delivered, headers=headers)
    if producer.flush(FLUSH_S) or failed:
        why = failed[0] if failed else "no answer"
        raise LocalError(
            f"Kafka did not take the note that {len(spots):,} letters were {status}: {why}.", "Run it again."
        )


class Sources:
    """Fetches the records that refused elements stood in."""

    def __init__(self, settings: Settings, partitions: dict[str, int]) -> None:
        self._partitions = partitions
        self._consumer = Consumer(
            clients.consumer(settings, records.GROUP, **records.QUIET, **{"enable.partition.eof": True})
        )
        self._kept: dict[str, bytes | None] = {}
        """The last few: letters of one record follow each other."""

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()

    def at(self, source: str, topic: str) -> bytes | None:
        """The record of `topic` at the place `source`; None where there is none any more.

        Raises KafkaException when the broker does not answer.
        """
        if source not in self._kept:
            while len(self._kept) >= KEPT_SOURCES:
                del self._kept[next(iter(self._kept))]
            self._kept[source] = self._fetch(source, topic)
        return self._kept[source]

    def _fetch(self, source: str, topic: str) -> bytes | None:
        where = parse_place(source)
        # A producer may have written the header that a source comes from.
        if where is None or where[0] != topic or where[1] >= self._partitions.get(topic, 0):
            return None
        partition, offset = where[1:]
        low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=records.TIMEOUT_S)
        if not low <= offset < high:
            return None
        self._consumer.assign([TopicPartition(topic, partition, offset)])
        deadline = time.monotonic() + FETCH_S
        while time.monotonic() < deadline:
            message = self._consumer.poll(0.2)
            if message is None or (message.error() is not None and not _at_end(message)):
                continue  # an outage that librdkafka sits out
            found = message.error() is None and message.offset() == offset
            return message.value() or b"" if found else None
        raise LocalError(f"Kafka does not give out {source}.", "See bin/soba doctor, and run it again.")


def _at_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


def by_reason(groups: Sequence[Sequence[Noted]]) -> dict[str, int]:
    """How many by reason, most first."""
    counts: dict[str, int] = {}
    for group in groups:
        reason = group[0].reason
        counts[reason] = counts.get(reason, 0) + 1
    return dict(sorted(counts.items(), key=lambda row: (-row[1], row[0])))
