"""Normal form: what an event or transaction looks like once validate is done with it, as a schema of its own.

A dict with known fields only, none of them null, hex in lower case, times in unix seconds. Most producers send that form already,
so it is tried first, and what fits needs neither a model nor any rule about the form of a single field. Each schema is made from
the model in `topics.schemas.chain` by narrowing its field types; what does not fit is not wrong, only judged the long way.
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, Required, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints
from typing_extensions import TypedDict

from topics.schemas.chain import Liquidation, Liquidity, Swap, Sync, Transaction, Transfer
from topics.schemas.fields import Address, Amount, Hash, Int64, PoolId, Raw, Selector, Time, Token


def _text(pattern: str, numbers: bool = False) -> Any:
    return Annotated[str, StringConstraints(pattern=pattern), Field(coerce_numbers_to_str=numbers)]


_NARROW: list[tuple[Any, Any]] = [
    (Address, _text(r"^0x[0-9a-f]{40}$")),
    (Hash, _text(r"^0x[0-9a-f]{64}$")),
    (Selector, _text(r"^0x([0-9a-f]{8})?$")),
    (PoolId, _text(r"^0x([0-9a-f]{40}|[0-9a-f]{64})$")),
    # An address, or a symbol, which does not begin like one.
    (Token, _text(r"^(0x[0-9a-f]{40}|[^0\s]\S{0,65}|0([^x\s]\S{0,64})?)$")),
    (Time, Int64),
    # Not negative.
    (Amount, _text(r"^[0-9]{1,78}(\.[0-9]{1,78})?$", numbers=True)),
    (Raw, _text(r"^[0-9]{1,78}$", numbers=True)),
]
_POSITIVE: list[tuple[Any, Any]] = [
    (Amount, _text(r"^([1-9][0-9]{0,77}(\.[0-9]{1,78})?|0\.0{0,76}[1-9][0-9]{0,76})$", numbers=True)),
    (Raw, _text(r"^[1-9][0-9]{0,77}$", numbers=True)),
]
_SIDES = ("amount_in", "amount_out", "amount_in_raw", "amount_out_raw")


def _narrowed(hint: Any, types: list[tuple[Any, Any]]) -> Any:
    """`hint` with each of `types` that it is, or is a union with, replaced; without null."""
    for wide, narrow in types:
        if hint == wide:
            return narrow
    if get_origin(hint) is Annotated:
        return Annotated[(_narrowed(get_args(hint)[0], types), *get_args(hint)[1:])]
    if get_origin(hint) is list:
        return list[_narrowed(get_args(hint)[0], types)]  # type: ignore[misc]
    if get_origin(hint) is Union:
        left = tuple(_narrowed(part, types) for part in get_args(hint) if part is not type(None))
        return left[0] if len(left) == 1 else Union[left]  # noqa: UP007
    return hint


def _normal(model: type[BaseModel], positive: tuple[str, ...] = ()) -> Any:
    hints = get_type_hints(model, include_extras=True)
    fields = {}
    for name, field in model.model_fields.items():
        hint = _narrowed(_narrowed(hints[name], _POSITIVE if name in positive else []), _NARROW)
        fields[name] = Required[hint] if field.is_required() else NotRequired[hint]
    made = TypedDict(f"Normal{model.__name__}", fields)  # type: ignore[misc]
    made.__pydantic_config__ = ConfigDict(extra="ignore")  # type: ignore[attr-defined]
    return made


NormalEvent: Any = Annotated[
    Union[  # noqa: UP007
        _normal(Swap, _SIDES), _normal(Transfer), _normal(Sync), _normal(Liquidity), _normal(Liquidation)
    ],
    Discriminator("event_type"),
]  # fmt: skip
NormalTransaction: Any = _normal(Transaction)
