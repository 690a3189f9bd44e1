"""Send one swap to Soba from any Python program: `python examples/produce.py 127.0.0.1:PORT` (see bin/soba status)."""

import json
import sys

from confluent_kafka import KafkaException, Producer

if len(sys.argv) != 2 or ":" not in sys.argv[1]:
    sys.exit("usage: python examples/produce.py HOST:PORT   (bin/soba status names the broker)")
broker = sys.argv[1]
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


def told(error, message):
    """Kafka's answer for one record."""
    if error is not None:
        sys.exit(f"Kafka refused the swap: {error.str()}")
    print(f"acknowledged: {message.topic()}, partition {message.partition()}, offset {message.offset()}")


# Java's partitioner, so that all events of a chain meet in one partition; acks=all, so that "accepted" means kept.
# Without log_level librdkafka itself reports every refused connection.
settings = {"bootstrap.servers": broker, "partitioner": "murmur2_random", "acks": "all", "log_level": 0}
producer = Producer(settings)
try:
    topics = producer.list_topics(timeout=10).topics
except KafkaException:
    sys.exit(f"no Kafka answered at {broker} within 10 s: is it running there? bin/soba status names the broker")
if "chain.events" not in topics:
    sys.exit(f"the Kafka at {broker} has no topic chain.events: is it Soba's? bin/soba topics create makes the topics")
producer.produce("chain.events", key=str(swap["chain_id"]), value=json.dumps(swap), on_delivery=told)
if producer.flush(10):
    sys.exit(f"the Kafka at {broker} did not acknowledge the swap within 10 s")
