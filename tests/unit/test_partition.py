"""The partition function: the vectors of Apache Kafka's own test, and librdkafka's."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2 as aiokafkas
from hypothesis import given
from hypothesis import strategies as st

from topics.partition import murmur2, partition

# org.apache.kafka.common.utils.UtilsTest.testMurmur2
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", JAVA, ids=lambda key: key.decode())
@pytest.mark.parametrize("partitions", [1, 2, 15, 2**31 - 1])
def test_partition_is_javas(key: bytes, partitions: int) -> None:
    assert partition(key, partitions) == (JAVA[key] & 0x7FFFFFFF) % partitions


@pytest.mark.parametrize(("key", "hashed"), [(b"kafka", 0xD067CF64), (b"", 0x106E08D9), (b"1234", 0x9FC97B14)])
def test_partition_is_librdkafkas(key: bytes, hashed: int) -> None:
    """The values of librdkafka's own unit test of murmur2."""
    assert partition(key, 2**31 - 1) == (hashed & 0x7FFFFFFF) % (2**31 - 1)


@given(st.binary(max_size=200))
def test_the_facades_producer_hashes_alike(key: bytes) -> None:
    assert murmur2(key) == aiokafkas(key) & 0xFFFFFFFF


@given(st.binary(max_size=64), st.integers(1, 1000))
def test_every_key_has_a_partition(key: bytes, partitions: int) -> None:
    assert 0 <= partition(key, partitions) < partitions


def test_keys_spread_evenly() -> None:
    counts = [0] * 15
    for number in range(15_000):
        counts[partition(f"1:0x{number:040x}".encode(), 15)] += 1
    assert min(counts) > 850
    assert max(counts) < 1150
