"""Headers that others write: what goes on to other records is well formed and small, whatever they are."""

from __future__ import annotations

from typing import Any

import pytest

from agents import validate
from agents.agent import Output, Result
from agents.outlet import TooLarge, check_sizes
from tests.unit.wire import NOW, TRACE, records, swap
from topics.headers import Headers, carry, cloud_event, dead_letter, get
from topics.registry import CHAIN_EVENTS, DEAD_LETTER_ROOM, MEV_FINDINGS

MIB = 1024 * 1024
HUGE: Headers = [
    *(
        (name, b"x" * MIB)
        for name in ("request_id", "traceparent", "tracestate", "origin", "dlq.attempt", "dlq.letter")
    ),
    *[("request_id", b"r" * 300)] * 5_000,
]


def size(headers: Headers) -> int:
    return sum(len(name) + len(value) for name, value in headers)


def letter(**more: Any) -> Headers:
    told: dict[str, Any] = {"reason": "wrong_schema", "field": "", "detail": "", "agent": "validate", "index": None}
    return dead_letter(topic="chain.events", partition=0, offset=1, **{**told, **more})


def test_only_what_is_well_formed_goes_on_and_once() -> None:
    good: Headers = [("request_id", b"r"), ("traceparent", TRACE), ("tracestate", b"vendor=1")]
    assert carry([("other", b"o"), *good, ("request_id", b"later")]) == good
    wrong: Any = [("traceparent", TRACE + b"0"), ("tracestate", b"\xff"), ("request_id", b""), ("request_id", None)]
    assert carry([*wrong, ("request_id", b"r")]) == [("request_id", b"r")]


def test_what_is_made_of_a_record_with_huge_headers_fits_its_topic() -> None:
    """A worker would try for two minutes to send it, end, and begin again, for ever."""
    assert size(cloud_event("i", "mev", "soba.mev.finding", HUGE)) < 1_000
    assert size(letter(detail="d" * MIB, carried=HUGE)) < DEAD_LETTER_ROOM // 2
    state = validate.Validator(0, 1)
    state.partition = 1  # nothing is ours
    result = state.handle(records([swap()], headers=HUGE), NOW)
    (sent,) = result.sent_on
    assert size(sent.headers) < 1_000
    check_sizes(result)


@pytest.mark.parametrize("origin", [b"x", b"chain.events/0/", b"chain.events/0/7/" + b"1" * 300, b"\xff/0/1"])
def test_an_origin_that_is_no_place_is_not_taken_for_one(origin: bytes) -> None:
    assert get(letter(carried=[("origin", origin)]), "dlq.source") == b"chain.events/0/1"
    assert (
        get(letter(carried=[("origin", b"chain.events/1/7/transactions/2")]), "dlq.source")
        == b"chain.events/1/7/transactions/2"
    )


def test_key_and_headers_count_for_the_size_of_a_record() -> None:
    for one in (
        Output(MEV_FINDINGS.name, b"k" * MIB, b"{}"),
        Output(MEV_FINDINGS.name, b"k", b"{}", [("h", b"x" * MIB)]),
    ):
        with pytest.raises(TooLarge):
            check_sizes(Result(outputs=[one]))
    fine = Output(CHAIN_EVENTS.name, b"1", b" " * CHAIN_EVENTS.max_bytes, [("h", b"x" * 1_000)])
    check_sizes(Result(sent_on=[fine]))
