"""Send one swap to Soba from any Python program: `python examples/produce.py 127.0.0.1:PORT` (see bin/soba status)."""

import json
import sys

from confluent_kafka import Producer

swap = {
    "event_type": "swap",
    "chain_id": 1,
    "block_number": 21000003,
    "timestamp": 1729500036,
    "transaction_hash": "0x" + "d1" * 32,
    "log_index": 0,
    "token_in": "USDC",
    "token_out": "WETH",
    "amount_in": "2650.5",
    "amount_out": "1.0012",
}

# Java's partitioner, so that all events of a chain meet in one partition; acks=all, so that "accepted" means kept.
producer = Producer({"bootstrap.servers": sys.argv[1], "partitioner": "murmur2_random", "acks": "all"})
producer.produce("chain.events", key=str(swap["chain_id"]), value=json.dumps(swap))
sys.exit(producer.flush(10))
