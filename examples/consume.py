"""Print findings as they come, newest state of each: `python examples/consume.py 127.0.0.1:PORT` (Ctrl-C ends it)."""

import json
import sys

from confluent_kafka import Consumer, KafkaException

if len(sys.argv) != 2 or ":" not in sys.argv[1]:
    sys.exit("usage: python examples/consume.py HOST:PORT   (bin/soba status names the broker)")
broker = sys.argv[1]
# Without log_level librdkafka itself reports every refused connection.
settings = {"bootstrap.servers": broker, "group.id": "my-app", "auto.offset.reset": "earliest", "log_level": 0}
consumer = Consumer(settings)
try:
    topics = consumer.list_topics(timeout=10).topics
except KafkaException:
    sys.exit(f"no Kafka answered at {broker} within 10 s: is it running there? bin/soba status names the broker")
if "mev.findings" not in topics:
    sys.exit(f"the Kafka at {broker} has no topic mev.findings: is it Soba's? bin/soba topics create makes the topics")

consumer.subscribe(["mev.findings"])
newest: dict[str, int] = {}
try:
    while True:
        message = consumer.poll(1.0)
        if message is None or message.error():
            continue
        finding = json.loads(message.value())
        # Delivery is at least once: the same revision again is no news, an older one is out of date.
        if finding["revision"] <= newest.get(finding["id"], -1):
            continue
        newest[finding["id"]] = finding["revision"]
        print(finding["status"], finding["kind"], "in block", finding["block_number"], finding["profit"], flush=True)
except KeyboardInterrupt:
    pass
finally:
    consumer.close()
