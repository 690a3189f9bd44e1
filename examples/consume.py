"""Print findings as they come, newest state of each: `python examples/consume.py 127.0.0.1:PORT` (Ctrl-C ends it)."""

import json
import sys

from confluent_kafka import Consumer

consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "my-app", "auto.offset.reset": "earliest"})
consumer.subscribe(["mev.findings"])
newest: dict[str, int] = {}
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
