"""What pydantic says, in words of our own: the field, its fault and what to give."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from base.wording import FORMS, SHOWN, Wording, shown, wording, wordings
from ingest import parts
from topics.schemas import fields, models
from topics.schemas.chain import Block, Liquidation
from topics.schemas.risk import SwapRequest


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    a: int = 0


class Thing(BaseModel):
    count: Annotated[int, Field(gt=0, le=9)] = 1
    strict: fields.Uint64 = 1
    ratio: Annotated[float, Field(ge=0.5, lt=2.0)] = 1
    flag: bool = True
    name: Annotated[str, Field(min_length=2, max_length=4)] = "ab"
    names: Annotated[list[str], Field(min_length=1, max_length=2)] = ["a"]
    colour: Colour = Colour.RED
    word: Literal["yes", "no"] = "yes"
    only: Literal["this"] = "this"
    inner: Inner = Inner()
    map: dict[str, int] = {}
    at: datetime | None = None
    time: fields.Time = 1
    hash: fields.Hash | None = None
    even: int = 0

    @field_validator("even")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("odd numbers do not work; give an even one")
        return value


def said(schema: Any, value: Any) -> list[str]:
    """Every fault of a value, in words."""
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(schema).validate_python(value)
    return [str(wording(fault)) for fault in refused.value.errors()]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("count", "x", 'count: "x" is not an integer; give a whole number such as 10'),
        ("count", 1.5, "count: 1.5 is not an integer; give a whole number such as 10"),
        ("count", 0, "count: 0 is too small; give a number above 0"),
        ("count", 10, "count: 10 is too large; give a number of at most 9"),
        ("strict", "5", 'strict: "5" is not an integer; give a whole number without quotes, such as 10'),
        ("ratio", "x", 'ratio: "x" is not a number; give a number such as 1.5'),
        ("ratio", 0, "ratio: 0 is too small; give a number of at least 0.5"),
        ("ratio", 2, "ratio: 2 is too large; give a number below 2"),
        ("flag", "x", 'flag: "x" is not true or false; give true or false'),
        ("name", None, 'name: null is not text; give text, in double quotes: "..."'),
        ("name", "a", 'name: "a" is too short; give at least 2 character(s)'),
        ("name", "abcde", 'name: "abcde" is too long; give at most 4 character(s)'),
        ("names", 3, "names: 3 is not a list; give a list: [...]"),
        ("names", [], "names: [] is too short; give at least 1 element(s)"),
        ("names", ["a", 1], 'names.1: 1 is not text; give text, in double quotes: "..."'),
        ("colour", "green", 'colour: "green" is none of the allowed values; give one of: red, blue'),
        ("word", "maybe", 'word: "maybe" is none of the allowed values; give one of: yes, no'),
        ("only", "that", 'only: "that" is none of the allowed values; give one of: this'),
        ("inner", 1, 'inner: 1 is not an object; give an object such as {"name": "value"}'),
        ("inner", {"b": 1}, "inner.b: there is no such field; give no value here: leave it out"),
        ("map", [], 'map: [] is not an object; give an object such as {"name": "value"}'),
        ("at", "noon", 'at: "noon" is not a time; give a time as RFC 3339 (2023-04-08T00:00:11Z) or unix seconds'),
        ("hash", "0x12", 'hash: "0x12" does not have the right form; give a hash: 0x and 64 hex digits'),
        ("even", 3, "even: odd numbers do not work; give an even one"),
    ],
)
def test_a_fault_names_field_value_and_fix(field: str, value: Any, expected: str) -> None:
    assert said(Thing, {field: value}) == [expected]


def test_a_value_of_several_types_has_one_name() -> None:
    with pytest.raises(ValidationError) as refused:
        Thing.model_validate({"time": "noon", "strict": "x"})
    strict, time = map(str, wordings(refused.value.errors()))
    assert strict.startswith('strict: "x" is not an integer') and time.startswith('time: "noon" is not a time')


def test_a_gas_price_is_in_gwei() -> None:
    gas, amount = said(
        Liquidation,
        {"event_type": "liquidation", "transaction_hash": "0x" + "1" * 64, "gas_price": "x", "amount_in": "x"},
    )
    assert "in gwei" in gas and "in token units" in amount


def test_an_amount_may_be_a_number_or_text() -> None:
    for field in ("amount", "gasPrice"):
        (said_of,) = said(
            SwapRequest, {"fromAddress": "0x1...2", "amount": 1, field: None if field == "amount" else []}
        )
        got = "null" if field == "amount" else "[]"
        assert said_of == f'{field}: {got} is not a number or text; give a number or text, such as "1.5"'


def test_a_fault_has_a_code_for_programs() -> None:
    with pytest.raises(ValidationError) as refused:
        Thing.model_validate({"count": "x", "strict": -1, "word": "maybe", "inner": {"b": 1}})
    assert [one.code for one in wordings(refused.value.errors())] == [
        "wrong_type", "wrong_value", "wrong_value", "unknown_field",
    ]  # fmt: skip
    with pytest.raises(ValidationError) as refused:
        SwapRequest.model_validate({"fromAddress": "0x1...2"})
    assert [one.code for one in wordings(refused.value.errors())] == ["missing_field"]


def test_what_is_missing_or_of_an_unknown_type() -> None:
    assert said(Block, {"hello": 1})[0] == "number: it is missing; give a value (the field is required)"
    tag, missing = said(Block, {"number": 1, "status": "partial", "events": [{"event_type": "air"}, {}]})
    assert tag.startswith('events.0.event_type: "air" is none of the allowed values; give one of: swap, transfer')
    assert missing == "events.1.event_type: it is missing; give a value (the field is required)"


def test_what_is_no_json_says_where() -> None:
    with pytest.raises(ValidationError) as refused:
        Thing.model_validate_json(b'{"count": 1')
    (fault,) = refused.value.errors()
    told = wording(fault)
    assert (told.field, told.fault.startswith("it is not JSON (EOF")) == ("", True)
    assert str(told) == told.said and "double quotes" in told.fix


def test_a_value_may_be_left_unsaid() -> None:
    with pytest.raises(ValidationError) as refused:
        Thing.model_validate({"count": "secret"})
    (fault,) = refused.value.errors(include_input=False)
    assert wording(fault).said == "it is not an integer; give a whole number such as 10"


def test_an_error_that_is_not_in_the_list_keeps_its_sense() -> None:
    rare = {"type": "bytes_type", "loc": ("x",), "msg": "Input should be a valid bytes", "input": 1}
    assert str(wording(rare)) == "x: 1 is not a valid bytes; give a valid bytes"
    assert wording({"type": "x", "loc": (), "msg": "no", "input": 1}) == Wording("", "no", "", "wrong_type")


def test_every_form_of_the_schemas_has_words() -> None:
    types = [one for module in (fields, models, parts) for one in vars(module).values()]
    constraints = [part for one in types for part in getattr(one, "__metadata__", ())]
    patterns = {part.pattern for part in constraints if getattr(part, "pattern", None)}
    assert len(patterns) >= 9 and patterns == set(FORMS)


def test_a_shown_value_is_short_and_cannot_command_a_terminal() -> None:
    assert shown("ä") == '"ä"' and shown(b"x") == '"x"' and shown(Colour) != ""
    assert shown("\x1b[31m\x9b") == '"\\u001b[31m\\u009b"'
    assert len(shown("x" * 1000)) == SHOWN
    told = wording({"type": "missing", "loc": ("\x1b[2J",), "msg": "", "input": {}})
    assert told.field.isprintable()
