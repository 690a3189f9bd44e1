"""Whether a real answer has the form that the OpenAPI document gives it.

Stricter than JSON Schema in one way: a property that the document does not name is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx

FAILURE = {"$ref": "#/components/schemas/Failure"}
SILENT = {"title", "description", "default", "example", "examples", "discriminator"}
"""Keywords that refuse nothing."""
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
LIMITS: dict[str, Callable[[Any, Any], bool]] = {
    "minimum": lambda value, limit: value >= limit,
    "maximum": lambda value, limit: value <= limit,
    "exclusiveMinimum": lambda value, limit: value > limit,
    "exclusiveMaximum": lambda value, limit: value < limit,
    "minLength": lambda value, limit: len(value) >= limit,
    "maxLength": lambda value, limit: len(value) <= limit,
    "maxItems": lambda value, limit: len(value) <= limit,
    "pattern": lambda value, limit: re.search(limit, value) is not None,
    "const": lambda value, limit: value == limit,
    "enum": lambda value, limit: value in limit,
    "format": lambda value, limit: limit != "date-time" or datetime.fromisoformat(value).tzinfo is not None,
}


def conforms(document: dict[str, Any], answer: httpx.Response) -> None:
    """Raises AssertionError where the answer is not what the document says of its route and status."""
    method, path, status = answer.request.method.lower(), answer.request.url.path, str(answer.status_code)
    operation = next(
        (told[method] for route, told in document["paths"].items() if _is(route, path, told, method)), None
    )
    if operation is None:  # no such route, or one without a schema: a failure still has its form
        if answer.status_code >= 400 and method != "options":
            fits(document, FAILURE, answer.json(), path)
        return
    assert status in operation["responses"], f"{method} {path} answers {status}, which the document does not name"
    content = resolved(document, operation["responses"][status]).get("content", {})
    if not content:
        assert not answer.content
        return
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind in content, f"{method} {path} answers {kind}"
    value = answer.json() if kind == "application/json" else answer.text
    fits(document, content[kind]["schema"], value, f"{method} {path} {status}")


def _is(route: str, path: str, told: dict[str, Any], method: str) -> bool:
    return method in told and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route), path) is not None


def resolved(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """What a `$ref` leads to."""
    while "$ref" in part:
        target: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        part = target
    return part


def fits(document: dict[str, Any], schema: dict[str, Any], value: Any, where: str) -> None:
    """Raises AssertionError, naming the place, where a value is not what its schema says."""
    schema = {name: told for name, told in resolved(document, schema).items() if name not in SILENT}
    for name in ("anyOf", "oneOf"):
        if options := schema.pop(name, None):
            assert any(_may_be(document, option, value) for option in options), f"{where}: none of {name}: {value!r}"
    if kind := schema.pop("type", None):
        right = isinstance(value, TYPES[kind]) and (isinstance(value, bool) is (kind == "boolean"))
        assert right, f"{where}: not of type {kind}: {value!r}"
    for name in LIMITS.keys() & schema.keys():
        assert LIMITS[name](value, schema.pop(name)), f"{where}: {name}: {value!r}"
    known, others = schema.pop("properties", {}), schema.pop("additionalProperties", None)
    missing = set(schema.pop("required", ())) - set(value if isinstance(value, dict) else ())
    assert not missing, f"{where}: without {missing}"
    for name, part in value.items() if isinstance(value, dict) and (known or others) else ():
        told = known.get(name, others)
        assert told, f"{where}.{name}: the document does not name it"
        if told is not True:
            fits(document, told, part, f"{where}.{name}")
    items = schema.pop("items", {})
    for index, part in enumerate(value if isinstance(value, list) else ()):
        fits(document, items, part, f"{where}[{index}]")
    assert not schema, f"{where}: this checker does not know {sorted(schema)}"


def _may_be(document: dict[str, Any], schema: dict[str, Any], value: Any) -> bool:
    try:
        fits(document, schema, value, "")
    except AssertionError:
        return False
    return True
