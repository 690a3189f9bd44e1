"""Values of compacted topics by which operators say something of what the key names: a schema, and where it lies."""

from __future__ import annotations

from typing import Protocol, Self, TypeVar

from pydantic import ValidationError

from base.wording import wording


class Entry(Protocol):
    """A schema of such values."""

    @classmethod
    def model_validate_json(cls, json_data: bytes) -> Self:
        """Parsed."""
        ...

    @property
    def key(self) -> str:
        """Where it has to lie."""
        ...


E = TypeVar("E", bound=Entry)


class NoEntry(ValueError):
    """A record that says nothing: its text says why, and what to give."""


def entry(schema: type[E], key: str, value: bytes | None) -> E | None:
    """What a record says; None where it takes back what was said.

    Raises:
        NoEntry: it does not fit the schema, or lies under another key than its own.
    """
    if not value:
        return None
    try:
        found = schema.model_validate_json(value)
    except ValidationError as error:
        raise NoEntry(str(wording(error.errors(include_url=False)[0]))) from error
    if found.key != key:
        raise NoEntry(f"its key is {key!r}; give it {found.key!r}, so that it can be taken back")
    return found
