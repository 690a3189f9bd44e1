"""Quix Streams: a StreamingDataFrame handles message by message; its checkpoints flush and commit."""

from __future__ import annotations

from typing import Any

import common
import work
from quixstreams import Application
from quixstreams.models import Serializer, Topic, TopicConfig


class Bytes(Serializer):
    """The value of what was made of an event."""

    def __call__(self, value: tuple[bytes, *tuple[str | None, ...]], ctx: object) -> bytes:
        return value[0]


def application() -> Application:
    """As Quix is set up, but for where its broker is and what clients of Kafka are told."""
    return Application(
        broker_address=common.BROKERS,
        consumer_group=common.GROUP,
        auto_offset_reset="earliest",
        loglevel="WARNING",
        state_dir=common.FOLDER,
        auto_create_topics=False,
        consumer_extra_config={k: v for k, v in common.CONSUMER.items() if k != "auto.offset.reset"},
        producer_extra_config=common.PRODUCER,
        request_timeout=30,
    )


def topic(app: Application, name: str, **how: Any) -> Topic:
    """A topic that is there, its keys as they are."""
    config = TopicConfig(num_partitions=common.PARTITIONS, replication_factor=1)
    return app.topic(name, key_serializer="bytes", key_deserializer="bytes", config=config, **how)


def main() -> None:
    app = application()
    out, letters = (topic(app, name, value_serializer=Bytes()) for name in (common.OUTPUT, common.DEAD_LETTERS))
    frame = app.dataframe(topic(app, common.INPUT, value_deserializer="bytes"))
    # One line without branches, for which Quix would copy every value.
    frame = frame.apply(work.single) if common.FORM == "single" else frame.apply(work.envelope, expand=True)
    frame = frame.set_headers(lambda done, *_: common.headers(done[1]) if done[1] else [])
    frame.to_topic(lambda done, *_: letters if done[1] else out)
    app.run(frame)


if __name__ == "__main__":
    main()
