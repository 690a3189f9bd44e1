"""Models made of parts that are known to fit, without looking at each again.

Validating an event costs more than decoding it, and everything here was validated before: ingest builds from a raw block whose
fields were, by decoders whose output a test holds against the schema.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel

from topics.schemas.chain import Block, Liquidation, Liquidity, Swap, Sync, Transaction, Transfer

M = TypeVar("M", bound=BaseModel)
EVENTS: dict[str, type[Swap | Transfer | Sync | Liquidity | Liquidation]] = {
    "swap": Swap,
    "sync": Sync,
    "liquidation": Liquidation,
    **dict.fromkeys(("transfer", "deposit", "withdrawal"), Transfer),
    **dict.fromkeys(("mint", "burn", "collect"), Liquidity),
}
"""Event type → its model."""
_new = object.__new__
_set_dict = BaseModel.__dict__["__dict__"].__set__
_set_names = BaseModel.__dict__["__pydantic_fields_set__"].__set__
_set_extra = BaseModel.__dict__["__pydantic_extra__"].__set__
_set_private = BaseModel.__dict__["__pydantic_private__"].__set__


def _absent(model: type[BaseModel]) -> dict[str, Any]:
    """Every field in order, with what it is where nothing is said of it (None for one that is always given)."""
    return {
        name: None if field.is_required() else field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
    }


_ABSENT: dict[type[BaseModel], dict[str, Any]] = {
    model: _absent(model) for model in (*EVENTS.values(), Transaction, Block)
}
_NAMES: dict[type[BaseModel], set[str]] = {model: set(fields) for model, fields in _ABSENT.items()}


def build(model: type[M], fields: dict[str, Any]) -> M:
    """What `model.model_validate(fields)` makes of fields that are as the schema has them.

    Which of them were given is not kept: nothing here tells null from absent.
    """
    made = _new(model)
    _set_dict(made, {**_ABSENT[model], **fields})
    _set_names(made, _NAMES[model])
    _set_extra(made, {})
    _set_private(made, None)
    return made
