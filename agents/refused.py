"""What is refused: its reason, its place and its own bytes, as a dead letter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from agents.agent import DeadLetter, Record, Result
from topics import codecs
from topics.schemas.requests import Fault

REFUSED = {
    "conflicting_duplicate": "another event of this transaction and log index is already there and says something else",
    "other_fork": "the block held under this number has another hash",
    "too_large": "its block would be assembled of more than 5,000 events or transactions; send it as a complete envelope",
    "too_many_chains": "its partition holds blocks of 1,024 other chains; spread chains over more partitions",
    "too_late": "512 newer blocks of its chain are held",
    "misplaced": "sent to its chain's partition once and still not there; its producer must use murmur2_random",
}
"""Why an element is refused that keeps the rules: its verdict, and in words."""


class Bytes:
    """The bytes of a record and of its elements, which are looked for only when one is refused or sent on."""

    def __init__(self, record: Record, parsed: Any = None) -> None:
        self.record = record
        self._parsed = parsed
        self._at: dict[str, Callable[[int], bytes]] = {}

    def of(self, index: int | None, part: str = "") -> bytes:
        """The element at `index` of the array `part` ("": the record is the array); None: the whole record."""
        if index is None:
            return self.record.raw
        if part not in self._at:
            self._at[part] = codecs.element_at(self.record.raw, self._parsed, *([part] if part else []))
        return self._at[part](index)


def refuse(result: Result, raw: Bytes, faults: Sequence[Fault], index: int | None = None, part: str = "") -> None:
    detail = "; ".join(f"{fault.field}: {fault.message}" if fault.field else fault.message for fault in faults)
    first, where = faults[0], index_of(index, part)
    result.dead_letters.append(DeadLetter(raw.record, first.code, first.field, detail, raw.of(index, part), where))


def index_of(index: int | None, part: str) -> str | None:
    """An element's place in its record, as headers say it: its number, `transactions/` before it where it is no event."""
    return None if index is None else f"{part}/{index}" if part == "transactions" else str(index)


def fault(verdict: str, field: str = "") -> Fault:
    return Fault(field=field, code=verdict, message=REFUSED[verdict])
