"""JSON Schemas of the values of topics, made from the pydantic schemas.

What only Soba writes is described as it is written; what others write too, as it is taken: an amount may be a number there.
"""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, SkipJsonSchema
from pydantic_core import core_schema

from topics.registry import OTHERS, TOPICS, Topic
from topics.schemas import chain
from topics.schemas.letters import Handled

HANDLED = "handled"
"""The name of the schema of what became of dead letters, the second kind of records beside them."""


class _Generator(GenerateJsonSchema):
    """pydantic's, without a title for each field that only repeats its name, and true about numbers taken as text."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        text = super().str_schema(schema)
        if self.mode == "validation" and schema.get("coerce_numbers_to_str"):
            return {"anyOf": [text, {"type": "number"}]}
        return text


def value_schema(topic: Topic) -> dict[str, Any]:
    """The schema of a topic's value, by itself."""
    made = TypeAdapter(topic.schema).json_schema(schema_generator=_Generator, mode=_mode(topic))
    head = {"$schema": _Generator.schema_dialect, "title": schema_name(topic.schema), "description": topic.doc}
    return {**head, **{name: part for name, part in made.items() if name not in head}}


def shared(template: str) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """The schemas of all topics' values, by topic, and of what they share, by name; `template` says where `{model}` lies.

    Among the former that of `HANDLED`.
    """
    of_topics = [(topic.name, _mode(topic), TypeAdapter(topic.schema)) for topic in TOPICS.values()]
    by_key, rest = TypeAdapter.json_schemas(
        [*of_topics, (HANDLED, "serialization", TypeAdapter(Handled))],
        schema_generator=_Generator,
        ref_template=template,
    )
    return {name: made for (name, _), made in by_key.items()}, rest.get("$defs", {})


def schema_name(schema: Any) -> str:
    """A schema as a person writes it: `Event, list of Event or Block`."""
    if schema == chain.Event:  # the union of all event types is one concept, and has no name at run time
        return "Event"
    if get_origin(schema) is list:
        return f"list of {schema_name(get_args(schema)[0])}"
    if get_origin(schema) is Annotated:
        return schema_name(get_args(schema)[0])
    if get_args(schema):
        names = [schema_name(part) for part in get_args(schema) if not _is_skipped(part)]
        return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    return str(schema.__name__)


_SKIPPED: Any = SkipJsonSchema
"""A class, whatever type checkers take it for."""


def _is_skipped(part: Any) -> bool:
    """Whether it stands for what is refused."""
    return get_origin(part) is Annotated and any(one.__class__ is _SKIPPED for one in get_args(part))


def _mode(topic: Topic) -> JsonSchemaMode:
    return "validation" if set(OTHERS) & set(topic.writers) else "serialization"
