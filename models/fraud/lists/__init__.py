"""Lists of addresses, apart from behaviour: most known frauds are on one, so a list says nothing of how well a model judges.

Public ones come with Soba. `addresses.bin` is sorted: 20 bytes of an address, then one byte whose bits name lists in the order of
`NAMES`. README.md says where they come from; `make.py` made it. Operators' own come on top (topic `lists`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, get_args
from zlib import crc32

from topics.schemas.lists import Listed
from topics.schemas.wallet import Level

NAMES = ("ofac", "forta_malicious", "forta_phishing", "forta_contracts")
"""Those that come with Soba: on every chain."""
PUBLIC_SEVERITY: Level = "critical"
"""How severe those are."""
FILE = Path(__file__).parent / "addresses.bin"
_LONG = 21


class Hit(NamedTuple):
    """A list that names an address."""

    list: str
    severity: Level
    chain_id: int | None = None
    """On which chain; None: on every one."""


Hits = tuple[Hit, ...]
_WORSE = get_args(Level).index


@cache
def _shipped() -> tuple[dict[str, Hits], str]:
    """By address in lower case, and a mark of all of it."""
    raw = FILE.read_bytes()
    of_bits = [
        tuple(Hit(name, PUBLIC_SEVERITY) for place, name in enumerate(NAMES) if bits >> place & 1)
        for bits in range(1 << len(NAMES))
    ]
    found = {f"0x{raw[at : at + 20].hex()}": of_bits[raw[at + 20]] for at in range(0, len(raw), _LONG)}
    return found, f"{crc32(raw):08x}"


class Lists:
    """The lists as they stand at one moment: it never changes, `changed` makes another."""

    __slots__ = ("_all", "_own", "version")

    def __init__(self, own: Mapping[str, Listed] | None = None) -> None:
        """`own` entries by key."""
        shipped, mark = _shipped()
        self._own = own or {}
        self._all = dict(shipped) if own else shipped
        digest = 0
        for entry in self._own.values():
            hit = Hit(entry.list, entry.severity, entry.chain_id)
            self._all[entry.address] = (*self._all.get(entry.address, ()), hit)
            digest ^= int.from_bytes(sha256(f"{entry.key} {entry.severity}".encode()).digest()[:8])
        self.version = f"{mark}+{digest:016x}" if own else mark
        """A mark of what is listed: the same for the same lists, in whatever order they came about."""

    def changed(self, changes: Iterable[tuple[str, Listed | None]]) -> Lists:
        """These lists with own entries put or, where None, taken off, by key."""
        own = dict(self._own)
        for key, entry in changes:
            if entry is None:
                own.pop(key, None)
            else:
                own[key] = entry
        return Lists(own)

    def own(self) -> Iterable[Listed]:
        """What is listed beside what comes with Soba."""
        return self._own.values()

    @staticmethod
    def public() -> dict[str, int]:
        """How many addresses each list has that comes with Soba."""
        return {name: len(SHIPPED.on(name)) for name in NAMES}

    def on(self, name: str) -> list[str]:
        """The addresses on a list."""
        return [address for address, hits in self._all.items() if any(hit.list == name for hit in hits)]

    def names(self, chain_id: int, address: str) -> str:
        """The names of these, with commas between; empty where none names it. Of most addresses this is one look."""
        return "" if address not in self._all else ",".join(hit.list for hit in self.hits(chain_id, address))

    def hits(self, chain_id: int, address: str) -> Hits:
        """The lists that name an address (lower case), each once."""
        found = self._all.get(address)
        if found is None:
            return ()
        # The worst last: a list may name an address of every chain, and of this one more severely.
        there = sorted((hit for hit in found if hit.chain_id in (None, chain_id)), key=lambda hit: _WORSE(hit.severity))
        return tuple({hit.list: hit for hit in there}.values())


SHIPPED = Lists()
"""Those that come with Soba, alone."""
