"""Blocks from files: one file, or a folder with one folder a block, in order of block number."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from ingest.decode import Decoded, decode
from ingest.raw import Malformed

NAMES = ("block.json", "block.json.gz")


def find_blocks(path: Path) -> list[Path]:
    """The block files under `path`: itself, or each ID/block.json[.gz] in it, by the longest number in ID.

    Raises:
        Malformed: there is no such file or folder, or the folder holds no blocks.
    """
    if path.is_file():
        return [path]
    found = [file for name in NAMES for file in (*path.glob(name), *path.glob(f"*/{name}"))]
    if not found:
        names = " or ".join(NAMES)
        raise Malformed(f"{path}: no block here; give a file, a folder that holds {names}, or a folder of such folders")
    return sorted(found, key=_order)


def read(file: Path) -> bytes:
    """The bytes of `file`, uncompressed.

    Raises:
        Malformed: it cannot be read or its compression is broken.
    """
    try:
        data = file.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as error:
        raise Malformed(f"{file}: cannot be read: {error}") from None


def read_blocks(path: Path) -> Iterator[Decoded]:
    """Decode the blocks under `path`, one at a time.

    Raises:
        Malformed: a file is missing or is no block in a form we take; the message names the file.
    """
    for file in find_blocks(path):
        yield decode(read(file), str(file))


def _order(file: Path) -> tuple[int, str]:
    digits = max(re.findall(r"\d+", file.parent.name), key=len, default="0")
    return (int(digits), str(file))
