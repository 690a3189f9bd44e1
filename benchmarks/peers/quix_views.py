"""Quix Streams doing all that validate does with envelopes: blocks, and what each says to markets and to wallets, by partition."""

from __future__ import annotations

import common
import orjson
import work
from quix import Bytes, application, topic

from models.chain import views
from topics.partition import Owners

Sent = tuple[bytes, str | None, str]
"""A value to produce, the reason where it is refused, and its topic."""
OWNER = Owners(common.PARTITIONS).__getitem__


def everything(raw: bytes) -> list[Sent]:
    """What becomes of one envelope."""
    block, bad = work.judged(raw)
    out: list[Sent] = [(value, reason, common.DEAD_LETTERS) for value, reason in bad]
    if block is None:
        return out
    out.append((orjson.dumps(block), None, common.OUTPUT))
    block = {**block, "revision": 0, "transactions": []}
    for name, cut in ((common.PAIRS, views.pair_records), (common.WALLETS, views.wallet_records)):
        out += [(orjson.dumps(value), None, name) for value in cut(block, (), OWNER).values()]
    return out


def main() -> None:
    app = application()
    names = (common.OUTPUT, common.DEAD_LETTERS, common.PAIRS, common.WALLETS)
    topics = {name: topic(app, name, value_serializer=Bytes()) for name in names}
    frame = app.dataframe(topic(app, common.INPUT, value_deserializer="bytes")).apply(everything, expand=True)
    frame = frame.set_headers(lambda sent, *_: common.headers(sent[1]) if sent[1] else [])
    frame.to_topic(lambda sent, *_: topics[sent[2]])
    app.run(frame)


if __name__ == "__main__":
    main()
