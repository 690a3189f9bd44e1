"""Make `addresses.bin` of the lists as their publishers give them: `python -m models.fraud.lists.make FOLDER`."""

from __future__ import annotations

import csv
import gzip
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from models.fraud.lists import FILE, NAMES

_SOURCES = {
    "ofac": ("ofac_eth.txt", ""),
    "forta_malicious": ("forta_etherscan_malicious_labels.csv.gz", "banned_address"),
    "forta_phishing": ("forta_phishing_scams.csv.gz", "address"),
    "forta_contracts": ("forta_malicious_smart_contracts.csv.gz", "contract_address"),
}
"""List → its file and the column of the address."""


def read(folder: Path, name: str) -> Iterator[str]:
    """The addresses of a list, as they stand there."""
    file, column = _SOURCES[name]
    if not column:
        yield from (folder / file).read_text().split()
        return
    text = gzip.decompress((folder / file).read_bytes()).decode()
    yield from (row[column] for row in csv.DictReader(io.StringIO(text)))


def pack(folder: Path) -> bytes:
    """All lists as one: sorted, each address once.

    Raises:
        ValueError: what stands there is no address.
    """
    found: dict[bytes, int] = {}
    for place, name in enumerate(NAMES):
        for address in read(folder, name):
            if not re.fullmatch(r"0x[0-9a-fA-F]{40}", address.strip()):
                raise ValueError(f"{name}: {address!r} is no address")
            key = bytes.fromhex(address.strip()[2:])
            found[key] = found.get(key, 0) | 1 << place
    return b"".join(key + bytes([bits]) for key, bits in sorted(found.items()))


if __name__ == "__main__":
    FILE.write_bytes(pack(Path(sys.argv[1])))
