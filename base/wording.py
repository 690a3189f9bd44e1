"""What pydantic finds wrong with a value, in words for whoever gave it: the field, its fault, and what to give instead."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SHOWN = 60
"""Characters of a wrong value that a message shows."""


@dataclass(frozen=True, slots=True)
class Wording:
    """One thing wrong with one value. `fix` is what to give, as a noun; empty where the fault says it all."""

    field: str
    """Its path with dots; empty for the whole value."""
    fault: str
    fix: str
    code: str = "wrong_value"
    """A name for the fault, for programs."""

    @property
    def said(self) -> str:
        """Fault and fix, for where the field stands beside it."""
        return f"{self.fault}; give {self.fix}" if self.fix else self.fault

    def __str__(self) -> str:
        return f"{self.field}: {self.said}" if self.field else self.said


_WHOLE = "a whole number such as 10"
_NUMBER = "a number such as 1.5"
_TIME = "a time as RFC 3339 (2023-04-08T00:00:11Z) or unix seconds"
_OBJECT = 'an object such as {"name": "value"}'
_JSON = "one whole JSON value, with names and text in double quotes"

_KINDS: dict[str, tuple[str, str]] = {
    "int_type": ("an integer", "a whole number without quotes, such as 10"),
    "int_parsing": ("an integer", _WHOLE),
    "int_parsing_size": ("an integer of a usual size", _WHOLE),
    "int_from_float": ("an integer", _WHOLE),
    "float_type": ("a number", _NUMBER),
    "float_parsing": ("a number", _NUMBER),
    "finite_number": ("a finite number", _NUMBER),
    "bool_type": ("true or false", "true or false"),
    "bool_parsing": ("true or false", "true or false"),
    "string_type": ("text", 'text, in double quotes: "..."'),
    "list_type": ("a list", "a list: [...]"),
    "tuple_type": ("a list", "a list: [...]"),
    "dict_type": ("an object", _OBJECT),
    "model_type": ("an object", _OBJECT),
    "model_attributes_type": ("an object", _OBJECT),
    "json_invalid": ("JSON", _JSON),
    "json_type": ("JSON", _JSON),
}
"""Error type → what the value is not, and what to give."""

_LIMITS: dict[str, tuple[str, str, str]] = {
    "greater_than": ("small", "gt", "a number above {}"),
    "greater_than_equal": ("small", "ge", "a number of at least {}"),
    "less_than": ("large", "lt", "a number below {}"),
    "less_than_equal": ("large", "le", "a number of at most {}"),
    "string_too_short": ("short", "min_length", "at least {} character(s)"),
    "string_too_long": ("long", "max_length", "at most {} character(s)"),
    "too_short": ("short", "min_length", "at least {} element(s)"),
    "too_long": ("long", "max_length", "at most {} element(s)"),
}
"""Error type → what the value is too much of, where pydantic tells the limit, and what to give."""

FORMS = {
    r"^0x[0-9a-fA-F]{40}$": "an address: 0x and 40 hex digits",
    r"^0x[0-9a-fA-F]{64}$": "a hash: 0x and 64 hex digits",
    r"^0x([0-9a-fA-F]{8})?$": "a selector: 0x and 8 hex digits, or 0x alone",
    r"^0x([0-9a-fA-F]{40}|[0-9a-fA-F]{64})$": "a pool: 0x and 40 hex digits (its address) or 64 (its id)",
    r"^0x[0-9a-f]{40}$": "an address: 0x and 40 hex digits",
    r"^0x[0-9a-f]{64}$": "a hash: 0x and 64 hex digits",
    r"^0x[0-9a-f]{1,64}$": 'a hex quantity such as "0x10"',
    r"^0x0*([0-7]?[0-9a-f]{15}|[0-9a-f]{1,14})$": 'a hex quantity below 2^63, such as "0x10"',
    r"^0x0*[01]$": '"0x0" or "0x1"',
    r"^0x([0-9a-f]{2})*$": 'whole bytes as hex, such as "0x00ff"',
    r"^\S+$": "text without spaces",
    r"^-?[0-9]{1,78}(\.[0-9]{1,78})?([eE][-+]?[0-9]{1,2})?$": 'a decimal number in token units, such as "1.5"',
    r"^[a-z][a-z0-9._-]{0,63}$": "a name of at most 64 of a-z 0-9 . _ -, a letter first",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$": "a version of at most 64 of A-Z a-z 0-9 . _ -, no sign first",
    r"^[0-9a-f]{64}$": "a sha256: 64 hex digits in lower case",
    r"^-?[0-9]{1,78}$": 'an integer in base units, such as "1000000"',
}
"""The patterns of topics/schemas and ingest/parts.py in words."""

UNITS = {"gas_price": "gwei", "gasPrice": "gwei"}
"""Fields whose decimal number is not in token units."""

_IN_UNITS = re.compile(r"(.*_)?amount.*|.*_raw|.*_wei|gas_?price", re.IGNORECASE).fullmatch
"""Fields whose number may also come as text, so that none of its digits is lost."""

_CODES = dict.fromkeys(
    (*_LIMITS, "string_pattern_mismatch", "literal_error", "enum", "union_tag_invalid", "moment"), "wrong_value"
) | {"missing": "missing_field", "union_tag_not_found": "missing_field", "extra_forbidden": "unknown_field"}
"""Error type → the fault's code; all others are `wrong_type`."""

_MEMBERS = ("int", "constrained-int", "str", "constrained-str", "float", "datetime")
"""What pydantic adds to the path of a value that may be one of several types: its name for the type."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 move`, `1,200 moves`; `plural` where that is not the noun with an s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def wordings(errors: Iterable[Mapping[str, Any]]) -> list[Wording]:
    """`ValidationError.errors()` in words; a value that may be of several types has one fault: that of the last, widest type."""
    return [wording(error) for error in distinct(errors)]


def distinct(errors: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The elements of `ValidationError.errors()`, of a value that may be of several types the last alone."""
    found: dict[Any, Mapping[str, Any]] = {}
    for number, error in enumerate(errors):
        # Only what a union adds its members' names to may stand there twice.
        found[_place(error) if _is_member(error) else number] = error
    return list(found.values())


def _is_member(error: Mapping[str, Any]) -> bool:
    path = error["loc"]
    return len(path) > 1 and (str(path[-1]) in _MEMBERS or str(path[-1]).startswith("function-"))


def _place(error: Mapping[str, Any]) -> tuple[Any, ...]:
    """Where the value stands, without the name of a union's member."""
    return tuple(error["loc"][:-1] if _is_member(error) else error["loc"])


def wording(error: Mapping[str, Any]) -> Wording:
    """One element of `ValidationError.errors()` in words. The value is shown where the element has its `input`."""
    kind, context = error["type"], error.get("ctx") or {}
    path = [str(part) for part in _place(error)]
    if kind.startswith("union_tag"):
        path.append(context["discriminator"].strip("'"))
    fault, fix = _told(kind, context, error)
    if path and path[-1] in UNITS:
        fix = fix.replace("token units", UNITS[path[-1]])
    if kind == "string_type" and path and _IN_UNITS(path[-1]):
        fault, fix = fault.replace("text", "a number or text"), 'a number or text, such as "1.5"'
    return Wording(".".join(map(_plain, path)), fault, fix, _CODES.get(kind, "wrong_type"))


def _told(kind: str, context: Mapping[str, Any], error: Mapping[str, Any]) -> tuple[str, str]:
    """Fault and fix."""
    if kind in ("missing", "union_tag_not_found"):
        return "it is missing", "a value (the field is required)"
    if kind == "extra_forbidden":
        return "there is no such field", "no value here: leave it out"
    if kind == "union_tag_invalid":
        return f"{shown(context['tag'])} is none of the allowed values", _one_of(context["expected_tags"])
    if kind == "json_invalid":
        return f"it is not JSON ({_plain(context['error'])})", _JSON
    got = shown(error["input"]) if "input" in error else "it"
    if kind in ("literal_error", "enum"):
        return f"{got} is none of the allowed values", _one_of(context["expected"])
    if kind == "string_pattern_mismatch":
        return f"{got} does not have the right form", FORMS.get(context["pattern"], f"text like {context['pattern']}")
    if kind in _KINDS:
        thing, fix = _KINDS[kind]
        return f"{got} is not {thing}", fix
    if kind in _LIMITS:
        much, name, fix = _LIMITS[kind]
        limit = context[name]
        whole = isinstance(limit, float) and limit.is_integer()
        return f"{got} is too {much}", fix.format(int(limit) if whole else limit)
    if kind.startswith(("date", "time")):
        return f"{got} is not a time", _TIME
    return _other(error["msg"], got, context)


def _other(message: str, got: str, context: Mapping[str, Any]) -> tuple[str, str]:
    """Faults that validators of our own tell, and pydantic's rare ones."""
    if "expected" in context:
        return f"{got} is {_plain(message)}", str(context["expected"])
    if message.startswith("Input should be "):
        fix = message.removeprefix("Input should be ")
        return f"{got} is not {fix}", fix
    return _plain(message.removeprefix("Value error, ")), ""


def _one_of(quoted: str) -> str:
    """pydantic's `'a', 'b' or 'c'` as `one of: a, b, c`."""
    names = re.findall(r"'([^']*)'", quoted)
    return f"one of: {', '.join(names) or quoted}"


def shown(value: object) -> str:
    """A value as JSON writes it, cut to `SHOWN` characters and safe for a terminal."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    if isinstance(text, str):
        text = text[: SHOWN + 1]
    told = json.dumps(text, default=str, ensure_ascii=False)
    if not told.isprintable():
        told = json.dumps(text, default=str)
    return told if len(told) <= SHOWN else told[: SHOWN - 3] + "..."


def _plain(text: str) -> str:
    """Text that cannot command a terminal: names may be whatever a producer wrote."""
    return text if text.isprintable() else json.dumps(text)
