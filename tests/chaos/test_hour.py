"""An hour of blocks, then the same hour twice more in another order: no table and no last state changes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
import redis
from confluent_kafka import Producer

from base.settings import Settings
from console.local.servers import LocalServers
from ingest.files import read_blocks
from models.mev import detect
from tests.chaos.crew import NAMES, Crew, prepare
from tests.chaos.events import held
from tests.chaos.witness import TABLES, Witness
from tests.conftest import wait_for
from topics import codecs
from topics.admin import create
from topics.clients import producer

pytestmark = pytest.mark.chaos
BLOCKS, SLOT_S, FIRST, FIRST_TIME = 300, 12, 20_000_000, 1_750_000_000
SAMPLES = Path(__file__).parents[2] / "samples" / "blocks"
SHAPES = ("ethereum-13234998", "ethereum-18999999-real", "ethereum-20000010-real")
IN_PIECES = 10
"""One block of so many comes as single events."""
WORKING = NAMES[:3]
"""Not fraud: what comes in no order over more than 64 blocks is too late for a wallet's profile."""


def hour(chain_id: int) -> list[bytes]:
    """Records of 300 blocks of 12 seconds, each with hashes of its own: real ones cut to their findings and a little more."""
    shapes = [_shape(name) for name in SHAPES]
    out: list[bytes] = []
    for index in range(BLOCKS):
        number, shape = FIRST + index, shapes[index % len(shapes)]
        text = orjson.dumps(shape)
        for old in {event["transaction_hash"] for event in shape["events"]} | {
            one["hash"] for one in shape["transactions"]
        }:
            text = text.replace(old.encode(), f"0x{index:06x}{old[8:]}".encode())
        time = FIRST_TIME + index * SLOT_S
        block = orjson.loads(text) | {
            "chain_id": chain_id,
            "number": number,
            "timestamp": time,
            "hash": f"0x{number:064x}",
        }
        block["parent_hash"] = f"0x{number - 1:064x}"
        over = orjson.loads(codecs.encode(held(index)))
        block["events"] += over["events"]
        block["transactions"] += over["transactions"]
        if index % IN_PIECES:
            out.append(orjson.dumps(block))
        else:
            about = {"chain_id": chain_id, "block_number": number, "timestamp": time, "block_hash": block["hash"]}
            out += [orjson.dumps({**event, **about}) for event in block["events"]]
    return out


def _shape(name: str) -> dict[str, Any]:
    (found,) = read_blocks(SAMPLES / name)
    block: dict[str, Any] = orjson.loads(codecs.encode(found.block))
    part = {tx for one in detect(found.block) for tx in one.named()}
    part |= {transaction["hash"] for transaction in block["transactions"][:4]}
    block["events"] = [event for event in block["events"] if event["transaction_hash"] in part]
    block["transactions"] = [one for one in block["transactions"] if one["hash"] in part]
    return block


def shuffled(values: Sequence[bytes], seed: int) -> list[bytes]:
    """The same records in another order."""
    out = list(values)
    random.Random(seed).shuffle(out)
    return out


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Crew]]:
    """Servers and workers of one's own: nobody else writes to the tables."""
    prepare()
    folder = tmp_path_factory.mktemp("hour")
    with LocalServers(folder, Settings(_env_file=None)) as servers:
        named: dict[str, Any] = {
            "brokers": servers.brokers, "redis_url": servers.redis_url, "data_dir": folder, "worker_port": 0,
        }  # fmt: skip
        settings = Settings(_env_file=None, **named)
        create(settings)
        crew = Crew(settings.environment(**named), folder)
        try:
            for name in WORKING:
                crew.start(name)
            yield settings, crew
            crew.keep()
            assert not crew.ends
        finally:
            crew.close()


def produce(settings: Settings, chain_id: int, values: Sequence[bytes]) -> None:
    client = Producer(producer(settings))
    for value in values:
        client.produce("chain.events", value, b"%d" % chain_id)
    assert client.flush(60) == 0


def rows(settings: Settings) -> dict[bytes, Any]:
    """Every row of the tables with its version, and every index, byte for byte."""
    with redis.Redis.from_url(settings.redis_url) as store:
        found: dict[bytes, Any] = {}
        for name in TABLES.values():
            for key in store.scan_iter(f"{name}*", count=5_000):
                kind = cast(bytes, store.type(key))
                found[key] = store.get(key) if kind == b"string" else store.zrange(key, 0, -1, withscores=True)
        return found


def test_an_hour_told_three_times_is_the_hour_told_once(place: tuple[Settings, Crew]) -> None:
    settings, _ = place
    first, second = 9_700_001, 9_700_003
    produce(settings, first, values := hour(first))
    witness = Witness(settings)
    try:
        wait_for(lambda: witness.offsets.at_rest(WORKING), 180, every=0.1)
        state, table_rows = witness.state(first), rows(settings)
        assert len(state["chain.blocks"]) == BLOCKS and not state["chain.events.dlq"]
        # Every third sample has no finding. Who signed single events is not known, so nothing is over those blocks.
        pairs = sum(bool(one % IN_PIECES and (one + 1) % IN_PIECES) for one in range(BLOCKS - 1))
        assert len(state["table mev"]) == BLOCKS - BLOCKS // 3 + pairs
        assert sum(bool(one["blocks"]) for one in state["mev.findings"].values()) == pairs
        assert len(state["alerts"]) == len(state["mev.findings"]) >= BLOCKS // 2
        assert len({block["status"] for block in state["chain.blocks"].values()}) == 2
        for seed in (1, 2):
            produce(settings, first, shuffled(values, seed))
        wait_for(lambda: witness.offsets.at_rest(WORKING), 180, every=0.1)
        assert witness.state(first) == state
        assert rows(settings) == table_rows
        chain = witness.chain(first)
        assert not chain.contradictions and not chain.falls
        # Told in no order from the beginning, it ends as told in order, but for the gas of blocks that come too late for it.
        del state["table gas"]
        produce(settings, second, shuffled(hour(second), 3))
        wait_for(lambda: witness.shows(second, state), 180, every=0.2)
    finally:
        witness.close()
