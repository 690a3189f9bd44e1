"""The work that every peer does, by Soba's own functions: decode, validate every field and rule, encode in normal form."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import orjson

from models.chain import rules
from topics import codecs

Done = tuple[bytes, str | None]
"""A value to produce: the normal form, or as it came with the reason why it is refused."""


def single(raw: bytes) -> Done:
    """One event."""
    return singles([raw])[0]


def singles(raws: Sequence[bytes]) -> list[Done]:
    """Many events, one a value, decoded together."""
    alone = rules.Context(time.time())
    out: list[Done] = []
    for raw, value in zip(raws, codecs.decode_chain_events(raws), strict=True):
        event, reason = _settled(value, alone)
        out.append((raw, reason) if reason else (orjson.dumps(event), None))
    return out


def envelope(raw: bytes) -> list[Done]:
    """One envelope: what it is without its bad events, and those."""
    block, bad = judged(raw)
    return [(orjson.dumps(block), None), *bad] if block is not None else bad


def judged(raw: bytes) -> tuple[dict[str, Any] | None, list[Done]]:
    """One envelope without its bad events, None where it is refused, and what is refused."""
    (found,) = codecs.decode_chain_events([raw])
    if not isinstance(found, codecs.Envelope):
        return None, [
            (raw, "malformed_json" if isinstance(found, codecs.Malformed) else codecs.value_faults(found)[0].code)
        ]
    now = time.time()
    faults = rules.header_errors(found, now)
    if faults:
        return None, [(raw, faults[0].code)]
    context = rules.Context(now, found.chain_id, found.number, found.hash, found.timestamp)
    good, bad = [], []
    for index, value in enumerate(found.events):
        event, reason = _settled(value, context)
        if reason:
            bad.append((index, reason))
        else:
            good.append(event)
    head = {"chain_id": found.chain_id, "number": found.number, "status": found.status, "hash": found.hash}
    block = {**head, "timestamp": found.timestamp, "events": good}
    if not bad:
        return block, []
    slices = codecs.element_slices(raw, found, "events")
    return block, [(slices[index], reason) for index, reason in bad]


def many(raws: Sequence[bytes], form: str) -> list[Done]:
    """What becomes of records of `form`, `single` or `envelope`."""
    return singles(raws) if form == "single" else [done for raw in raws for done in envelope(raw)]


def _settled(value: Any, context: rules.Context) -> tuple[Any, str | None]:
    """An event in normal form, or why not."""
    if value.__class__ is dict:
        if rules.keeps(value, context):
            return value, None
        value = codecs.event_model(value)
    elif value.__class__ is codecs.Unfit:
        return None, codecs.value_faults(value.value)[0].code
    elif value.__class__ is codecs.Malformed:
        return None, "malformed_json"
    faults = rules.errors(value, context)
    return (None, faults[0].code) if faults else (rules.plain(value), None)
