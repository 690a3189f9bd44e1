"""Quix Streams: a StreamingDataFrame handles message by message; its checkpoints flush and commit."""

from __future__ import annotations

import common
import work
from quixstreams import Application
from quixstreams.models import Serializer, TopicConfig


class Bytes(Serializer):
    """The value of what `work` made of an event."""

    def __call__(self, value: work.Done, ctx: object) -> bytes:
        return value[0]


def main() -> None:
    app = Application(
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
    config = TopicConfig(num_partitions=2, replication_factor=1)
    out = app.topic(common.OUTPUT, key_serializer="bytes", value_serializer=Bytes(), config=config)
    letters = app.topic(common.DEAD_LETTERS, key_serializer="bytes", value_serializer=Bytes(), config=config)
    frame = app.dataframe(app.topic(common.INPUT, key_deserializer="bytes", value_deserializer="bytes", config=config))
    # One line without branches, for which Quix would copy every value.
    frame = frame.apply(work.single) if common.FORM == "single" else frame.apply(work.envelope, expand=True)
    frame = frame.set_headers(lambda done, *_: common.headers(done[1]) if done[1] else [])
    frame.to_topic(lambda done, *_: letters if done[1] else out)
    app.run(frame)


main()
