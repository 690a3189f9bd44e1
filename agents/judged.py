"""What the elements of a record are judged to be: valid, in normal form, or refused, and why.

What is in normal form and keeps the rules takes the short way; all else the long one, by model and named rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from models.chain import rules
from topics import codecs
from topics.schemas.requests import Fault

MOST_FAULTS = 1_000
"""So many elements of a record may be refused each for itself; where there are more, the record is refused as one."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How elements of a kind are judged: the short way for those in normal form, and the long way that says why."""

    keeps: Callable[[Any, rules.Context], bool]
    model: Callable[[Any], Any]
    errors: Callable[[Any, rules.Context], Sequence[Fault]]
    faults: Callable[[Any], Sequence[Fault]]


EVENT = Kind(rules.keeps, codecs.event_model, rules.errors, codecs.event_faults)
ALONE = Kind(rules.keeps, codecs.event_model, rules.errors, codecs.value_faults)
"""Events that stand in no envelope: what is none may be a whole envelope with a fault."""
TRANSACTION = Kind(
    rules.transaction_keeps, codecs.transaction_model, rules.transaction_errors, codecs.transaction_faults
)


def settled(element: Any, context: rules.Context, kind: Kind) -> tuple[Any, Sequence[Fault]]:
    """A decoded element in normal form, and what refuses it."""
    if element.__class__ is dict:
        if kind.keeps(element, context):
            return element, rules.FINE
        element = kind.model(element)
    elif element.__class__ is codecs.Unfit:
        return None, kind.faults(element.value)
    faults = kind.errors(element, context)
    return (None, faults) if faults else (rules.plain(element), rules.FINE)


def judge(
    elements: Sequence[Any], context: rules.Context, kind: Kind
) -> tuple[list[Any], list[tuple[int, Sequence[Fault]]]]:
    """The valid elements in normal form, and the places and faults of the refused ones.

    It ends at the first refused one beyond `MOST_FAULTS`.
    """
    good, bad = [], []
    keeps = kind.keeps
    for index, element in enumerate(elements):
        if element.__class__ is dict and keeps(element, context):
            good.append(element)
            continue
        found, faults = settled(element, context, kind)
        if faults:
            bad.append((index, faults))
            if len(bad) > MOST_FAULTS:
                break
        else:
            good.append(found)
    return good, bad


def places(count: int, bad: Sequence[tuple[int, Sequence[Fault]]]) -> list[int]:
    """Where those of `count` elements stand that are not `bad`."""
    refused = {index for index, _ in bad}
    return [index for index in range(count) if index not in refused]


def too_many(bad: Sequence[tuple[int, Sequence[Fault]]], elements: int) -> Fault:
    """Why a record of so many `elements` is refused as one."""
    index, (first, *_) = bad[0]
    message = f"more than {MOST_FAULTS:,} of its {elements:,} elements are refused, so none is taken; send it again without them"
    return Fault(
        field="", code=codecs.TOO_MANY_FAULTS, message=f"{message} (the first, {index}: {first.code}: {first.message})"
    )


def hash_of(envelope: codecs.Envelope, now: float) -> str | None:
    """The block hash that an envelope does not say, by its first valid event that does."""
    context = rules.Context(now, envelope.chain_id, envelope.number, None, envelope.timestamp)
    for element in envelope.events:
        if element.__class__ is codecs.Unfit:
            continue
        event, faults = settled(element, context, EVENT)
        if not faults and "block_hash" in event:
            return str(event["block_hash"])
    return None
