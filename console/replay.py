"""`soba dlq replay` and `soba dlq drop`: what is done with dead letters once their cause is mended.

Letters are sent a few hundred at a time: sent, confirmed by Kafka, noted as replayed, confirmed again. A kill in between sends the
few of one round a second time, which the pipeline takes for the duplicates they are; it never loses one. Whatever is refused again
is a letter of its own, which says how often it has been sent.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
import typer
from confluent_kafka import KafkaException, Producer

from base.settings import Settings
from base.wording import counted
from console import letters, records
from console.alone import CannotSend, needs_source, standing_alone
from console.letters import Noted, Sources, Spot, State, Survey, Wanted
from console.local.errors import LocalError
from console.local.progress import Progress, counting
from console.records import Seen
from console.refusals import refusal
from topics import clients
from topics.headers import ATTEMPT, CARRIED, LETTER, Headers, cloud_event, parse_place
from topics.registry import TOPICS
from topics.schemas.letters import Letter

AT_ONCE = 200
AT_ONCE_BYTES = 8 << 20
SHOWN = 10
"""How many letters that stay are named one by one."""

Reasons = Annotated[list[str], typer.Option("--reason", help="Only those refused for this reason; repeatable.")]
Since = Annotated[str | None, typer.Option(help="Only those refused from then on: 2h (ago), or a time by RFC 3339.")]
Until = Annotated[str | None, typer.Option(help="Only those refused before then.")]
Offsets = Annotated[
    list[str],
    typer.Option("--offset", metavar="P:O", help="Only that letter (partition:offset, as dlq show says); repeatable."),
]
Attempt = Annotated[
    int | None,
    typer.Option("--attempt", min=0, help="Only those replayed so often before; 0: never."),
]
Count = Annotated[int | None, typer.Option("-n", min=1, help="At most so many, the oldest.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="The result as one JSON object.")]
Name = Annotated[str, typer.Argument(help="The topic whose dead letters they are.")]


@dataclass(slots=True)
class Outcome:
    """What became of the chosen letters; a refusal that was told twice counts once."""

    topic: str
    chosen: int
    dry_run: bool
    sent: Counter[str] = field(default_factory=Counter)
    """By the reason they were refused for."""
    again: Counter[tuple[str, str]] = field(default_factory=Counter)
    """In a dry run: (reason, why it would be refused again today)."""
    stay: dict[str, str] = field(default_factory=dict)
    """Letters that cannot be sent, and why."""
    interrupted: bool = False


def replay(
    topic: Name,
    reason: Reasons = [],  # noqa: B006 (Typer reads it as a default and never keeps it)
    since: Since = None,
    until: Until = None,
    offset: Offsets = [],  # noqa: B006
    attempt: Attempt = None,
    count: Count = None,
    dropped: Annotated[bool, typer.Option("--dropped", help="Take dropped ones instead of open ones.")] = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Send open dead letters back to their topic, byte for byte, once their cause is mended. Sends none twice.

    What is refused again becomes a new dead letter that counts its attempts. Exit code 1 when a chosen letter cannot be sent.
    """
    wanted = _wanted(reason, since, until, offset, attempt, "dropped" if dropped else "open")
    settings, there = records.connected()
    found = letters.survey(settings, there, letters.topic_of(topic))
    groups = letters.chosen(found, wanted, count)
    outcome = Outcome(records.source_of(found.topic), len(groups), dry_run)
    if groups:
        with counting(f"to {outcome.topic}", len(groups)) as bar:
            _Round(settings, there, found, groups, outcome, bar).run()
    _report(outcome, found, json)
    if outcome.interrupted:
        raise typer.Exit(130)
    if outcome.stay:
        raise typer.Exit(1)


def drop(
    topic: Name,
    reason: Reasons = [],  # noqa: B006
    since: Since = None,
    until: Until = None,
    offset: Offsets = [],  # noqa: B006
    attempt: Attempt = None,
    count: Count = None,
    all: Annotated[bool, typer.Option("--all", help="Every open one, where nothing else chooses.")] = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Note open dead letters as done with, without sending them. Their bytes stay until retention takes them."""
    wanted = _wanted(reason, since, until, offset, attempt, "open")
    if not (reason or since or until or offset or attempt is not None or count or all or dry_run):
        raise LocalError(
            f"which letters of {topic}? Choose by --reason, --offset, --since, --until, --attempt or -n, or drop --all;",
            "--dry-run says what would be dropped",
        )
    settings, there = records.connected()
    found = letters.survey(settings, there, letters.topic_of(topic))
    groups = letters.chosen(found, wanted, count)
    if groups and not dry_run:
        producer = Producer({**clients.producer(settings), **records.QUIET})
        spots = [noted.spot for group in groups for noted in group]
        for start in range(0, len(spots), AT_ONCE):
            letters.note(producer, found.topic, spots[start : start + AT_ONCE], "dropped")
    source, reasons = records.source_of(found.topic), letters.by_reason(groups)
    if json:
        row = {"topic": source, "dry_run": dry_run, "dropped": len(groups), "reasons": reasons}
        print(orjson.dumps(row).decode())
        return
    if not groups:
        print(_nothing(source, found))
        return
    print(f"{source}: {'would drop ' if dry_run else 'dropped '}{_letters(len(groups))}")
    _print_reasons(reasons)
    if not dry_run:
        print(f"to send them after all: bin/soba dlq replay {source} --dropped")


class _Round:
    """Sends the chosen letters, `AT_ONCE` at a time."""

    def __init__(
        self,
        settings: Settings,
        there: dict[str, int],
        found: Survey,
        groups: Sequence[Sequence[Noted]],
        outcome: Outcome,
        bar: Progress,
    ) -> None:
        self._settings = settings
        self._found = found
        self._groups = {group[0].spot: group for group in groups}
        self._outcome = outcome
        self._bar = bar
        self._sources = Sources(settings, there)
        self._producer = Producer({**clients.producer(settings), **records.QUIET})
        self._unsettled: list[Spot] = []
        self._bytes = 0
        self._read: set[Spot] = set()
        self._acknowledged: set[Spot] = set()
        self._failed: list[str] = []

    def run(self) -> None:
        """Send them all; on Ctrl-C what was handed over is still waited for and noted.

        Raises LocalError when Kafka stops taking records; what was confirmed until then is noted.
        """
        try:
            for seen in letters.values(self._settings, self._found.topic, self._groups):
                self._take(seen)
                if len(self._unsettled) >= AT_ONCE or self._bytes >= AT_ONCE_BYTES:
                    self._settle()
            for spot in self._groups.keys() - self._read:
                self._outcome.stay[self._found.name(spot)] = "its retention ended meanwhile"
        except KeyboardInterrupt:
            self._outcome.interrupted = True
        finally:
            self._sources.close()
            self._settle()

    def _take(self, seen: Seen) -> None:
        spot = (seen.partition, seen.offset)
        letter, topic = letters.letter_of(seen), self._outcome.topic
        self._read.add(spot)
        self._bar.advance(1)
        if letter is None:  # the survey took it for one
            return
        try:
            value = seen.value
            if needs_source(topic, letter):
                source = self._sources.at(letter.source, topic)
                value = standing_alone(letter, value, source, time.time())
            if self._outcome.dry_run:
                self._outcome.sent[letter.reason] += 1
                if again := refusal(topic, seen.key, value):
                    self._outcome.again[letter.reason, again] += 1
                return
            headers = again_headers(letter, self._found.name(spot), seen.headers)
            self._send(spot, seen.key, value, headers, partition_of(topic, letter))
        except CannotSend as why:
            self._outcome.stay[self._found.name(spot)] = str(why)

    def _send(self, spot: Spot, key: bytes | None, value: bytes, headers: Headers, partition: int | None) -> None:
        def delivered(error: Any, _: Any) -> None:
            if error is None:
                self._acknowledged.add(spot)
            else:
                self._failed.append(error.str())

        more: dict[str, Any] = {"headers": headers, "on_delivery": delivered}
        if partition is not None:
            more["partition"] = partition
        while True:
            try:
                self._producer.produce(self._outcome.topic, key=key, value=value, **more)
                break
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:  # of this record alone: it is too large
                raise CannotSend(f"Kafka's client does not take it: {error.args[0].str()}") from error
        self._unsettled.append(spot)
        self._bytes += len(value)

    def _settle(self) -> None:
        """Have what was sent confirmed, and note it."""
        if not self._unsettled:
            return
        self._producer.flush(letters.FLUSH_S)
        sent, self._unsettled, self._bytes = self._unsettled, [], 0
        done = [spot for spot in sent if spot in self._acknowledged]
        if done:
            copies = [noted.spot for spot in done for noted in self._groups[spot]]
            letters.note(self._producer, self._found.topic, copies, "replayed")
        self._outcome.sent.update(self._groups[spot][0].reason for spot in done)
        if len(done) < len(sent):
            why = self._failed[0] if self._failed else f"no answer within {letters.FLUSH_S} s"
            raise LocalError(
                f"Kafka did not take all letters for {self._outcome.topic}: {why}.",
                f"{self._outcome.sent.total():,} were sent and noted; run it again for the rest.",
            )
        self._acknowledged.clear()


def again_headers(letter: Letter, name: str, carried: Headers) -> Headers:
    """Headers of a replayed record: its letter is its id, so that sent twice it is the same event."""
    return [
        *cloud_event(name, "soba.dlq", "soba.replayed", [(key, value) for key, value in carried if key in CARRIED]),
        (ATTEMPT, str(letter.attempt + 1).encode()),
        (LETTER, name.encode()),
    ]


def partition_of(topic: str, letter: Letter) -> int | None:
    """Where a record must go whatever its key says: views stand in the partition that owns what they say. Else None."""
    source = parse_place(letter.source)
    return source[1] if TOPICS[topic].key == "partition" and source is not None else None


def _wanted(
    reasons: list[str],
    since: str | None,
    until: str | None,
    offsets: list[str],
    attempt: int | None,
    state: State,
) -> Wanted:
    now = time.time()
    return Wanted(
        frozenset(reasons),
        None if since is None else records.moment(since, "--since", now),
        None if until is None else records.moment(until, "--until", now),
        frozenset(map(_spot, offsets)),
        attempt,
        (state,),
    )


def _spot(text: str) -> Spot:
    if found := re.fullmatch(r"(\d{1,9}):(\d{1,18})", text, re.ASCII):
        return int(found[1]), int(found[2])
    raise LocalError(f"--offset takes PARTITION:OFFSET of a letter, such as 0:17, not {text!r}")


def _report(outcome: Outcome, found: Survey, json: bool) -> None:
    sent = outcome.sent.total()
    if json:
        row = {
            "topic": outcome.topic,
            "dry_run": outcome.dry_run,
            "chosen": outcome.chosen,
            "sent": sent,
            "reasons": dict(outcome.sent),
            "refused_again": [
                {"reason": reason, "now": now, "count": count} for (reason, now), count in outcome.again.items()
            ],
            "stay": [{"letter": name, "why": why} for name, why in outcome.stay.items()],
            "interrupted": outcome.interrupted,
        }
        print(orjson.dumps(row).decode())
        return
    if not outcome.chosen:
        print(_nothing(outcome.topic, found))
        return
    print(f"{outcome.topic}: {'would send' if outcome.dry_run else 'sent'} {sent:,} of {_letters(outcome.chosen)}")
    _print_reasons(dict(outcome.sent.most_common()), outcome.again)
    for name, why in list(outcome.stay.items())[:SHOWN]:
        print(f"stays {name}: {why}")
    if len(outcome.stay) > SHOWN:
        print(f"and {len(outcome.stay) - SHOWN:,} more stay (--json names all)")
    if outcome.interrupted:
        print("interrupted: run it again for the rest")
    elif sent and not outcome.dry_run:
        print(f"what is refused again comes back as a new letter: bin/soba dlq show {outcome.topic}")


def _nothing(topic: str, found: Survey) -> str:
    states = Counter(found.state(spot) for spot in found.letters)
    counts = ", ".join(f"{states[state]:,} {state}" for state in letters.STATES)
    return f"{topic}: no letter fits; there are {counts}"


def _letters(count: int) -> str:
    return counted(count, "letter")


def _print_reasons(reasons: dict[str, int], again: Mapping[tuple[str, str], int] = {}) -> None:
    width = max(map(len, reasons), default=0)
    for reason, count in reasons.items():
        now = ", ".join(f"{many:,} as {today}" for (was, today), many in again.items() if was == reason)
        print(f"  {reason:<{width}}  {count:>7,}" + (f"  today's rules refuse {now}" if now else ""))
