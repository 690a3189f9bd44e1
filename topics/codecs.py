"""Bytes to values and back, in bulk.

chain.events takes an event, an array of events or an envelope in one value. What looks like single events is joined, 64 at a time,
into one JSON array and validated in one call of pydantic-core: an element that fits no schema comes back as it was parsed instead
of raising, because catching one ValidationError costs as much as validating forty events. What looks like an envelope or an array
is tried as that first: each form that does not fit copies the whole value for its error, which costs twice what validating does.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, Field, StrictInt, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from base.wording import distinct, shown, wording
from topics.schemas.chain import Event, Header, Transaction
from topics.schemas.fields import Unfit as Unfit
from topics.schemas.normal import NormalEvent, NormalTransaction
from topics.schemas.requests import Fault

JOINED = 64
"""Values validated together: below 64 the call costs, above 256 memory traffic does (research: 80-99k events/s at 10,000)."""

TOO_MANY_FAULTS = "too_many_faults"
"""The code of a record that is refused as a whole for its many bad elements."""
MOST_ELEMENTS = 100_000
"""So many elements do not fit into a record of chain.events unless many are bad: the shortest good one takes 88 bytes of 8 MiB."""


_Unfit = Annotated[Any, AfterValidator(Unfit)]
_Element = Annotated[NormalEvent | Event | _Unfit, Field(union_mode="left_to_right")]
_Transaction = Annotated[NormalTransaction | Transaction | _Unfit, Field(union_mode="left_to_right")]
_Elements = Annotated[list[_Element], Field(max_length=MOST_ELEMENTS)]
_Transactions = Annotated[list[_Transaction], Field(max_length=MOST_ELEMENTS)]


class Envelope(Header):
    """A block envelope whose elements may be of any kind: in normal form (a dict), a model, or `Unfit`."""

    transactions: _Transactions | None = None  # type: ignore[assignment]
    events: _Elements


@dataclass(frozen=True, slots=True)
class Malformed:
    """A value that is not JSON."""

    detail: str


# Stands between joined values. A value with unbalanced brackets could swallow its neighbours and so shift the rest; it cannot
# also put this, which it does not know, where we look for it.
_FENCE = secrets.randbits(62)
_JOIN = f",{_FENCE},".encode()
_FENCES = [_FENCE] * (JOINED - 1)

# The fence stands second: an event in normal form, the common case, is not asked whether it is a number.
_Value = Annotated[NormalEvent | StrictInt | Event | Envelope | _Elements | _Unfit, Field(union_mode="left_to_right")]
_VALUES: TypeAdapter[list[Any]] = TypeAdapter(list[_Value])
_VALUE: TypeAdapter[Any] = TypeAdapter(_Value)
_ENVELOPE_FIRST: TypeAdapter[Any] = TypeAdapter(Annotated[Envelope | _Value, Field(union_mode="left_to_right")])
_ARRAY_FIRST: TypeAdapter[Any] = TypeAdapter(Annotated[_Elements | _Value, Field(union_mode="left_to_right")])
_MODELS: TypeAdapter[list[Any]] = TypeAdapter(list[Annotated[Event | _Unfit, Field(union_mode="left_to_right")]])
_EVENT: TypeAdapter[Any] = TypeAdapter(Event)
_TRANSACTION: TypeAdapter[Any] = TypeAdapter(Transaction)
_ENVELOPE: TypeAdapter[Any] = TypeAdapter(Envelope)
_ARRAY: TypeAdapter[Any] = TypeAdapter(_Elements)


def decode_chain_events(values: Sequence[bytes]) -> Iterator[Any]:
    """Parse each value of chain.events: an event, an `Envelope`, a list of events, `Unfit` or `Malformed`.

    An event, there and in envelopes and lists, is a dict in normal form, or else a model; what fits no schema is `Unfit`. They are
    parsed when they are asked for, few at a time: what is done with them while they are in the processor's cache costs less.
    """
    single: list[bytes] = []
    for value in values:
        many = None
        if b"[" in value:  # found in no time, and neither an envelope nor an array is without it
            many = _ENVELOPE_FIRST if b'"events"' in value else _ARRAY_FIRST if value.startswith(b"[") else None
        if many is None:
            single.append(value)
            if len(single) < JOINED:
                continue
        if single:
            yield from _decode_joined(single)
            single = []
        if many is not None:
            yield _decode_one(value, many)
    if single:
        yield from _decode_joined(single)


def _decode_joined(values: Sequence[bytes]) -> list[Any]:
    if len(values) == 1:
        return [_decode_one(values[0])]
    try:
        parsed = _VALUES.validate_json(b"[" + _JOIN.join(values) + b"]")
    except ValidationError:
        parsed = []
    if len(parsed) == 2 * len(values) - 1 and parsed[1::2] == _FENCES[: len(values) - 1]:
        found = parsed[::2]
        return (
            [Unfit(value) if value.__class__ is int else value for value in found] if int in map(type, found) else found
        )
    half = len(values) // 2  # one that is no JSON spoils all it is joined with
    return _decode_joined(values[:half]) + _decode_joined(values[half:])


def _decode_one(value: bytes, form: TypeAdapter[Any] = _VALUE) -> Any:
    try:
        found = form.validate_json(value)
    except ValidationError as error:
        return Malformed(wording(error.errors(include_url=False)[0]).said)
    return Unfit(found) if isinstance(found, int) else found


def decode_models(values: Sequence[Any]) -> list[Any]:
    """Parse events from parsed JSON, each to a model or `Unfit`: fields that no schema knows stay in its `model_extra`."""
    # Not orjson, which knows no integer above 64 bits and makes null of NaN.
    return _MODELS.validate_json(to_json(values, inf_nan_mode="constants"))


def event_model(event: dict[str, Any]) -> Any:
    """The model of an event in normal form."""
    return _EVENT.validate_python(event)


def transaction_model(transaction: dict[str, Any]) -> Any:
    """The model of a transaction in normal form."""
    return _TRANSACTION.validate_python(transaction)


_ADDRESS = ("contract_address", "from_address", "to_address", "pool", "sender", "recipient", "owner", "miner")
_HASH = ("transaction_hash", "block_hash", "hash", "parent_hash")


def event_faults(value: Any) -> list[Fault]:
    """Why `value`, parsed JSON, is no event."""
    return schema_faults(_EVENT, value)


def transaction_faults(value: Any) -> list[Fault]:
    """Why `value`, parsed JSON, is no transaction of an envelope."""
    return schema_faults(_TRANSACTION, value)


def value_faults(value: Any) -> list[Fault]:
    """Why `value`, parsed JSON, is neither event, array of events nor envelope."""
    if isinstance(value, list):
        return schema_faults(_ARRAY, value)
    if isinstance(value, dict) and "events" in value:
        return schema_faults(_ENVELOPE, value)
    return event_faults(value)


def schema_faults(schema: TypeAdapter[Any], value: Any) -> list[Fault]:
    """What `schema` finds wrong with `value`, which bulk validation has refused; never empty."""
    try:
        schema.validate_python(value)
    except ValidationError as error:
        return list(_translate(error, "a transaction" if schema is _TRANSACTION else "an event"))
    return [Fault(field="", code="wrong_type", message=f"not what the schema asks for; got {_shown(value)}")]


def _translate(error: ValidationError, what: str) -> Iterator[Fault]:
    for item in distinct(error.errors(include_url=False)):
        # A tagged union puts the event type in front of the field; union members add their names behind it.
        path = [str(part) for part in item["loc"]]
        field = next((part for part in path if part in _KNOWN), path[-1] if path else "")
        kind = item["type"]
        if kind in ("model_attributes_type", "model_type", "dict_type") and not path:
            yield Fault(field="", code="wrong_type", message=f"{what} must be an object; got {shown(item['input'])}")
            continue
        if kind == "union_tag_not_found" or (kind == "union_tag_invalid" and item["input"]["event_type"] is None):
            yield Fault(field="event_type", code="missing_field", message=f"it is missing; give one of: {_TYPES}")
            continue
        told = wording(item)
        if kind == "too_long":
            field, code = path[-1] if path else "", TOO_MANY_FAULTS
        elif kind == "union_tag_invalid":
            field, code = "event_type", "unknown_event_type"
        elif kind in ("string_pattern_mismatch", "string_type") and field in _ADDRESS:
            code = "address_form"
        elif kind in ("string_pattern_mismatch", "string_type") and field in _HASH:
            code = "hash_form"
        else:
            code = told.code
        yield Fault(field=field, code=code, message=told.said)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _fields(*schemas: type[BaseModel]) -> frozenset[str]:
    return frozenset(name for schema in schemas for name in schema.model_fields)


_TYPES = ", ".join(
    name
    for member in Event.__origin__.__args__  # type: ignore[attr-defined]
    for name in get_args(member.model_fields["event_type"].annotation)
)
"""Every event type."""
_KNOWN = _fields(*Event.__origin__.__args__, Transaction, Header) | {"events"}  # type: ignore[attr-defined]


_SPACE = " \t\r\n"


def element_slices(value: bytes, parsed: Any, *path: str) -> list[bytes]:
    """The bytes of each element of the array at `path` in `value`, exactly as they came.

    `parsed` is what `decode_chain_events` made of `value`, an array or an `Envelope`. Were the standard parser to fail on it, its
    elements are encoded anew.
    """
    at = element_at(value, parsed, *path)
    return [at(index) for index in range(len(getattr(parsed, path[0]) if path else parsed))]


def element_at(value: bytes, parsed: Any, *path: str) -> Callable[[int], bytes]:
    """`element_slices`, of which only those asked for are cut out."""
    if (found := _flat(value, parsed, path)) is not None:
        return found
    text = value.decode("utf-8", errors="surrogateescape")
    scanner = json.JSONDecoder()
    try:
        position = _find(text, 0, path, scanner)
        places = list(_elements(text, position, scanner))
    except (ValueError, IndexError, RecursionError):
        array = from_json(value)
        for key in path:
            array = array[key]
        return lambda index: to_json(array[index], inf_nan_mode="constants")
    return lambda index: text[slice(*places[index])].encode("utf-8", errors="surrogateescape")


def _flat(value: bytes, parsed: Any, path: Sequence[str]) -> Callable[[int], bytes] | None:
    """The elements where they, and the envelope around them, are all the objects there are: each `}` then ends one of them.

    In an envelope the key before its first object tells which of the two arrays comes first, unless it is spelled oddly.
    """
    arrays = {"events": parsed.events, "transactions": parsed.transactions or []} if path else {"": parsed}
    objects = sum(map(len, arrays.values()))
    pieces = value.split(b"}")
    if len(pieces) - 1 != len(path) + objects or any(
        element.value.__class__ is not dict
        for array in arrays.values()
        for element in (array if Unfit in map(type, array) else ())
        if element.__class__ is Unfit
    ):
        return None
    count = len(arrays[path[-1] if path else ""])
    for start in (0, objects - count) if count else ():
        head, _, first = pieces[start].rpartition(b"{")
        said = [name for name in arrays if path and f'"{name}"'.encode() in head]
        around = len(path) if start == 0 else 0
        if head.count(b"{") == around and said == [*path] and b"\\" not in head:
            pieces[start] = b"{" + first
            return lambda index: pieces[start + index][pieces[start + index].index(b"{") :] + b"}"
    return None


def _skip(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at


def _find(text: str, at: int, path: Sequence[str], scanner: json.JSONDecoder) -> int:
    """Where the value at `path` begins; the last of equal keys, as parsers take it."""
    at = _skip(text, at)
    if not path:
        return at
    if text[at] != "{":
        raise ValueError("no object")
    found = -1
    at = _skip(text, at + 1)
    while text[at] != "}":
        key, at = scanner.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)
        if key == path[0]:
            found = at
        _, at = scanner.raw_decode(text, at)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    if found < 0:
        raise ValueError("no such key")
    return _find(text, found, path[1:], scanner)


def _elements(text: str, at: int, scanner: json.JSONDecoder) -> Iterator[tuple[int, int]]:
    if text[at] != "[":
        raise ValueError("no array")
    at = _skip(text, at + 1)
    while text[at] != "]":
        start = at
        _, at = scanner.raw_decode(text, at)
        yield start, at
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)


def encode(value: BaseModel) -> bytes:
    """JSON without what is null: null and absent mean the same on every topic of ours."""
    return value.__pydantic_serializer__.to_json(value, exclude_none=True)
