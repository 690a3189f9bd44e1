"""Public lists of addresses, apart from behaviour: most known frauds are on one, so a list says nothing of how well a model judges.

`addresses.bin` is sorted: 20 bytes of an address, then one byte whose bits name lists in the order of `NAMES`. README.md says where
they come from; `make.py` made it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

NAMES = ("ofac", "forta_malicious", "forta_phishing", "forta_contracts")
FILE = Path(__file__).parent / "addresses.bin"
_LONG = 21


@cache
def _known() -> dict[bytes, int]:
    raw = FILE.read_bytes()
    return {raw[at : at + 20]: raw[at + 20] for at in range(0, len(raw), _LONG)}


def naming(address: str) -> list[str]:
    """The lists that name a well-formed address."""
    bits = _known().get(bytes.fromhex(address[2:]), 0)
    return [name for place, name in enumerate(NAMES) if bits >> place & 1]
