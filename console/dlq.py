"""`soba dlq`: what the pipeline refused, why, and what became of it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Annotated, Any

import orjson
import typer

from base.settings import Settings
from console import letters, records, replay
from console.letters import STATES, State, Survey, Wanted
from console.records import Seen
from topics.headers import place
from topics.schemas.letters import Letter

app = typer.Typer(help="What the pipeline refused and why; send it again, or drop it.", no_args_is_help=True)
Shown = tuple[Seen, Letter, State]
Topic = Annotated[str | None, typer.Argument(help="Only those of this topic.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]
app.command()(replay.replay)
app.command()(replay.drop)


@app.command("list")
def list_(topic: Topic = None, json: AsJson = False) -> None:
    """How many records were refused, by topic and reason, and how many of them are open, replayed or dropped."""
    settings, there = records.connected()
    rows = [row for name in _topics(topic) if name in there for row in _rows(settings, there, name)]
    if json:
        for row in rows:
            print(orjson.dumps(row).decode())
    elif not rows:
        print("no dead letters")
    else:
        width = max(len("reason"), *(len(row["reason"]) for row in rows))
        print(f"{'topic':<16}{'reason':<{width}}" + "".join(f"{state:>11}" for state in STATES))
        for row in rows:
            counts = "".join(f"{row[state]:>11,}" for state in STATES)
            again = f"  at attempt {row['attempts']}" if row["attempts"] else ""
            print(f"{row['topic']:<16}{row['reason']:<{width}}{counts}{again}")
        print("look at them: bin/soba dlq show [TOPIC] [--reason REASON]")


def _topics(topic: str | None) -> Collection[str]:
    """The dead-letter topic of one topic, or all."""
    return records.dead_letter_topics() if topic is None else [letters.topic_of(topic)]


def _rows(settings: Settings, there: dict[str, int], topic: str) -> list[dict[str, Any]]:
    """A row a reason, the most frequent first. `attempts`: how often one that is open was replayed at the most."""
    found = letters.survey(settings, there, topic)
    counts: dict[str, Counter[State]] = {}
    attempts: Counter[str] = Counter()
    for spot, noted in found.letters.items():
        reason, state = noted.reason, found.state(spot)
        counts.setdefault(reason, Counter())[state] += 1
        if state == "open":
            attempts[reason] = max(attempts[reason], noted.attempt)
    if found.strangers:
        print(f"{topic}: {found.strangers:,} records that are no dead letters are left out", file=sys.stderr)
    rows = [
        {
            "topic": records.source_of(topic),
            "reason": reason,
            "count": states.total(),
            **{state: states[state] for state in STATES},
            "attempts": attempts[reason],
        }
        for reason, states in counts.items()
    ]
    return sorted(rows, key=lambda row: (-int(str(row["count"])), str(row["reason"])))


@app.command()
def show(
    topic: Topic = None,
    count: Annotated[int, typer.Option("-n", min=1, help="How many, the newest.")] = 10,
    reason: Annotated[str | None, typer.Option(help="Only those refused for this reason.")] = None,
    open: Annotated[bool, typer.Option("--open", help="Only those not replayed or dropped.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="The original bytes whole, as they are.")] = False,
    json: AsJson = False,
) -> None:
    """The newest dead letters: reason, field, detail, where it stood, what became of it, and the original value, cut short."""
    settings, there = records.connected()
    wanted = Wanted([reason] if reason else (), states=("open",) if open else STATES) if reason or open else None
    found: list[Shown] = []
    reasons: set[str] = set()
    for name in _topics(topic):
        if name not in there:
            continue
        if wanted is None:
            found += _newest(settings, there, name, count)
        else:
            held = letters.survey(settings, there, name)
            reasons |= {noted.reason for noted in held.letters.values()}
            found += _fitting(settings, held, count, wanted)
    found = sorted(found, key=lambda row: (row[0].at_ms, row[0].offset))[-count:]
    for seen, letter, state in found:
        if json:
            print(orjson.dumps({**records.as_row(seen), "state": state}).decode(), flush=True)
        else:
            print(about(seen, letter, state), flush=True)
            if raw:
                sys.stdout.buffer.write(seen.value + b"\n\n")
                sys.stdout.buffer.flush()
            else:
                # A producer must not be able to write to an operator's terminal.
                text = records.short(seen.value, "--json or --raw")
                print("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text), end="\n\n")
    if not found and not json:
        print(nothing(reason, reasons))


def nothing(reason: str | None, reasons: Collection[str]) -> str:
    """Why no letter is shown, where the topics hold letters of `reasons`."""
    if not reasons:
        return "no dead letters"
    if reason is None or reason in reasons:
        return (
            "no dead letters" + (f" of reason {reason}" if reason else "") + " are open; without --open there are some"
        )
    return f"no dead letters of reason {reason}; the reasons there are: {', '.join(sorted(reasons))}"


def _newest(settings: Settings, there: dict[str, int], topic: str, count: int) -> list[Shown]:
    """The newest letters, from as little of the topic's end as holds them: what became of a letter stands behind it."""
    records_read = count
    while True:
        tail = Survey(topic)
        seen, _ = records.newest(settings, topic, there[topic], records_read)
        for one in seen:
            tail.take(one)
        if len(tail.letters) >= count or len(seen) < records_read:
            return _shown(tail, seen)
        records_read *= 4


def _fitting(settings: Settings, found: Survey, count: int, wanted: Wanted) -> list[Shown]:
    """The newest letters that fit."""
    fit = [noted for noted in found.letters.values() if wanted.fits(noted, found.state(noted.spot))]
    newest = {noted.spot for noted in sorted(fit, key=lambda n: (n.at_ms, n.spot))[-count:]}
    return _shown(found, letters.values(settings, found.topic, newest))


def _shown(found: Survey, records: Iterable[Seen]) -> list[Shown]:
    """Those that are letters, with what they say and what became of them."""
    read = [(one, letters.letter_of(one), (one.partition, one.offset)) for one in records]
    return [(one, letter, found.state(spot)) for one, letter, spot in read if letter and spot in found.letters]


def about(seen: Seen, letter: Letter, state: State) -> str:
    """What a person wants to know before the bytes: which letter it is, why it was refused, and where it stood."""
    source = letter.source if letter.index is None else f"element {letter.index} of {letter.source}"
    lines = [
        f"letter  {place(seen.topic, seen.partition, seen.offset, None)}  {state}",
        f"reason  {letter.reason}" + (f"  field {letter.field}" if letter.field else ""),
        f"detail  {letter.detail}",
        f"source  {source}, refused by {letter.agent}",
    ]
    if letter.attempt:
        times = "once" if letter.attempt == 1 else f"{letter.attempt} times"
        lines.append(f"history replayed {times}, last from {letter.letter or 'a letter that is not named'}")
    if request := seen.header("request_id"):
        lines.append(f"request {request}")
    return "\n".join(lines)
