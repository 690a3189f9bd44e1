"""Bytewax: batches of the Kafka source go through `flat_map_batch`; its own store keeps the offsets."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import common
import work
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main
from confluent_kafka import OFFSET_BEGINNING

BATCH = 4_000


def handle(messages: list) -> list[KafkaSinkMessage]:
    return [
        KafkaSinkMessage(common.KEY, value)
        if reason is None
        else KafkaSinkMessage(common.KEY, value, common.DEAD_LETTERS, common.headers(reason))
        for value, reason in work.many([message.value for message in messages], common.FORM)
    ]


def main() -> None:
    flow = Dataflow("firehose")
    config = {k: str(v) for k, v in common.CONSUMER.items()}
    batch = BATCH if common.FORM == "single" else 64
    source = KafkaSource(
        [common.BROKERS], [common.INPUT], starting_offset=OFFSET_BEGINNING, add_config=config, batch_size=batch
    )
    stream = op.flat_map_batch("validate", op.input("in", flow, source), handle)
    op.output(
        "out", stream, KafkaSink([common.BROKERS], common.OUTPUT, {k: str(v) for k, v in common.PRODUCER.items()})
    )
    store = Path(common.FOLDER)
    init_db_dir(store, 1)
    cluster_main(flow, [], 0, epoch_interval=timedelta(seconds=1), recovery_config=RecoveryConfig(store))


main()
