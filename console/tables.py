"""`soba tables rebuild`: the Redis tables made anew from the topics, while the system runs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
import typer
from redis import Redis

from agents.agent import Agent, Record
from agents.rebuild import Ended, Rebuild, owners, tables_of
from agents.stream import BATCH, BATCH_BYTES
from base.settings import Settings
from base.wording import counted
from console import reach, records
from console.asking import sure
from console.local.errors import LocalError
from console.local.progress import counting
from console.records import Seen, Spans
from tables.flush import flush as empty
from topics.registry import Topic

app = typer.Typer(help="The Redis tables: make them anew from the topics.", no_args_is_help=True)


@app.callback()
def _tables() -> None:
    """The Redis tables: make them anew from the topics."""


@dataclass(slots=True)
class Done:
    """How far it came."""

    began: float
    flushed: int = 0
    rebuilds: list[Rebuild] = field(default_factory=list)
    records: dict[str, int] = field(default_factory=dict)
    """Records read, by topic."""
    interrupted: bool = False


@app.command()
def rebuild(
    tables: Annotated[
        list[str] | None, typer.Argument(metavar="TABLE", help="blocks, mev, alerts, ...; left out: all.")
    ] = None,
    flush: Annotated[
        bool, typer.Option("--flush", help="Empty them first: then no row stays that no record makes.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --flush.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The result as one JSON object.")] = False,
) -> None:
    """Do the topics again through the agents that own the tables, and write their rows and nothing else.

    Safe while workers run, to interrupt and to repeat: a row gives way only to one that is not older.
    """
    agents = _owners(tables or [])
    settings, there = records.connected()
    reach.redis_known(settings)
    reach.redis(settings)
    topics = {agent.topic.name: agent.topic for agent in agents}
    for name in topics:
        records.known(name, there)
    done = Done(time.monotonic())
    if flush:
        done.flushed = _flush(settings, agents, yes)
    try:
        for topic in topics.values():
            of_topic = [Rebuild(agent, settings) for agent in agents if agent.topic.name == topic.name]
            done.rebuilds += of_topic
            _topic(settings, topic, there[topic.name], of_topic, done)
    except KeyboardInterrupt:
        done.interrupted = True
    except Ended as why:
        raise LocalError(
            f"the rebuild ended before it was done: {why}.", "Run it again: it is safe to repeat."
        ) from why
    _report(done, json)
    if done.interrupted:
        raise typer.Exit(130)


def _owners(names: list[str]) -> list[Agent]:
    try:
        return owners(names)
    except KeyError as error:
        have = ", ".join(table.name for table in tables_of(owners([])))
        raise LocalError(f"no table {error.args[0]} is made from topics; these are: {have}") from None


def _flush(settings: Settings, agents: list[Agent], yes: bool) -> int:
    """Empty the agents' tables, once somebody has said so.

    Raises LocalError when nobody can be asked.
    """
    names = ", ".join(table.name for table in tables_of(agents))
    where = reach.masked(settings.redis_url)
    sure(f"--flush empties {names} in {where}; until they are full again look-ups find less", yes)
    with Redis.from_url(settings.redis_url) as client:
        return empty(client, tables_of(agents))


def _topic(settings: Settings, topic: Topic, partitions: int, rebuilds: Sequence[Rebuild], done: Done) -> None:
    """Do what a topic holds now: what comes later is for the workers."""
    held = records.spans(settings, {topic.name: partitions})[topic.name]
    lives = max(table.ttl for table in tables_of(one.agent for one in rebuilds))
    # Older records would bring back rows that had expired.
    start = records.since(settings, topic.name, held, int((time.time() - lives.total_seconds()) * 1000))
    total = sum(end - start[number] for number, (_, end) in held.items())
    done.records[topic.name] = 0
    with counting(
        f"{topic.name} → {', '.join(t.name for t in tables_of(one.agent for one in rebuilds))}", total
    ) as bar:
        for batch in _batches(settings, topic.name, start, held):
            for one in rebuilds:
                one.process(batch)
            done.records[topic.name] += len(batch)
            bar.advance(len(batch))


def _batches(settings: Settings, topic: str, start: dict[int, int], held: Spans) -> Iterator[list[Record]]:
    batch: list[Record] = []
    size = 0
    for seen in records.read(settings, topic, start, {number: end for number, (_, end) in held.items()}):
        batch.append(_record(seen))
        size += len(seen.value)
        if len(batch) >= BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _record(seen: Seen) -> Record:
    return Record(seen.topic, seen.partition, seen.offset, seen.key, seen.headers, seen.value, None)


def _report(done: Done, json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {
            "tables": [table.name for table in one.agent.own],
            "topic": one.agent.topic.name,
            "written": one.tally.written,
            "newer_kept": one.tally.newer_kept,
            "there_already": one.tally.there_already,
            "refused": one.tally.refused,
        }
        for one in done.rebuilds
    ]
    seconds = time.monotonic() - done.began
    if json:
        told = {
            "rebuilt": rows,
            "records": done.records,
            "flushed": done.flushed,
            "seconds": round(seconds, 3),
            "interrupted": done.interrupted,
        }
        print(orjson.dumps(told).decode())
        return
    if done.flushed:
        print(f"emptied first: {done.flushed:,} keys deleted")
    print(f"{'table':<16}{'from':<16}{'rows written':>14}{'newer kept':>12}{'there already':>15}")
    for row in rows:
        names = ", ".join(row["tables"])
        counts = f"{row['written']:>14,}{row['newer_kept']:>12,}{row['there_already']:>15,}"
        print(f"{names:<16}{row['topic']:<16}{counts}")
    for row in rows:
        if row["refused"]:
            print(
                f"{row['refused']:,} records of {row['topic']} made no row of {', '.join(row['tables'])}: refused as before"
            )
    print(f"{counted(sum(done.records.values()), 'record')} read in {seconds:.1f} s")
    if done.interrupted:
        print("interrupted: run it again, it is safe to repeat")
