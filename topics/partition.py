"""Where a key goes: the partition function of Java's default partitioner, which every producer of ours uses."""

from __future__ import annotations

import struct
from functools import lru_cache

_M = 0x5BD1E995
_ALL = 0xFFFFFFFF


@lru_cache(maxsize=65_536)
def partition(key: bytes, partitions: int) -> int:
    """The partition of `key` among `partitions`: murmur2 without its sign bit, as Apache Kafka's Java client computes it.

    librdkafka computes the same with `partitioner=murmur2_random`. Remembered, because each view of a block asks for each of its
    keys, and hashing in Python is most of the cost of cutting views.
    """
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(key: bytes) -> int:
    """32-bit MurmurHash2 with Java's seed, by words: aiokafka's goes by bytes and takes twice as long."""
    whole = len(key) & ~3
    value = 0x9747B28C ^ len(key)
    for word in struct.unpack_from(f"<{whole >> 2}I", key):
        word = word * _M & _ALL
        value = value * _M & _ALL ^ ((word ^ word >> 24) * _M & _ALL)
    if whole != len(key):
        value = (value ^ int.from_bytes(key[whole:], "little")) * _M & _ALL
    value = (value ^ value >> 13) * _M & _ALL
    return value ^ value >> 15
