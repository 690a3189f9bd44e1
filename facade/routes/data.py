"""Validation: ask for verdicts, and send what is valid on its way."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Annotated, Any

from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError
from fastapi import APIRouter, Depends
from pydantic import Field, ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from facade.answers import Judged, Processed, answers
from facade.context import Context, Here
from facade.errors import ApiError, invalid, success, unavailable
from facade.gate import needs
from facade.kafka import SEND_TIMEOUT_S
from facade.openapi import EVENT
from facade.requests import Body, Trace, Traced, body, documented
from topics.headers import Headers
from topics.registry import CHAIN_EVENTS, REQUESTS_DATA
from topics.schemas.requests import MOST_EVENTS, ValidateEvents, Verdict, Verdicts

log = logging.getLogger("soba.facade")
router = APIRouter(tags=["DATA_PROCESSING"])

EXAMPLE = {
    "event_id": "evt-1",
    "event_type": "swap",
    "timestamp": "2023-04-08T00:00:11Z",
    "block_number": 17000000,
    "transaction_hash": "0x" + "ab" * 32,
    "contract_address": "0x" + "11" * 20,
    "from_address": "0x" + "22" * 20,
    "to_address": "0x" + "33" * 20,
    "token_in": "ETH",
    "token_out": "USDC",
    "amount_in": "1.5",
    "amount_out": "2800.25",
    "gas_used": 120000,
    "gas_price": 30,
}


class OneEvent(Body):
    """A question about one event. Its form is the question, so here it may have any."""

    event: Any


class EventStream(Body):
    """Events to judge and to take in, in any mix."""

    events: Annotated[list[Any], Field(max_length=MOST_EVENTS)]


@router.post(
    "/api/python/data/validate-blockchain-event",
    dependencies=[needs("read")],
    responses=answers(Judged, "The verdict"),
    openapi_extra=documented(OneEvent, {"event": EXAMPLE}, event=EVENT),
    summary="Judge one chain event",
)
async def validate_event(told: Annotated[OneEvent, Depends(body(OneEvent))], here: Here, trace: Traced) -> Response:
    """200 whatever the verdict: an invalid event is an answer, not a failed request."""
    began = time.perf_counter()
    (verdict,) = await _verdicts(here, [told.event], "event", trace)
    data = verdict.model_dump(mode="json", exclude={"event"})
    return success({**data, "source": "fresh", "latency_ms": _ms(began)})


@router.post(
    "/api/python/data/process-event-stream",
    dependencies=[needs("write")],
    responses=answers(Processed, "Every valid event is in Kafka"),
    openapi_extra=documented(EventStream, {"events": [EXAMPLE]}, events={"items": EVENT}),
    summary="Judge events and send the valid ones into the pipeline",
)
async def process_stream(
    told: Annotated[EventStream, Depends(body(EventStream))], here: Here, trace: Traced
) -> Response:
    """Answers when Kafka has acknowledged every valid event; where it has not, the failure names those that it has."""
    began = time.perf_counter()
    verdicts = await _verdicts(here, told.events, "events", trace)
    valid = [(index, verdict.event) for index, verdict in enumerate(verdicts) if verdict.event is not None]
    ids, failed = await _produced(here, valid, trace)
    if failed:
        raise _partly(ids, failed)
    rejected = [
        {"index": index, "event_id": _event_id(told.events[index]), "errors": verdict.model_dump()["errors"]}
        for index, verdict in enumerate(verdicts)
        if verdict.event is None
    ]
    warned = [
        {
            "index": index,
            "event_id": _event_id(verdict.event),
            **verdict.model_dump(include={"warnings", "quality_score"}),
        }
        for index, verdict in enumerate(verdicts)
        if verdict.event is not None and verdict.warnings
    ]
    data = {"processed": len(verdicts), "valid": len(valid), "rejected": rejected, "warned": warned, "ids": ids}
    return success({**data, "latency_ms": _ms(began)})


async def _verdicts(here: Context, events: list[Any], field: str, trace: Trace) -> list[Verdict]:
    """One verdict an event, in order; `field` is where they stood in the body."""
    if not events:
        return []
    question = _question(events, field)
    answer = await here.questions.ask(REQUESTS_DATA.name, question, trace.question_id(question), trace.context)
    verdicts = Verdicts.model_validate_json(answer).verdicts
    if len(verdicts) != len(events):
        raise RuntimeError(f"{len(verdicts)} verdicts for {len(events)} events")
    return verdicts


def _question(events: list[Any], field: str) -> bytes:
    """The question about these events, as JSON that whoever answers can read.

    Raises:
        ApiError: they nest too deeply for that: a question has more levels than the body had, and parsers know a limit.
    """
    question = ValidateEvents(op="validate_events", events=events).model_dump_json().encode()
    try:
        ValidateEvents.model_validate_json(question)
    except ValidationError:
        raise invalid(field, "lists and objects nest too deeply in it", "fewer levels (100 always do)") from None
    return question


async def _produced(
    here: Context, events: list[tuple[int, dict[str, Any]]], trace: Trace
) -> tuple[list[dict[str, Any]], dict[int, Exception]]:
    """Where each event lies in the topic, and why Kafka did not acknowledge the others, by index."""
    headers: Headers = [*trace.carried, ("content-type", b"application/json")]
    acknowledgements: list[Any] = []
    ids: list[dict[str, Any]] = []
    failed: dict[int, Exception] = {}
    until = time.monotonic() + SEND_TIMEOUT_S
    for number, (_, event) in enumerate(events):
        try:
            key = str(event.get("chain_id", 1)).encode()
            acknowledgements.append(await here.producer.send(CHAIN_EVENTS.name, key, to_json(event), headers, until))
        except ApiError as error:
            # The order of a chain would not hold if later ones were tried.
            failed = {index: error for index, _ in events[number:]}
            break
    if acknowledgements:
        await asyncio.wait(acknowledgements, timeout=max(0.0, until - time.monotonic()))
    for (index, event), acknowledgement in zip(events, acknowledgements, strict=False):
        result = _outcome(acknowledgement)
        if isinstance(result, KafkaError):
            failed[index] = result
        elif isinstance(result, BaseException):
            raise result
        else:
            place = {"topic": CHAIN_EVENTS.name, "partition": result.partition, "offset": result.offset}
            ids.append({"index": index, "event_id": _event_id(event), **place})
    return ids, failed


def _outcome(acknowledgement: asyncio.Future[Any]) -> Any:
    """Where the record lies, or why it lies nowhere; one that is late counts as not acknowledged, whatever becomes of it."""
    if not acknowledgement.done():
        acknowledgement.add_done_callback(lambda late: late.cancelled() or late.exception())
        return KafkaTimeoutError()
    return acknowledgement.exception() or acknowledgement.result()


def _partly(ids: list[dict[str, Any]], failed: dict[int, Exception]) -> ApiError:
    """What to say when Kafka took only some of the events, or none."""
    for index, error in failed.items():
        log.warning("event %d was not taken: %r", index, error)
    told = f"Kafka acknowledged {len(ids)} of {len(ids) + len(failed)} valid events"
    details = {"acknowledged": ids, "not_acknowledged": sorted(failed)}
    if all(isinstance(error, MessageSizeTooLargeError) for error in failed.values()):
        # No valid event comes near our limit for the topic, so the broker's is lower: `soba topics check` says so.
        return ApiError("too_large", f"{told}; it takes no records as large as the others", details)
    return unavailable(f"{told}; send the others again", details)


def _event_id(event: Any) -> Any:
    return event.get("event_id") if isinstance(event, dict) else None


def _ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)
