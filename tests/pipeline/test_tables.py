"""soba tables rebuild: what Redis lost comes back from the topics, while the workers that own the tables run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import redis
import typer
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from agents import mev
from agents.agent import Agent, Record
from agents.rebuild import Rebuild, RowsOnly
from base.settings import ROOT, Settings, get_settings
from console import records
from ingest.files import read_blocks
from models.mev import detect
from tables.registry import ALERTS, BLOCKS, INDEXES, MEV, MEV_TRADES, BlockRow, MevRow
from tables.rows import Row, parse, stage
from tests.chaos.events import held
from tests.conftest import wait_for
from tests.contract.facade import new_chain, working
from tests.pipeline.conftest import Soba
from topics.admin import create
from topics.clients import common, consumer, producer
from topics.schemas.alerts import Alert
from topics.schemas.chain import Block
from topics.schemas.mev_trades import BlockTrades

pytestmark = pytest.mark.pipeline
DATABASE = 5
TOLD = (BLOCKS, MEV, MEV_TRADES, ALERTS)
"""Tables that the workers of these tests fill."""
REMOVED = 1_000
"""Revisions of removals begin here; the first of each block is its place in the sample."""


@pytest.fixture(scope="module")
def chain(settings: Settings) -> int:
    """A chain whose blocks are in chain.blocks: the sample's, every third taken back."""
    create(settings)
    chain, client = new_chain(), Producer(producer(settings))
    for place, found in enumerate(read_blocks(ROOT / "samples" / "blocks")):
        block = found.block.model_copy(update={"chain_id": chain, "revision": place})
        client.produce("chain.blocks", block.model_dump_json(exclude_none=True), str(chain).encode())
        if place % 3 == 0:
            gone = block.model_copy(update={"revision": REMOVED + place, "status": "removed", "events": []})
            client.produce("chain.blocks", gone.model_dump_json(exclude_none=True), str(chain).encode())
    for block in neighbours(chain):
        client.produce("chain.blocks", block.model_dump_json(exclude_none=True), str(chain).encode())
    client.produce("chain.blocks", b'{"hello": 1}', str(chain).encode())
    assert client.flush(60) == 0
    return chain


def neighbours(chain: int) -> list[Block]:
    """Two blocks with a sandwich over both."""
    return [
        held(place).model_copy(update={"chain_id": chain, "number": place, "revision": 500 + place}) for place in (0, 1)
    ]


@cache
def findings() -> int:
    """How many there are in the sample, on a chain that nobody knows."""
    blocks = (
        found.block.model_copy(update={"chain_id": new_chain()}) for found in read_blocks(ROOT / "samples" / "blocks")
    )
    return sum(len(detect(block)) for block in blocks) + 1  # over two blocks


@pytest.fixture(scope="module")
def there(settings: Settings) -> Iterator[redis.Redis]:
    """A database of these tests alone."""
    with redis.Redis.from_url(url(settings)) as client:
        client.flushdb()
        yield client


def url(settings: Settings) -> str:
    return f"{settings.redis_url.rpartition('/')[0]}/{DATABASE}"


@pytest.fixture
def soba_there(soba: Soba, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Soba:
    """The commands on that database."""
    monkeypatch.setenv("REDIS_URL", url(settings))
    get_settings.cache_clear()
    return soba


def rows(client: Any, chain: int) -> dict[str, bytes]:
    """Every row of the chain's, byte for byte."""
    found = {}
    for table in TOLD:
        for key in client.scan_iter(f"{table.name}:*", count=1_000):
            stored = client.get(key)
            if stored is not None and json.loads(stored[20:])["chain_id"] == chain:
                found[key.decode()] = stored
    return found


def indexes(client: Any, chain: int) -> dict[str, list[tuple[bytes, float]]]:
    """Every entry of an index of the chain's whose row says what it is indexed for; of others a reader sees nothing."""
    found = {}
    for index in INDEXES:
        for name in client.scan_iter(f"{index.name}:*", count=1_000):
            key = name.decode().split("}:", 1)[1]
            if key.split(":")[0] == str(chain):
                entries = client.zrange(name, 0, -1, withscores=True)
                stored = [(client.get(index.table.row_key(member.decode())) or b"") for member, _ in entries]
                wanted = key.partition(":")[2].encode()
                found[name.decode()] = [
                    entry
                    for entry, row in zip(entries, stored, strict=True)
                    if wanted in row and b'"findings":[]' not in row
                ]
    return {name: entries for name, entries in found.items() if entries}


def settled(client: redis.Redis, chain: int) -> bool:
    """Whether the workers have done all of the chain."""
    by_table: dict[str, list[Any]] = {"blocks": [], "mev": [], "mev_trades": [], "alerts": []}
    for name, stored in rows(client, chain).items():
        table = name.partition(":")[0]
        schema: Any = {"blocks": BlockRow, "mev": MevRow, "mev_trades": BlockTrades, "alerts": Alert}[table]
        by_table[table].append(parse(schema, stored))
    final = {finding.id for row in by_table["mev"] for finding in row.findings}
    return (
        [len(by_table[table]) for table in ("blocks", "mev")] == [32, 33]
        and all(sum(row.status == "removed" for row in by_table[table]) == 10 for table in ("blocks", "mev"))
        and len(by_table["alerts"]) == findings()
        and {alert.source for alert in by_table["alerts"] if alert.status != "retracted"} == final
    )


def acknowledged(settings: Settings) -> bool:
    """Whether the workers have committed all that they read: a row is there before the index entries that lead to it."""
    for group, topic in (("BLOCKCHAIN_INTELLIGENCE", "chain.blocks"), ("NLP_TRANSLATION", "mev.findings")):
        asker = Consumer(consumer(settings, group))
        try:
            where = [TopicPartition(topic, number) for number in range(settings.partitions)]
            ends = [asker.get_watermark_offsets(one, timeout=60)[1] for one in where]
            done = [one.offset for one in asker.committed(where, timeout=60)]
        finally:
            asker.close()
        if any(end > max(0, offset) for end, offset in zip(ends, done, strict=True)):
            return False
    return True


def given(settings: Settings, chain: int) -> dict[str, int]:
    """How many records of the chain are in the topics that these agents write."""
    found = {}
    for topic in ("mev.findings", "alerts", "chain.blocks.dlq", "mev.findings.dlq"):
        held = records.spans(settings, {topic: settings.partitions})[topic]
        start, stop = ({number: span[side] for number, span in held.items()} for side in (0, 1))
        keys = [(one.key or b"").decode() for one in records.read(settings, topic, start, stop)]
        found[topic] = sum(key.split(":")[0] == str(chain) for key in keys)
    return found


def written(told: tuple[int, str, str], code: int = 0) -> dict[str, dict[str, int]]:
    """What a rebuild says of each table."""
    assert told[0] == code, told
    rebuilt = json.loads(told[1])["rebuilt"]
    return {row["tables"][0]: row for row in reversed(rebuilt)}  # of the alerts those of blocks, which come first


def test_what_redis_lost_comes_back_while_the_workers_run(
    soba_there: Soba,
    settings: Settings,
    chain: int,
    there: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = settings.model_copy(update={"redis_url": url(settings)})
    with working("chain", away, tmp_path / "chain.log"), working("language", away, tmp_path / "language.log"):
        wait_for(lambda: settled(there, chain) and acknowledged(settings), every=0.3)
        before, found = rows(there, chain), indexes(there, chain)
        assert {name.partition(":")[0] for name in found} == {index.name for index in INDEXES if index.table in TOLD}
        there.flushdb()
        topics = given(settings, chain)
        assert min(topics[name] for name in ("mev.findings", "alerts", "chain.blocks.dlq")) > 0

        told = written(soba_there("tables", "rebuild", "--json"))
        assert (rows(there, chain), indexes(there, chain)) == (before, found)
        assert given(settings, chain) == topics  # rows and nothing else
        # Others have put blocks there too.
        assert (
            told["blocks"]["written"] >= 32 and told["mev"]["written"] >= 65 and told["alerts"]["written"] >= findings()
        )
        assert told["blocks"]["refused"] >= 1 and told["mev"]["refused"] >= 1
        assert str(told["alerts"]["topic"]) == "mev.findings"

        code, out, _ = soba_there("tables", "rebuild")
        assert code == 0 and "rows written" in out and "made no row of blocks, gas: refused as before" in out
        assert (rows(there, chain), indexes(there, chain)) == (before, found)

    # Interrupted at any batch, and begun again.
    there.flushdb()
    real, calls = Rebuild.process, 0

    def process(self: Rebuild, batch: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        real(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Rebuild, "process", process)
        code, out, _ = soba_there("tables", "rebuild")
    assert code == 130 and "interrupted: run it again" in out
    assert rows(there, chain) != before
    written(soba_there("tables", "rebuild", "--json"))
    assert (rows(there, chain), indexes(there, chain)) == (before, found)


def test_newer_rows_are_kept_and_counted(soba_there: Soba, chain: int, there: redis.Redis) -> None:
    written(soba_there("tables", "rebuild", "blocks", "mev", "--json"))
    key = json.loads(next(stored for name, stored in rows(there, chain).items() if name.startswith("blocks"))[20:])
    name, newer = f"{chain}:{key['number']}", 10**9
    mine = {
        BLOCKS: BlockRow(
            chain_id=chain, number=5, revision=newer, status="partial", transactions=9, events={}, rejected=9
        ),
        MEV: MevRow(chain_id=chain, number=5, revision=newer, status="partial", findings=[]),
    }
    with there.pipeline(transaction=False) as pipe:
        stage(pipe, [Row(table, name, newer, row) for table, row in mine.items()])
        pipe.execute()
    held = {table: there.get(table.row_key(name)) for table in mine}
    told = written(soba_there("tables", "rebuild", "blocks", "mev", "--json"))
    assert told["blocks"]["newer_kept"] >= 1 and told["mev"]["newer_kept"] >= 1
    assert {table: there.get(table.row_key(name)) for table in mine} == held


def test_neighbours_that_are_read_are_no_newer_rows(
    soba_there: Soba, settings: Settings, chain: int, there: redis.Redis
) -> None:
    there.flushdb()
    first, second = (
        Record("chain.blocks", 0, place, b"", [], of.model_dump_json().encode(), None)
        for place, of in enumerate(neighbours(chain))
    )
    rebuild = Rebuild(mev.AGENT, settings.model_copy(update={"redis_url": url(settings)}))
    rebuild.process([first, second])
    assert (rebuild.tally.written, rebuild.tally.newer_kept) == (5, 0)
    rebuild.process([first])
    assert (rebuild.tally.written, rebuild.tally.newer_kept) == (8, 0)
    older = first._replace(raw=neighbours(chain)[0].model_copy(update={"revision": 1}).model_dump_json().encode())
    rebuild.process([older])
    assert (rebuild.tally.written, rebuild.tally.newer_kept) == (8, 1)


def test_flush_empties_the_named_tables_alone(
    soba_there: Soba, chain: int, there: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.flushdb()
    written(soba_there("tables", "rebuild", "--json"))
    before = rows(there, chain), indexes(there, chain)
    stray = Row(BLOCKS, f"{chain}:77", 1, parse_block(chain))
    other = Row(MEV, f"{chain}:77", 1, MevRow(chain_id=chain, number=77, revision=1, status="partial", findings=[]))
    with there.pipeline(transaction=False) as pipe:
        stage(pipe, [stray, other])
        pipe.set("blocksmith", b"somebody's")
        pipe.execute()

    # Nobody can be asked here; somebody who is asked may say no.
    code, _, err = soba_there("tables", "rebuild", "blocks", "--flush")
    assert code == 1 and "nothing was done, since nobody is there to ask" in err
    asked: list[str] = []

    def confirm(text: str, **_: Any) -> None:
        asked.append(text)
        raise typer.Abort

    with monkeypatch.context() as patch:
        patch.setattr("sys.stdin.isatty", lambda: True)
        patch.setattr(typer, "confirm", confirm)
        assert soba_there("tables", "rebuild", "blocks", "--flush")[0] == 1
    assert len(asked) == 1 and asked[0].startswith("--flush empties blocks, gas in redis://")
    assert there.exists(BLOCKS.row_key(stray.key), MEV.row_key(other.key)) == 2

    code, out, _ = soba_there("tables", "rebuild", "blocks", "--flush", "--yes")
    assert code == 0 and out.startswith("emptied first: ")
    assert not there.exists(BLOCKS.row_key(stray.key))
    assert there.exists(MEV.row_key(other.key), "blocksmith") == 2
    there.delete(MEV.row_key(other.key))
    assert (rows(there, chain), indexes(there, chain)) == before


def parse_block(chain: int) -> BlockRow:
    return BlockRow(chain_id=chain, number=77, revision=1, status="partial", transactions=0, events={}, rejected=0)


def test_records_older_than_the_rows_live_bring_nothing_back(settings: Settings, entity: str) -> None:
    admin = AdminClient(common(settings))
    admin.create_topics([NewTopic(entity, 3, 1)])[entity].result(60)
    client, now = Producer(producer(settings)), int(time.time() * 1000)
    week = int(BLOCKS.ttl.total_seconds() * 1000)
    for number, age in ((0, week + 60_000), (0, week - 60_000), (0, 0), (1, week + 60_000)):
        client.produce(entity, b"x", partition=number, timestamp=now - age)
    assert client.flush(60) == 0
    held = records.spans(settings, {entity: 3})[entity]
    assert records.since(settings, entity, held, now - week) == {0: 1, 1: 1, 2: 0}
    assert records.since(settings, entity, {}, now - week) == {}


def test_rebuild_starts_where_rows_would_still_live(
    soba_there: Soba, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    asked: list[float] = []

    def since(_: Settings, topic: str, held: records.Spans, at_ms: int) -> dict[int, int]:
        asked.append(time.time() - at_ms / 1000)
        return {number: end for number, (_, end) in held.items()}

    monkeypatch.setattr(records, "since", since)
    told = json.loads(soba_there("tables", "rebuild", "--json")[1])
    assert told["records"] == {"chain.blocks": 0, "mev.findings": 0, "risk.scores": 0}
    assert [round(age / 86_400, 2) for age in asked] == [7, 7, 7]


def test_a_redis_that_was_started_anew_ends_it(soba_there: Soba, chain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = RowsOnly.__init__

    def init(self: RowsOnly, *args: Any) -> None:
        real(self, *args)
        self._run_id = "another"

    monkeypatch.setattr(RowsOnly, "__init__", init)
    code, out, err = soba_there("tables", "rebuild")
    assert (code, out) == (1, "")
    assert "ended before it was done: Redis was restarted." in err and "Run it again" in err


def test_an_agent_that_fails_ends_it_without_dead_letters(
    soba_there: Soba, settings: Settings, chain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = given(settings, chain)

    def fail(*_: Any) -> Any:
        raise RuntimeError("odd")

    monkeypatch.setattr(Agent, "call", fail)
    code, _, err = soba_there("tables", "rebuild", "blocks")
    assert code == 1 and "blocks: too many records fail in our own code, the last with RuntimeError: odd" in err
    assert given(settings, chain) == before


def test_mistakes_are_told(soba_there: Soba) -> None:
    for name in ("block", "workers", "profiles", "risk"):
        code, _, err = soba_there("tables", "rebuild", name)
        assert (
            code == 1
            and f"no table {name} is made from topics; these are: mev, mev_trades, blocks, gas, alerts\n" in err
        )
