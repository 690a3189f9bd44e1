"""Swap requests survive a worker that is killed among them: each is assessed, and what is said of one twice is the same."""

from __future__ import annotations

import contextlib
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from base.settings import Settings
from tables.registry import RISK
from tables.rows import parse
from tests.conftest import wait_for
from tests.contract.facade import assessing, new_chain
from topics.admin import create
from topics.clients import consumer, producer
from topics.schemas.risk import Assessment

pytestmark = pytest.mark.pipeline
MANY = 1_500
CHANGING = {"processed_at"}


def test_each_request_is_assessed_whatever_is_killed(settings: Settings, tmp_path: Path) -> None:
    create(settings)
    chain, run = new_chain(), uuid.uuid4().hex
    ids = [f"{run}-{number}" for number in range(MANY)]
    places = [RISK.row_key(id) for id in ids]
    said: dict[str, list[dict[str, Any]]] = {}
    client = Producer(producer(settings))
    reader = Consumer(consumer(settings, f"risk-{run}"))
    reader.assign([TopicPartition("risk.scores", part, OFFSET_BEGINNING) for part in range(settings.partitions)])
    with contextlib.closing(reader), redis.Redis.from_url(settings.redis_url) as store:

        def heard() -> int:
            for message in reader.consume(1_000, timeout=0.1):
                one = json.loads(message.value() or b"{}") if message.error() is None else {}
                if one.get("chain_id") == chain:
                    said.setdefault(one["id"], []).append(one)
            return len(said)

        for number, id in enumerate(ids):
            value = {
                "fromAddress": f"0x{number:040x}",
                "toAddress": f"0x{number + 7:040x}",
                "amount": 1,
                "chainId": chain,
            }
            client.produce(
                "swap.requests", json.dumps(value).encode(), id.encode(), headers={"request_id": id.encode()}
            )
        assert client.flush(15) == 0
        with assessing(settings, tmp_path) as worker:
            wait_for(lambda: heard() >= 100, 60)
            worker.kill()
            worker.wait()
        before = heard()
        with assessing(settings, tmp_path):
            wait_for(lambda: heard() == MANY, 60)
            wait_for(lambda: all(store.mget(places)), 30)
        rows = [parse(Assessment, stored) for stored in store.mget(places)]
    assert before < MANY, "it was killed when all was done"
    for id, row in zip(ids, rows, strict=True):
        assert row is not None
        told = row.model_dump(mode="json", exclude=CHANGING, exclude_none=True)
        for one in said[id]:
            assert {name: value for name, value in one.items() if name not in CHANGING} == told
