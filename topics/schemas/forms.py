"""The forms of topics/schemas/chain.py as JSON Schema, as producers may write them."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema


class _AsWritten(GenerateJsonSchema):
    """Tells also of the numbers that stand for decimal strings."""

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        told = super().str_schema(schema)
        if not schema.get("coerce_numbers_to_str"):
            return told
        return {"anyOf": [told, {"type": "number" if r"\." in told["pattern"] else "integer"}]}


def form(schema: Any, references: str = "#/$defs/{model}") -> dict[str, Any]:
    """The JSON Schema of what `schema` takes, with `$defs` that refer to each other by `references`."""
    return TypeAdapter(schema).json_schema(ref_template=references, schema_generator=_AsWritten)
