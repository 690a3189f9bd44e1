"""Models of what our own code made.

A border parses what it takes in; what our own code made of that need not be checked again, which costs several times as much as
making it. Tests hold such models equal to checked ones.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel

T = TypeVar("T", bound=BaseModel)


@cache
def _every(schema: type[BaseModel]) -> set[str]:
    """All fields: one set for all models of a schema, to which nothing can be added."""
    return set(schema.model_fields)


def made(schema: type[T], values: dict[str, Any]) -> T:
    """A model of these `values`, unchecked: every field of the schema under its own name, and nothing else."""
    one = schema.__new__(schema)
    put = object.__setattr__
    put(one, "__dict__", values)
    put(one, "__pydantic_fields_set__", _every(schema))
    put(one, "__pydantic_extra__", None)
    put(one, "__pydantic_private__", None)
    return one
