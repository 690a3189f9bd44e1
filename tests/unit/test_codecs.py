"""Bulk decoding is one-by-one decoding, whatever the values; an element's bytes are those that came."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from ingest.files import read_blocks
from models.chain import rules
from tests.unit.wire import ALICE, NOW, NUMBER, TIME, encoded, envelope, inside, swap, transaction, transfer, tx
from topics import codecs
from topics.codecs import Envelope, Malformed, Unfit, decode_chain_events, element_slices
from topics.schemas.chain import Event, Swap

ROOT = Path(__file__).parents[2]

quick = settings(max_examples=200, deadline=None)

HOSTILE = [
    b"",
    b" ",
    b"null",
    b"true",
    b"5",
    b'"x"',
    b"[]",
    b"{}",
    b"[null]",
    b"NaN",
    b"[Infinity, -Infinity]",
    b"1,2",
    b",",
    b"]",
    b"[",
    b"}",
    b'{"a":[',
    b'"',
    b'"\\',
    b"1],[2",
    b'["',
    b'"]',
    b'[{"a":"',
    b'"}]',
    b"[1",
    b"2]",
    b"[" * 100_000,
    b"]" * 100_000,
    b'{"a":' * 100_000,
    b"[" * 150 + b"]" * 150,
    b"[" * 199 + b"]" * 199,
    b"1" * 100_000,
    b"[" + b"1" * 4_300 + b"]",
    b"-" + b"1" * 4_301,
    b"1e999999",
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b"\xef\xbb\xbf[]",
    b'"\x00"',
    b'["a\nb"]',
    b"[1,]",
    b"01",
    b"[1] // x",
    b'{"event_type":"swap","event_type":"transfer"}',
    b'{"events":[],"events":[1],"number":1,"status":"partial"}',
    encoded(swap())[:-1],
    encoded(swap()) + b"}",
    encoded(swap(amount_in=float("nan"))),
    encoded([swap(), 5, None, {"event_type": "swap"}, swap(log_index=True)]),
    encoded(swap(block_number=10**4_000)),
    encoded({**swap(), "extra": json.loads("[" * 180 + "]" * 180)}),
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
good = st.sampled_from(
    [
        swap(),
        transfer(log_index=3),
        [swap(), transfer(log_index=1)],
        envelope(inside(swap()), {"event_type": "no"}, transactions=[transaction(1), 7]),
        envelope(status="removed"),
    ]
).map(encoded)
values = st.one_of(good, good, st.sampled_from(HOSTILE), json_values.map(encoded), st.binary(max_size=12))


def plain(value: Any) -> Any:
    """A decoded value in a form that compares; NaN is equal to itself, true is not 1."""
    return type(value).__name__, repr(value)


def plain_fields(event: Any) -> dict[str, Any]:
    """An event's known fields, whichever way it was parsed."""
    return event if isinstance(event, dict) else rules.plain(event)


@quick
@given(st.lists(values, max_size=150))
def test_bulk_is_one_by_one(batch: list[bytes]) -> None:
    found = list(decode_chain_events(batch))
    alone = [next(decode_chain_events([value])) for value in batch]
    assert [plain(value) for value in found] == [plain(value) for value in alone]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: repr(v[:24]))
def test_no_value_shifts_its_neighbours(value: bytes) -> None:
    first, found, second = decode_chain_events([encoded(swap()), value, encoded(swap(log_index=7))])
    assert (first["log_index"], second["log_index"]) == (0, 7)
    assert plain(found) == plain(next(decode_chain_events([value])))


@pytest.mark.parametrize("opening", [b"[", b'{"a":[', b'["', b'{"events":[', b"[[", b'"'])
def test_no_two_values_swallow_what_stands_between_them(opening: bytes) -> None:
    closing = {b"[": b"]", b'{"a":[': b"]}", b'["': b'"]', b'{"events":[': b"]}", b"[[": b"]]", b'"': b'"'}[opening]
    batch = [opening, encoded(swap()), closing, b'1,"x",2', encoded(swap(log_index=7))]
    found = list(decode_chain_events(batch))
    assert [type(value) for value in found] == [Malformed, dict, Malformed, Malformed, dict]


def test_two_values_that_make_up_for_what_they_swallow_are_found_out() -> None:
    """Joined, they have as many elements as two honest values and what stands between them."""
    first, second, other = decode_chain_events([b"[1", b"2],3,4", encoded(swap())])
    assert (type(first), type(second), type(other)) == (Malformed, Malformed, dict)
    assert [type(value) for value in decode_chain_events([b"[1", b"2],3,4"])] == [Malformed, Malformed]


def test_a_value_that_holds_the_fence_shifts_nothing() -> None:
    fence = str(codecs._FENCE).encode()
    batch = [b"1," + fence + b",2", b"3", fence]
    found = list(decode_chain_events([*batch, encoded(swap())]))
    assert [type(value) for value in found] == [Malformed, Unfit, Unfit, dict]


def test_a_number_among_events_does_not_make_them_be_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    real = codecs._decode_joined

    def counted(values: Sequence[bytes]) -> list[Any]:
        parsed.append(len(values))
        return real(values)

    monkeypatch.setattr(codecs, "_decode_joined", counted)
    found = list(decode_chain_events([encoded(swap()), b"17", encoded(swap(log_index=7))]))
    assert [type(value) for value in found] == [dict, Unfit, dict]
    assert parsed == [3]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: repr(v[:24]))
def test_faults_are_never_missing(value: bytes) -> None:
    """Whatever is refused comes with a reason that fits a header."""
    (found,) = decode_chain_events([value])
    if isinstance(found, Malformed):
        assert found.detail
        return
    elements = found if isinstance(found, list) else [found]
    for element in elements:
        if isinstance(element, Unfit):
            for fault in codecs.value_faults(element.value) + codecs.transaction_faults(element.value):
                assert fault.code
                assert len(fault.message) < 1_000


def test_each_form_is_told_from_the_others() -> None:
    wide = swap(from_address=ALICE.upper().replace("X", "x"))
    values = (swap(), wide, [swap(), wide, 1], envelope(inside(swap()), wide, 1), {"x": 1})
    found = list(decode_chain_events([*map(encoded, values), b"{"]))
    assert [type(value) for value in found] == [dict, Swap, list, Envelope, Unfit, Malformed]
    assert [type(value) for value in found[2]] == [dict, Swap, Unfit]
    assert [type(value) for value in found[3].events] == [dict, Swap, Unfit]


def test_an_envelope_keeps_its_bad_elements_as_they_were() -> None:
    bad = {"hash": "no", "index": 1}
    (found,) = decode_chain_events([encoded(envelope({"a": [1]}, transactions=[bad, transaction(2)]))])
    assert found.events == [Unfit({"a": [1]})]
    assert found.transactions == [Unfit(bad), transaction(2)]


EVENT_TYPES = list(TypeAdapter(Event).json_schema()["discriminator"]["mapping"])


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_every_type_of_event_is_known(event_type: str) -> None:
    reserves = {"pool": ALICE, "reserve0_raw": 1, "reserve1_raw": 2}
    (found,) = decode_chain_events([encoded(swap(event_type=event_type, **reserves))])
    assert found["event_type"] == event_type


INTEGERS = ("block_number", "chain_id", "transaction_index", "log_index", "gas_used", "tick")


@pytest.mark.parametrize("field", INTEGERS)
@pytest.mark.parametrize("value", [True, False, "5", 5.0, 5.5, 2**63, -(2**63) - 1, [5], {}])
def test_only_integers_are_integers(field: str, value: Any) -> None:
    (found,) = decode_chain_events([encoded(swap(**{field: value}))])
    assert {fault.field for fault in codecs.value_faults(found.value)} == {field}
    (fine,) = decode_chain_events([encoded(swap(**{field: 5}))])
    assert fine[field] == 5


@pytest.mark.parametrize("field", ["timestamp", "observed_at"])
@pytest.mark.parametrize(
    "value",
    [True, False, "soon", [], 2**63, 1e300, "1700000000000", "1693065600", "2023-13-01T00:00:00Z", "2023-08-26"],
)
def test_only_times_are_times(field: str, value: Any) -> None:
    (found,) = decode_chain_events([encoded(swap(**{field: value}))])
    assert {fault.field for fault in codecs.value_faults(found.value)} == {field}


@pytest.mark.parametrize("value", [True, 2, -1, "1", 1.0])
def test_a_status_is_0_or_1(value: Any) -> None:
    (found,) = decode_chain_events([encoded(envelope(transactions=[transaction(1, status=value)]))])
    (bad,) = found.transactions
    assert {fault.field for fault in codecs.transaction_faults(bad.value)} == {"status"}


@pytest.mark.parametrize(
    ("value", "kept"),
    [(5, "5"), (10**30, str(10**30)), (0.1, "0.1"), (1e-7, "0.0000001"), ("1e-18", "1e-18"), ("007.50", "007.50")],
)
def test_amounts_are_decimal_strings(value: Any, kept: str) -> None:
    (found,) = decode_chain_events([encoded(swap(amount_in=value))])
    assert plain_fields(found)["amount_in"] == kept


@pytest.mark.parametrize(
    "value",
    [True, "", "1.", ".5", "+1", "1e", "0x1", "1e100", "NaN", float("nan"), float("inf"), "1" * 79, "1\n", "١", []],
)
def test_what_is_no_amount(value: Any) -> None:
    (found,) = decode_chain_events([encoded(swap(amount_in=value))])
    assert {fault.field for fault in codecs.value_faults(found.value)} == {"amount_in"}


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"event_type": "bet"}, "event_type", "unknown_event_type"),
        ({"event_type": None}, "event_type", "missing_field"),
        ({"transaction_hash": None}, "transaction_hash", "missing_field"),
        ({"token_in": None}, "token_in", "missing_field"),
        ({"transaction_hash": "0x123...abc"}, "transaction_hash", "hash_form"),
        ({"transaction_hash": tx(1) + "\n"}, "transaction_hash", "hash_form"),
        ({"from_address": "0x123...abc"}, "from_address", "address_form"),
        ({"from_address": 5}, "from_address", "address_form"),
        ({"from_address": "0x" + "\u0661" * 40}, "from_address", "address_form"),
        ({"pool": "0x12"}, "pool", "address_form"),
        ({"block_number": -1}, "block_number", "wrong_value"),
        ({"block_number": "x"}, "block_number", "wrong_type"),
        ({"token_in": "A B"}, "token_in", "wrong_value"),
        ({"protocol": "x" * 65}, "protocol", "wrong_value"),
    ],
)
def test_faults_name_field_and_code(change: dict[str, Any], field: str, code: str) -> None:
    (found,) = decode_chain_events([encoded(swap(**change))])
    assert [(fault.field, fault.code) for fault in codecs.value_faults(found.value)] == [(field, code)]


@pytest.mark.parametrize(
    ("value", "field", "code", "message"),
    [
        (swap(timestamp="yesterday"), "timestamp", "wrong_type", '"yesterday" is not a time'),
        ({}, "event_type", "missing_field", "it is missing; give one of: swap, transfer, "),
        (
            swap(event_type="bet"),
            "event_type",
            "unknown_event_type",
            '"bet" is none of the allowed values; give one of: swap',
        ),
        (swap(event_type="None"), "event_type", "unknown_event_type", '"None" is none'),
        (None, "", "wrong_type", "an event must be an object; got null"),
    ],
)
def test_an_event_has_one_fault_that_says_what_to_give(value: Any, field: str, code: str, message: str) -> None:
    (fault,) = codecs.event_faults(value)
    assert (fault.field, fault.code) == (field, code) and fault.message.startswith(message)


def test_what_is_no_transaction_is_named() -> None:
    (fault,) = codecs.transaction_faults(5)
    assert fault.message == "a transaction must be an object; got 5"


@pytest.mark.parametrize(
    "change", [{"status": "done"}, {"number": None}, {"number": -1}, {"events": 5}, {"hash": "0x1"}]
)
def test_a_faulty_header_refuses_the_envelope(change: dict[str, Any]) -> None:
    (found,) = decode_chain_events([encoded({**envelope(), **change})])
    assert isinstance(found, Unfit)
    assert {fault.field for fault in codecs.value_faults(found.value)} == {*change}


# Slices

spaces = st.text(alphabet=" \t\r\n", max_size=2)


@st.composite
def spelled(draw: st.DrawFn, value: Any) -> str:
    """The value as some writer of JSON might spell it."""
    if isinstance(value, list):
        inner = [draw(spaces) + draw(spelled(one)) + draw(spaces) for one in value]
        return "[" + (",".join(inner) or draw(spaces)) + "]"
    if isinstance(value, dict):
        pairs = [
            f"{draw(spaces)}{draw(spelled(k))}{draw(spaces)}:{draw(spaces)}{draw(spelled(v))}" for k, v in value.items()
        ]
        return "{" + (",".join(f"{pair}{draw(spaces)}" for pair in pairs) or draw(spaces)) + "}"
    if isinstance(value, str) and draw(st.booleans()):
        units = value.encode("utf-16-be")
        return '"' + "".join(f"\\u{units[n : n + 2].hex()}" for n in range(0, len(units), 2)) + '"'
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


# Brackets, quotes and commas inside of strings above all.
tricky = st.text(alphabet='[]{}",:\\ aé€\U0001f600', max_size=8)
nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | tricky,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(tricky, inner, max_size=3),
    max_leaves=8,
)


@quick
@given(st.data(), st.lists(nested, max_size=5), st.lists(nested, max_size=2), st.booleans())
def test_slices_are_the_very_bytes(data: st.DataObject, elements: list[Any], decoy: list[Any], last: bool) -> None:
    spellings = [data.draw(spelled(element)) for element in elements]
    pads = [data.draw(spaces) for _ in range(2 * len(elements) + 2)]
    array = (
        "["
        + ",".join(pads[2 * n] + s + pads[2 * n + 1] for n, s in enumerate(spellings))
        + pads[-1] * (not elements)
        + "]"
    )
    expected = [spelling.encode() for spelling in spellings]
    value = (pads[-2] + array + pads[-1]).encode()
    assert element_slices(value, next(decode_chain_events([value]))) == expected

    key = data.draw(spelled("events"))
    other = data.draw(spelled({"x": decoy, "events": decoy}))
    members = [
        f'"a":{other}',
        f"{data.draw(spelled('events'))}:{data.draw(spelled(decoy))}",
        f"{key}{pads[0]}:{pads[1]}{array}",
    ]
    text = "{" + ",".join([*members, '"z":[[]]'] if last else members) + pads[-1] + "}"
    value = (text[:-1] + ',"number":1,"status":"partial"}').encode()
    (found,) = decode_chain_events([value])
    assert isinstance(found, Envelope)
    assert element_slices(value, found, "events") == expected  # the last of equal keys, as the parser takes it
    assert len(found.events) == len(expected)


@quick
@given(values)
def test_what_was_parsed_has_as_many_slices_as_elements(value: bytes) -> None:
    (found,) = decode_chain_events([value])
    if isinstance(found, list):
        slices = element_slices(value, found)
        assert len(slices) == len(found)
        assert all(one in value for one in slices)
        assert [plain(one) for one in decode_chain_events(slices)] == [plain(one) for one in _alone(found, slices)]
    elif isinstance(found, Envelope):
        assert len(element_slices(value, found, "events")) == len(found.events)
        if found.transactions:
            assert len(element_slices(value, found, "transactions")) == len(found.transactions)


def _alone(found: list[Any], slices: list[bytes]) -> list[Any]:
    """What elements are as values of their own: an array or envelope inside an array is parsed further there."""
    return [
        next(decode_chain_events([raw])) if isinstance(one, Unfit) else one
        for one, raw in zip(found, slices, strict=True)
    ]


# Normal form

_addresses = st.sampled_from([ALICE, ALICE.upper().replace("X", "x"), "0x" + "aB" * 20, None])
_amounts = st.sampled_from(["1", "0", "0.0", "-1", "-0", "1e3", "0.50", "00", "1.", 5, 0, 1.5, 10**30, None])
_small = st.sampled_from([None, 0, 1, 21_000, 30_000_000, 400_000_000, -1, NUMBER])
_times = st.sampled_from([None, TIME, 0, -1, int(NOW) + 60, int(NOW) + 61, "2023-08-26T16:00:00Z", 1e9])
_fields = st.fixed_dictionaries(
    {"event_type": st.sampled_from(EVENT_TYPES), "transaction_hash": st.sampled_from([tx(1), tx(171).upper().replace("X", "x")])},
    optional={
        **dict.fromkeys(("contract_address", "from_address", "to_address", "pool", "recipient"), _addresses),
        **dict.fromkeys(
            ("amount_in", "amount_out", "amount_in_raw", "reserve0_raw", "reserve1_raw", "liquidity", "gas_price"), _amounts
        ),
        **dict.fromkeys(("chain_id", "block_number", "log_index", "gas_used", "tick"), _small),
        **dict.fromkeys(("token_in", "token_out"), st.sampled_from(["ETH", "eth", "0", "0xzz", "0X1", ALICE, None])),
        **dict.fromkeys(("timestamp", "observed_at"), _times),
        "event_id": st.sampled_from(["e", None]),
        "block_hash": st.sampled_from([tx(5), tx(6), None]),
        "unknown": st.just(1),
    },
)  # fmt: skip
_contexts = st.sampled_from(
    [
        rules.Context(NOW),
        rules.Context(NOW, 1, NUMBER, tx(5), TIME),
        rules.Context(NOW, 2, NUMBER),
    ]
)


@settings(max_examples=1_500, deadline=None)
@given(_fields, _contexts)
def test_the_short_way_is_the_long_way(value: dict[str, Any], context: rules.Context) -> None:
    """What is in normal form and keeps the rules is what the model and all of its rules make of it."""
    (found,) = decode_chain_events([encoded(value)])
    (model,) = codecs.decode_models([value])
    assert isinstance(found, Unfit) == isinstance(model, Unfit)
    if isinstance(found, Unfit):
        return
    valid = not rules.errors(model, context)
    if isinstance(found, dict):
        assert rules.keeps(found, context) == valid
        assert not valid or list(found.items()) == list(rules.plain(model).items())


@settings(max_examples=500, deadline=None)
@given(
    st.fixed_dictionaries(
        {"hash": st.just(tx(1)), "index": st.just(0)},
        optional={
            **dict.fromkeys(("from_address", "to_address"), _addresses),
            **dict.fromkeys(("value_wei", "coinbase_transfer_wei"), _amounts),
            **dict.fromkeys(("gas_limit", "gas_used", "gas_price_wei"), _small | st.just(10**16)),
            "selector": st.sampled_from(["0x", "0xABcd0123", "0xabcd0123", None]),
            "status": st.sampled_from([0, 1, None]),
        },
    ),
    _contexts,
)
def test_the_short_way_is_the_long_way_for_transactions(value: dict[str, Any], context: rules.Context) -> None:
    (envelope_,) = decode_chain_events([encoded(envelope(transactions=[value]))])
    (found,) = envelope_.transactions
    if isinstance(found, Unfit):
        assert codecs.transaction_faults(value)
        return
    model = codecs.transaction_model(value)
    valid = not rules.transaction_errors(model, context)
    if isinstance(found, dict):
        assert rules.transaction_keeps(found, context) == valid
        assert not valid or list(found.items()) == list(rules.plain(model).items())


def test_the_samples_go_the_short_way() -> None:
    """Real blocks as our own decoder writes them need no model."""
    for block in read_blocks(ROOT / "samples" / "blocks"):
        (found,) = decode_chain_events([block.block.model_dump_json(exclude_none=True).encode()])
        assert {type(event) for event in found.events} <= {dict}
        assert {type(transaction) for transaction in found.transactions} <= {dict}


EVENTS, NO_EVENTS = [b'{"a":1}', b'{"b":2}'], [b'{"t":1}', b'{"t":2}']


@pytest.mark.parametrize(
    ("value", "events", "transactions"),
    [
        (b'{"events":[{"a":1}, {"b":2}],"transactions" : [{"t":1},{"t":2}]', EVENTS, NO_EVENTS),
        (b'{"transactions":[{"t":1},{"t":2}\n], "events": [ {"a":1},{"b":2} ]', EVENTS, NO_EVENTS),
        (b'{"transactions":[],"events":[{"a":1},{"b":2}]', EVENTS, []),
        (b'{"note":"transactions","events":[{"a":1},{"b":2}],"transactions":[{"t":1},{"t":2}]', EVENTS, NO_EVENTS),
        (b'{"note":"{","events":[{"a":1},{"b":2}]', EVENTS, []),
        (b'{"events":[{"a":1},{"b":2}],"note":"{","transactions":[{"t":1},{"t":2}]', EVENTS, NO_EVENTS),
        (b'{"events":[7],"\\u0074ransactions":[{"t":1}],"events":[{"a":1}]', EVENTS[:1], NO_EVENTS[:1]),
        (b'{"transactions":[{"t":1}],"\\u0065vents":[{"a":1}],"x":["events"]', EVENTS[:1], NO_EVENTS[:1]),
        (b'{"transactions":[7],"events":[{"a":"},{"}]', [b'{"a":"},{"}'], [b"7"]),
        (b'{"events":[{"a":"},{"},{"b":[{}]}],"z":1', [b'{"a":"},{"}', b'{"b":[{}]}'], []),
        (b'{"x":{"events":[{"a":1}]},"events":[]', [], []),
        (b'{"x":{"events":[{"a":1},{"b":2}]},"events":[3,{"c":4}]', [b"3", b'{"c":4}'], []),
        (b'{"events":[{"a":1}],"events":[{"b":2},{"c":3}]', [b'{"b":2}', b'{"c":3}'], []),
        (b'{"events":[{"a":1},{"b":NaN}]', [b'{"a":1}', b'{"b":NaN}'], []),
        (b'{"events":[[1,{},{"a":1}],{"b":2}]', [b'[1,{},{"a":1}]', b'{"b":2}'], []),
        (b'{"events":[3,{"a":{}}]', [b"3", b'{"a":{}}'], []),
    ],
)
def test_slices_where_objects_are_not_only_elements(
    value: bytes, events: list[bytes], transactions: list[bytes]
) -> None:
    value += b',"number":1,"status":"partial"}'
    (found,) = decode_chain_events([value])
    assert element_slices(value, found, "events") == events
    if found.transactions is not None:
        assert element_slices(value, found, "transactions") == transactions


@pytest.mark.parametrize("value", [b'{"event_type":"swap","note":"events"}', b' [{"event_type":"swap"}]', b'"events"'])
def test_what_only_looks_like_an_envelope_or_like_none_is_what_it_is(value: bytes) -> None:
    """It is tried as what it looks like first; that is a matter of speed alone."""
    alone = [*decode_chain_events([value]), list(decode_chain_events([b'{"x":1}', value, b'{"x":2}']))[1]]
    assert [plain(one) for one in alone] == [plain(codecs._decode_one(value))] * 2
