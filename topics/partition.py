"""Where a key goes: the partition function of Java's default partitioner, which every producer of ours uses."""

from __future__ import annotations

from aiokafka.partitioner import murmur2


def partition(key: bytes, partitions: int) -> int:
    """The partition of `key` among `partitions`: murmur2 without its sign bit, as Apache Kafka's Java client computes it.

    librdkafka computes the same with `partitioner=murmur2_random`.
    """
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
