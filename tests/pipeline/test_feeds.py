"""An agent gives out the same bytes whether a Faust stream or batch consume feeds it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition

from base.settings import Settings
from ingest.files import read_blocks
from models.mev import detect
from tests.conftest import spawned, wait_for
from topics.admin import create
from topics.clients import consumer, producer

pytestmark = pytest.mark.pipeline
ROOT = Path(__file__).parents[2]
CHAIN = 9_200_001
GROUPS = {"stream": "FEEDS.stream", "consume": "FEEDS.consume.mev"}


def test_both_feeds_give_the_same(settings: Settings, child_env: dict[str, str]) -> None:
    create(settings)
    client, told = Producer(producer(settings)), 0
    for place, found in enumerate(read_blocks(ROOT / "samples" / "blocks")):
        block = found.block.model_copy(update={"chain_id": CHAIN, "revision": place})
        client.produce("chain.blocks", block.model_dump_json(exclude_none=True), str(CHAIN).encode())
        if place % 3 == 0:  # a second revision, taken back
            gone = block.model_copy(update={"revision": 1_000 + place, "status": "removed", "events": []})
            client.produce("chain.blocks", gone.model_dump_json(exclude_none=True), str(CHAIN).encode())
        told += len(detect(block))
    assert client.flush(60) == 0 and told > 18
    once = _findings_of("stream", settings, child_env, 1)
    both = _findings_of("consume", settings, child_env, 2)
    assert sum(b'"final"' in value for value in once) == told and sum(b'"retracted"' in value for value in once) > 3
    assert both == Counter({value: 2 * count for value, count in once.items()})


def test_a_running_worker_commits_again_and_again(settings: Settings, child_env: dict[str, str]) -> None:
    create(settings)
    client = Producer(producer(settings))
    with _running("consume", settings, child_env, 3) as worker:
        for number in range(3):
            block = {"chain_id": CHAIN + 1, "number": number, "status": "complete", "revision": number}
            value = json.dumps({**block, "events": [], "rejected": 0, "transactions": []})
            client.produce("chain.blocks", value, str(CHAIN + 1).encode())
            assert client.flush(60) == 0
            wait_for(lambda: worker.poll() is not None or _done(GROUPS["consume"], settings), 120, every=0.2)
            assert worker.poll() is None


@contextmanager
def _running(feed: str, settings: Settings, env: dict[str, str], database: int) -> Iterator[subprocess.Popen[bytes]]:
    """The agent with this feed, on rows of its own."""
    env = {**env, "SOBA_REDIS_URL": f"{settings.redis_url.rpartition('/')[0]}/{database}"}
    with spawned([sys.executable, "-m", "tests.pipeline.fed", feed], env=env, cwd=ROOT) as worker:
        yield worker
        worker.terminate()
        worker.wait(60)


def _findings_of(feed: str, settings: Settings, env: dict[str, str], database: int) -> Counter[bytes]:
    """Run the agent with this feed, on rows of its own, until it has done all; return what findings there are then."""
    with _running(feed, settings, env, database) as worker:
        wait_for(lambda: worker.poll() is not None or _done(GROUPS[feed], settings), 120, every=0.2)
        assert worker.poll() is None
    return Counter(value for value in _all(settings) if f'"chain_id":{CHAIN},'.encode() in value)


def _done(group: str, settings: Settings) -> bool:
    """Whether a group has acknowledged all of chain.blocks: then what comes of it is confirmed."""
    parts = [TopicPartition("chain.blocks", number) for number in range(settings.partitions)]
    with closing(Consumer(consumer(settings, group))) as reader:  # it looks on, and does not join
        ends = [reader.get_watermark_offsets(part, timeout=60)[1] for part in parts]
        try:
            return all(
                one.offset >= end for one, end in zip(reader.committed(parts, timeout=10), ends, strict=True) if end
            )
        except KafkaException:
            return False  # the group is being set up


def _all(settings: Settings) -> Iterator[bytes]:
    """The values of mev.findings, from the first to the last there is now."""
    with closing(Consumer(consumer(settings, "feeds"))) as reader:
        parts = [TopicPartition("mev.findings", number, OFFSET_BEGINNING) for number in range(settings.partitions)]
        left = sum(end - begin for begin, end in (reader.get_watermark_offsets(part, timeout=60) for part in parts))
        reader.assign(parts)
        while left:
            message = wait_for(lambda: reader.poll(0.5))
            assert message.error() is None
            left -= 1
            yield message.value() or b""
