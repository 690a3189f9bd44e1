"""What is queued for Redis; that the script does what it says is tested on a real one, tests/pipeline/test_rows.py."""

from __future__ import annotations

from unittest.mock import patch
from zlib import crc32

import pytest

from tables import rows
from tables.registry import BLOCKS, BLOCKS_BY_CHAIN, INDEXES, TABLES, VERSION_DIGITS, BlockRow, redis_key
from tables.rows import Row, parse


def block(revision: int) -> BlockRow:
    return BlockRow(
        chain_id=1, number=5, revision=revision, status="complete", transactions=0, events={"swap": 1}, rejected=0
    )


def test_a_row_key_has_its_bucket_for_a_slot() -> None:
    bucket = crc32(b"1:5") % 256
    assert BLOCKS.row_key("1:5") == redis_key("blocks", "1:5") == f"blocks:{{b{bucket:02x}}}:1:5"


def test_names_of_tables_and_indexes_differ() -> None:
    names = [one.name for one in (*TABLES, *INDEXES)]
    assert len(set(names)) == len(names)
    assert BLOCKS_BY_CHAIN.table is BLOCKS


def test_what_is_stored_is_what_is_parsed() -> None:
    row = Row(BLOCKS, "1:5", 7, block(7))
    stored = f"{row.version:0{VERSION_DIGITS}d}".encode() + row.stored
    assert parse(BlockRow, stored) == block(7)
    assert b"null" not in row.stored
    assert parse(BlockRow, None) is None


def test_versions_in_text_order_are_in_number_order() -> None:
    versions = [0, 1, 9, 10, 99, 2**63 - 1]
    texts = [f"{version:0{VERSION_DIGITS}d}" for version in versions]
    assert texts == sorted(texts)
    assert {len(text) for text in texts} == {VERSION_DIGITS}


def test_a_row_of_another_schema_counts_as_absent_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with patch.object(rows, "_told", set()):
        for _ in range(3):
            assert parse(BlockRow, b"0" * VERSION_DIGITS + b"{}") is None
    (line,) = caplog.records
    assert "BlockRow counts as absent" in line.getMessage()
