"""aiokafka: `getmany`, handle, send as batches made by hand, await them, commit."""

from __future__ import annotations

import asyncio

import common
import work
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer


async def send(producer: AIOKafkaProducer, topic: str, partition: int, records: list) -> list:
    """Append records to batches, which costs less than a `send` for each; returns what is to be awaited."""
    sent, batch = [], producer.create_batch()
    for value, headers in records:
        if batch.append(key=common.KEY, value=value, timestamp=None, headers=headers) is None:
            sent.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            if batch.append(key=common.KEY, value=value, timestamp=None, headers=headers) is None:
                raise ValueError("a record larger than a batch")
    if batch.record_count():
        sent.append(await producer.send_batch(batch, topic, partition=partition))
    return sent


async def main() -> None:
    consumer = AIOKafkaConsumer(
        common.INPUT,
        bootstrap_servers=common.BROKERS,
        group_id=common.GROUP,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=common.BROKERS,
        acks="all",
        compression_type="lz4",
        max_batch_size=1024 * 1024,
        max_request_size=32 * 1024 * 1024,
    )
    await consumer.start()
    await producer.start()
    while True:
        found = await consumer.getmany(timeout_ms=250, max_records=5_000 if common.FORM == "single" else 64)
        waiting = []
        for where, messages in found.items():
            done = work.many([message.value for message in messages], common.FORM)
            good = [(value, []) for value, reason in done if reason is None]
            bad = [(value, common.headers(reason)) for value, reason in done if reason is not None]
            waiting += await send(producer, common.OUTPUT, where.partition, good)
            waiting += await send(producer, common.DEAD_LETTERS, where.partition, bad)
        await asyncio.gather(*waiting)
        if found:
            await consumer.commit()


asyncio.run(main())
