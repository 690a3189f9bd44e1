"""What the bench tells a peer, through its environment."""

from __future__ import annotations

import os

BROKERS = os.environ["BENCH_BROKERS"]
GROUP = os.environ["BENCH_GROUP"]
FORM = os.environ["BENCH_FORM"]
"""`single`: an event a record; `envelope`: 200 of them."""
FOLDER = os.environ["BENCH_FOLDER"]
"""For files of its own."""
INPUT, OUTPUT, DEAD_LETTERS = "chain.events", "bench.out", "chain.events.dlq"
BLOCKS, PAIRS, WALLETS = "chain.blocks", "pair.trades", "wallet.activity"
PARTITIONS = 2
KEY = b"1"
PRODUCER = {
    "acks": "all",
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 2,
    "message.max.bytes": 32 * 1024 * 1024,
    "queue.buffering.max.messages": 500_000,
    "queue.buffering.max.kbytes": 262_144,
}
"""As Soba's own, in librdkafka's names, but for a linger that suits those who send record by record."""
CONSUMER = {
    "auto.offset.reset": "earliest",
    "fetch.message.max.bytes": 4 * 1024 * 1024,
    "receive.message.max.bytes": 256 * 1024 * 1024,
    "fetch.max.bytes": 64 * 1024 * 1024,
    "queued.max.messages.kbytes": 65_536,
}


def headers(reason: str) -> list[tuple[str, bytes]]:
    """Headers of a dead letter."""
    return [("dlq.reason", reason.encode())]
