"""Faust as its documentation begins: `async for`, one event after another, each sent on."""

from __future__ import annotations

import common
import faust
import work

RAW = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}

app = faust.App(
    common.GROUP,
    broker=f"kafka://{common.BROKERS}",
    datadir=common.FOLDER,
    store="memory://",
    web_enabled=False,
    topic_disable_leader=True,
    topic_allow_declare=False,
    autodiscover=False,
    consumer_auto_offset_reset="earliest",
    consumer_max_fetch_size=4 * 1024 * 1024,
    producer_acks=-1,
    producer_compression_type="lz4",
    producer_max_request_size=32 * 1024 * 1024,
    stream_wait_empty=False,
)
out, letters = app.topic(common.OUTPUT, **RAW), app.topic(common.DEAD_LETTERS, **RAW)


@app.agent(app.topic(common.INPUT, **RAW))
async def validate(stream):
    async for raw in stream:
        for value, reason in work.many([raw], common.FORM):
            if reason is None:
                await out.send(key=common.KEY, value=value)
            else:
                await letters.send(key=common.KEY, value=value, headers=dict(common.headers(reason)))


if __name__ == "__main__":
    faust.Worker(app, loglevel="WARN", quiet=True).execute_from_commandline()
