"""Where a key goes: the partition function of Java's default partitioner, which every producer of ours uses."""

from __future__ import annotations

import struct

_M = 0x5BD1E995
_ALL = 0xFFFFFFFF

REMEMBERED = 65_536
"""Keys that `Owners` remembers: about 10 MB."""


def partition(key: bytes, partitions: int) -> int:
    """The partition of `key` among `partitions`: murmur2 without its sign bit, as Apache Kafka's Java client computes it.

    librdkafka computes the same with `partitioner=murmur2_random`.
    """
    return (murmur2(key) & 0x7FFFFFFF) % partitions


class Owners(dict[str, int]):
    """The partition of each key asked for, remembered: views of a block ask for the same keys again and again."""

    def __init__(self, partitions: int) -> None:
        super().__init__()
        self._partitions = partitions

    def __missing__(self, key: str) -> int:
        if len(self) >= REMEMBERED:
            self.clear()
        found = self[key] = partition(key.encode(), self._partitions)
        return found


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
