"""Whether a record would be refused, by the schemas and rules of this checkout: for a look before letters are replayed.

What only the running pipeline knows (the blocks it holds, its rows) cannot be asked here.
"""

from __future__ import annotations

import time

from pydantic import TypeAdapter, ValidationError

from agents.agent import Record
from agents.validate import Validator
from topics.registry import CHAIN_EVENTS, TOPICS


def refusal(topic: str, key: bytes | None, value: bytes) -> str | None:
    """Why `value`, sent to `topic`, would become a dead letter again; None where nothing is known against it."""
    if topic == CHAIN_EVENTS.name:
        record = Record(topic, 0, 0, key, [], value, None)
        letters = Validator(0, 1).handle([record], time.time()).dead_letters
        return letters[0].reason if letters else None
    try:
        TypeAdapter(TOPICS[topic].schema).validate_json(value)
    except ValidationError as error:
        return "malformed_json" if error.errors(include_url=False)[0]["type"] == "json_invalid" else "wrong_schema"
    return None
