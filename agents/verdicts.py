"""verdicts: what the rules of validate say of events that somebody asks about over requests.data."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from agents.agent import Agent, Record, Result, Rows, from_nobody
from models.chain import reserves, rules
from tables.rows import Answer
from topics import codecs
from topics.headers import REPLY_TO, REQUEST_ID
from topics.registry import REQUESTS_DATA
from topics.schemas.requests import Fault, Verdict, Verdicts


def judge(values: Sequence[Any], now: float) -> list[Verdict]:
    """The verdict on each event, by the schema and rules that validate uses for events that come alone.

    Only warnings come of what events say of each other, and only valid ones are listened to.
    """
    verdicts = [_verdict(event, now) for event in codecs.decode_models(values)]
    valid = [(index, verdict.event) for index, verdict in enumerate(verdicts) if verdict.event is not None]
    for place, fault in reserves.warnings([event for _, event in valid]).items():
        index, event = valid[place]
        verdicts[index] = _answer([], [*verdicts[index].warnings, fault], event)
    return verdicts


def _verdict(event: Any, now: float) -> Verdict:
    context = rules.Context(now)
    if isinstance(event, codecs.Unfit):
        verdict = _answer(faults := codecs.event_faults(event.value), [])
        # What is no object, or of no known type, cannot be judged by a type's rules: no score for what it did not break.
        no_event = any(fault.field in ("", "event_type") for fault in faults)
        return verdict.model_copy(update={"quality_score": 0.0}) if no_event else verdict
    warnings = rules.unknown_fields(event, context)
    errors = list(rules.errors(event, context))
    if errors:
        return _answer(errors, list(warnings))
    return _answer([], rules.warnings(event, context), rules.plain(event))


def _answer(errors: list[Fault], warnings: list[Fault], event: dict[str, Any] | None = None) -> Verdict:
    return Verdict(
        is_valid=not errors,
        errors=errors,
        warnings=warnings,
        quality_score=rules.quality_score(errors, warnings),
        event=event,
    )


def handle(batch: Sequence[Record], rows: Rows) -> Result:
    """Answer each question, those of a batch at one time; one that does not say who asks is refused."""
    result, now = Result(), time.time()
    for record in batch:
        request_id = record.header(REQUEST_ID)
        if request_id is None:
            result.dead_letters.append(from_nobody(record))
            continue
        verdicts = Verdicts(verdicts=judge(record.value.events, now))
        result.answers.append(Answer(request_id, record.header(REPLY_TO), verdicts))
        result.warned += Counter(fault.code for verdict in verdicts.verdicts for fault in verdict.warnings)
    return result


AGENT = Agent(name="verdicts", topic=REQUESTS_DATA, handle=handle, feed="consume")
