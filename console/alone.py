"""What is sent when a refused element is replayed: its own bytes, with what it needs around them to stand alone.

An element of an array stands alone as it is. An event or transaction of a block envelope does not: which block it belongs to is
said by its envelope, which the pipeline has let go of. So the envelope is read again from where it stood, and the element goes as
a `partial` envelope of one, which validate merges into its block like any late event.
"""

from __future__ import annotations

from typing import Any

import orjson

from agents.judged import hash_of
from console import records
from models.chain import rules
from topics import codecs
from topics.registry import CHAIN_EVENTS
from topics.schemas.letters import Letter

TRANSACTIONS = "transactions/"


class CannotSend(Exception):
    """A letter that cannot be replayed, and why."""


def needs_source(topic: str, letter: Letter) -> bool:
    """Whether the record that the letter's element stood in is needed to send it."""
    return topic == CHAIN_EVENTS.name and letter.index is not None


def standing_alone(letter: Letter, element: bytes, source: bytes | None, now: float) -> bytes:
    """The record for chain.events that says what `element`, one of many in the record `source`, said there.

    `source` is None where that record is gone.

    Raises:
        CannotSend: it takes the record, and that is gone, or another one now.
    """
    if source is None:
        if _names_its_block(element):
            return element
        raise CannotSend(
            f"its envelope {letter.source} is gone or was made anew, and without it nobody knows the element's block; "
            "send the block again, or drop the letter"
        )
    part, _, index = (letter.index or "").rpartition("/")
    [value] = codecs.decode_chain_events([source])
    path = [] if isinstance(value, list) else [part or "events"]
    if not isinstance(value, list | codecs.Envelope) or not _holds(source, value, path, int(index), element):
        return standing_alone(letter, element, None, now)
    if isinstance(value, list):
        return element
    rules.header_errors(value, now)  # for its normal form; a header that is wrong by now is refused as any other
    head = {
        "chain_id": value.chain_id,
        "number": value.number,
        "status": "partial",
        "hash": value.hash or hash_of(value, now),
        "timestamp": value.timestamp,
    }
    # Only what says which block it is: the rest of the header was taken when its other elements were.
    said = orjson.dumps({name: found for name, found in head.items() if found is not None})[:-1]
    if part:
        return said + b',"transactions":[' + element + b'],"events":[]}'
    return said + b',"events":[' + element + b"]}"


def _names_its_block(element: bytes) -> bool:
    """Whether an element says itself in which block it stands, as events do that come alone or in arrays."""
    value = records.parsed(element)
    return isinstance(value, dict) and all(value.get(name) is not None for name in ("block_number", "timestamp"))


def _holds(source: bytes, parsed: Any, path: list[str], index: int, element: bytes) -> bool:
    """Whether the element still stands there: offsets of a topic that was made anew mean other records."""
    try:
        slices = codecs.element_slices(source, parsed, *path)
    except (KeyError, TypeError):
        return False
    return index < len(slices) and slices[index] == element
