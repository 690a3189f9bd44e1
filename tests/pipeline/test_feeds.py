"""An agent gives out the same bytes whether a Faust stream or batch consume feeds it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from base.settings import Settings
from ingest.files import read_blocks
from tests.conftest import wait_for
from topics.admin import create
from topics.clients import consumer, producer

pytestmark = pytest.mark.pipeline
ROOT = Path(__file__).parents[2]
CHAIN = 9_200_001


def test_both_feeds_give_the_same(settings: Settings, child_env: dict[str, str]) -> None:
    create(settings)
    client, wanted = Producer(producer(settings)), 0
    for place, found in enumerate(read_blocks(ROOT / "samples" / "blocks")):
        block = found.block.model_copy(update={"chain_id": CHAIN, "revision": place})
        client.produce("chain.blocks", block.model_dump_json(exclude_none=True), str(CHAIN).encode())
        if place % 3 == 0:  # a second revision, taken back
            gone = block.model_copy(update={"revision": 1_000 + place, "status": "removed", "events": []})
            client.produce("chain.blocks", gone.model_dump_json(exclude_none=True), str(CHAIN).encode())
        wanted += 1
    assert client.flush(30) == 0 and wanted == 30
    once = _findings_of("stream", settings, child_env, 1)
    both = _findings_of("consume", settings, child_env, 2)
    assert sum(b'"final"' in value for value in once) == 18 and sum(b'"retracted"' in value for value in once) > 3
    assert both == Counter({value: 2 * count for value, count in once.items()})


def _findings_of(feed: str, settings: Settings, env: dict[str, str], database: int) -> Counter[bytes]:
    """Run the agent with this feed, on rows of its own, and return all findings once no more come."""
    env = {**env, "SOBA_REDIS_URL": f"{settings.redis_url.rpartition('/')[0]}/{database}"}
    with subprocess.Popen([sys.executable, "-m", "tests.pipeline.fed", feed], env=env, cwd=ROOT) as worker:
        reader = Consumer(consumer(settings, "feeds"))
        reader.assign(
            [TopicPartition("mev.findings", number, OFFSET_BEGINNING) for number in range(settings.partitions)]
        )
        seen: Counter[bytes] = Counter()
        quiet = 0

        def still() -> bool:
            nonlocal quiet
            fresh = [
                value
                for message in reader.consume(1_000, timeout=0.2)
                if message.error() is None and f'"chain_id":{CHAIN},'.encode() in (value := message.value() or b"")
            ]
            seen.update(fresh)
            quiet = 0 if fresh or sum(seen.values()) < 18 * database else quiet + 1
            return quiet >= 15

        try:
            wait_for(still, 60)
        finally:
            reader.close()
            worker.terminate()
            worker.wait(30)
        return seen
