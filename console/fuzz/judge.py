"""Whether what validate makes of a batch accounts for every element in it, and what is made of that in turn holds."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from agents import alerts, blocks, mev
from agents.agent import Agent, DeadLetter, Record, Result, Written
from agents.outlet import HANDLER_ERROR, check_sizes
from agents.validate import Validator
from agents.verdicts import judge
from models.chain.assembly import QUIET_S
from topics import codecs
from topics.headers import ORIGIN, dead_letter, get
from topics.registry import CHAIN_BLOCKS, CHAIN_EVENTS, MEV_FINDINGS, TOPICS
from topics.schemas.chain import Block
from topics.schemas.mev import Finding
from topics.schemas.requests import ValidateEvents, Verdicts

NOW = 1_760_000_000.0
"""The clock of the judge: fixed, so that an input is judged alike by every run."""
LIMIT_S = 20.0
"""What a batch may take of the CPU, whatever else the machine does: its largest inputs, of 8 MiB, take about two."""
BY_STATE = frozenset(("conflicting_duplicate", "other_fork", "too_large", "too_late", "misplaced"))
"""Reasons that depend on what came before; all others depend on the element alone."""
GOOD_FROM = 50_000_000
"""Blocks of good events have numbers from here on, where no input has any."""

T = TypeVar("T")
_NOTHING = (codecs.Unfit, codecs.Malformed)
_SCHEMAS = {name: TypeAdapter(topic.schema) for name, topic in TOPICS.items()}


class Defect(AssertionError):
    """An element that is not accounted for, or code of ours that fails on one."""


@dataclass
class Ledger:
    """What became of all inputs so far."""

    inputs: int = 0
    elements: int = 0
    taken: int = 0
    sent_on: int = 0
    good: int = 0
    batches: int = 0
    slowest_s: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def refused(self) -> int:
        """Dead letters."""
        return self.reasons.total()

    @property
    def unaccounted(self) -> int:
        """Elements that are neither taken nor refused nor sent on."""
        return self.elements - self.taken - self.refused - self.sent_on


def good_event(number: int, index: int) -> bytes:
    """A good event of a block that is nobody else's."""
    return (
        b'{"event_type":"transfer","block_number":%d,"timestamp":1700000000,"transaction_hash":"0x%064x","log_index":%d,'
        b'"contract_address":"0x%040x","from_address":"0x%040x","to_address":"0x%040x","amount_in_raw":"1"}'
    ) % (GOOD_FROM + number, number, index, 1, 2, 3)


def records(values: Sequence[bytes], partition: int = 0) -> list[Record]:
    """Values as a worker gets them, from offset 0 on."""
    return [Record(CHAIN_EVENTS.name, partition, at, b"1", [], value, None) for at, value in enumerate(values)]


def check(values: Sequence[bytes], ledger: Ledger, partitions: int = 1) -> None:
    """Have `values` judged in one batch, each third of them followed by a good event, and account for all of it.

    Raises:
        Defect: what is not as promised.
    """
    mixed: list[bytes] = []
    goods: set[int] = set()
    partition = Validator(0, partitions)._owner("1")
    for at, value in enumerate(values):
        mixed.append(value)
        if at % 3 == 0:
            goods.add(len(mixed))
            mixed.append(good_event(ledger.batches % 1_000_000, at))
    batch = records(mixed, partition)
    began = time.thread_time()
    validator = Validator(partition, partitions)
    result = _called("validate", lambda: validator.handle(batch, NOW))
    closing = _called("closing", lambda: validator.handle([], NOW + QUIET_S + 1))
    for made in (result, closing):
        _called("sizes", partial(check_sizes, made))
    took = time.thread_time() - began
    _must(took < LIMIT_S, f"a batch of {len(mixed)} took {took:.0f} s")
    final = {_id(block): block for block in map(_parsed_block, [*result.outputs, *closing.outputs])}
    counted = _accounts(batch, result, goods, final, ledger)
    for at, record in enumerate(batch):
        if at not in goods:
            _same_alone(record, result, partition, partitions)
    _downstream(result, closing)
    _restored(result, closing, partition, partitions, len(batch))
    _asked(values)
    ledger.inputs += len(values)
    ledger.good += len(goods)
    ledger.batches += 1
    ledger.elements += counted
    ledger.slowest_s = max(ledger.slowest_s, took)


def _accounts(
    batch: Sequence[Record], result: Result, goods: set[int], final: dict[tuple[int, int], Any], ledger: Ledger
) -> int:
    """Every element is in the result once; returns how many there are."""
    letters: dict[int, list[DeadLetter]] = {}
    for letter in result.dead_letters:
        _whole(letter)
        letters.setdefault(letter.record.offset, []).append(letter)
        ledger.reasons[letter.reason] += 1
    sent: dict[int, list[str]] = {}
    for output in result.sent_on:
        where = (get(output.headers, ORIGIN) or b"").decode().split("/")
        sent.setdefault(int(where[2]), []).append("/".join(where[3:]))
    told_taken = 0
    elements = 0
    gone = _replaced(batch, letters, sent)
    for at, record in enumerate(batch):
        refused, moved = letters.get(record.offset, []), sent.get(record.offset, [])
        (shape,) = codecs.decode_chain_events([record.raw])
        many = _many(shape)
        places = [letter.index or "" for letter in refused] + moved
        told = f"input {record.raw[:300]!r}: {[(one.reason, one.index) for one in refused]}, sent on {moved}"
        _must(len(places) == len(set(places)), f"an element is told twice: {told}")
        if at in goods:
            _must(not refused, f"a good neighbour was refused: {told}")
        if "" in places:  # the record as a whole
            _must(places == [""], f"refused as a whole and in parts: {told}")
            elements += 1
            continue
        _must(len(places) <= many, f"{many} elements, {len(places)} told of: {told}")
        if isinstance(shape, codecs.Envelope):
            in_events = sum(not one.startswith("transactions/") for one in places)
            removed = shape.status == "removed"  # what stands in it is not asked for
            many = 1 if removed else many
            told_taken += 1 if removed else len(shape.events) - in_events
        else:
            told_taken += many - len(places)
        elements += many
        ledger.taken += many - len(places)
        for place_of, event in _events(shape):
            if place_of not in places:
                _must(not isinstance(event, _NOTHING), f"{event} was taken without a word: {told}")
                _in_its_block(shape, event, at, gone, final)
    moved_on = sum(map(len, sent.values()))
    _must(
        result.taken.total() == told_taken + moved_on,
        f"{result.taken} were told as taken, {told_taken} and {moved_on} sent on are left of {[r.raw[:200] for r in batch]!r}",
    )
    ledger.sent_on += moved_on
    return elements


def _many(shape: Any) -> int:
    if isinstance(shape, codecs.Envelope):
        return len(shape.events) + len(shape.transactions or [])
    return len(shape) if isinstance(shape, list) else 1


def _events(shape: Any) -> list[tuple[str, Any]]:
    """The events of a value with their places, as far as it has any."""
    if isinstance(shape, codecs.Envelope):
        return [] if shape.status == "removed" else [(str(at), one) for at, one in enumerate(shape.events)]
    if isinstance(shape, list):
        return [(str(at), one) for at, one in enumerate(shape)]
    return [("", shape)]


def _replaced(batch: Sequence[Record], letters: dict[int, Any], sent: dict[int, Any]) -> dict[tuple[int, int], int]:
    """By block, the last place in the batch of an envelope that stands for all of it."""
    out: dict[tuple[int, int], int] = {}
    for at, record in enumerate(batch):
        (shape,) = codecs.decode_chain_events([record.raw])
        if not isinstance(shape, codecs.Envelope) or shape.status == "partial" or record.offset in sent:
            continue
        if not any(one.index is None for one in letters.get(record.offset, [])):
            out[shape.chain_id, shape.number] = at
    return out


def _in_its_block(
    shape: Any, event: Any, at: int, gone: dict[tuple[int, int], int], final: dict[tuple[int, int], Any]
) -> None:
    """A taken event is in its block, unless a later envelope stands for all of that."""
    fields = event if isinstance(event, dict) else event.__dict__
    envelope = shape if isinstance(shape, codecs.Envelope) else None
    block = (envelope.chain_id, envelope.number) if envelope else (fields.get("chain_id") or 1, fields["block_number"])
    if gone.get(block, -1) > at:
        return
    log_index = fields.get("log_index")
    name = (fields["transaction_hash"].lower(), log_index) if log_index is not None else ("", fields.get("event_id"))
    held = final.get(block)
    there = held is not None and any(_name(one) == name for one in held["events"])
    _must(there, f"{name} was taken and is not in block {block}")


def _name(event: dict[str, Any]) -> tuple[str, Any]:
    if "log_index" in event:
        return event["transaction_hash"], event["log_index"]
    return "", event["event_id"]


def _whole(letter: DeadLetter) -> None:
    """A dead letter says why, and keeps the bytes."""
    _must(bool(letter.reason) and letter.reason != HANDLER_ERROR, f"dead letter {letter.reason!r}")
    _must(bool(letter.detail), f"dead letter {letter.reason} does not say why")
    _must(
        letter.raw == letter.record.raw if letter.index is None else letter.raw in letter.record.raw,
        f"dead letter {letter.reason} {letter.index} of {letter.record.raw[:300]!r} has other bytes: {letter.raw[:300]!r}",
    )
    record = letter.record
    _called(
        "headers",
        lambda: dead_letter(
            topic=record.topic, partition=record.partition, offset=record.offset, index=letter.index, reason=letter.reason,
            field=letter.field, detail=letter.detail, agent="validate",
        ),
    )  # fmt: skip


def _verdicts(letters: Sequence[DeadLetter]) -> list[tuple[Any, ...]]:
    return [(one.index, one.reason, one.field, one.raw) for one in letters if one.reason not in BY_STATE]


def _same_alone(record: Record, result: Result, partition: int, partitions: int) -> None:
    """What refuses an element depends on its neighbours only where it must."""
    here = [one for one in result.dead_letters if one.record.offset == record.offset]
    if any(one.index is None and one.reason in BY_STATE for one in here):
        return
    alone = _called("alone", lambda: Validator(partition, partitions).handle([record], NOW))
    _must(
        _verdicts(here) == _verdicts(alone.dead_letters),
        f"{record.raw[:300]!r}: {_verdicts(here)} among others, {_verdicts(alone.dead_letters)} alone",
    )


def _parsed_block(output: Any) -> dict[str, Any]:
    found: dict[str, Any] = from_json(output.value)
    return found


def _id(block: dict[str, Any]) -> tuple[int, int]:
    return block["chain_id"], block["number"]


def _downstream(*results: Result) -> None:
    """Whoever reads what was given out can read it, and do its work with it."""
    for result in results:
        for output in (*result.outputs, *result.after):
            _called(f"reading {output.topic}", partial(_SCHEMAS[output.topic].validate_json, output.value))
        taken = [
            Record(CHAIN_BLOCKS.name, 0, at, one.key, one.headers, one.value, Block.model_validate_json(one.value))
            for at, one in enumerate(result.outputs)
        ]
        if not taken:
            continue
        _handled(blocks.AGENT, taken)
        found = _handled(mev.AGENT, taken)
        told = [
            Record(MEV_FINDINGS.name, 0, at, one.key, one.headers, one.value, Finding.model_validate_json(one.value))
            for at, one in enumerate(found.outputs)
        ]
        if told:
            _handled(alerts.AGENT, told)


def _handled(agent: Agent, batch: list[Record]) -> Result:
    result = _called(agent.name, lambda: agent.call(batch, dict.fromkeys(agent.keys(batch)), {}))
    _called(f"sizes of {agent.name}", lambda: check_sizes(result))
    return result


def _restored(result: Result, closing: Result, partition: int, partitions: int, end: int) -> None:
    """A restart can take up what was written, wherever it was broken off."""
    tail = [
        Written((get(one.headers, "ce_id") or b"").decode(), one.headers, one.value)
        for one in (*result.outputs, *closing.outputs)
    ]
    for committed in (0, end):
        _called("restore", partial(Validator(partition, partitions).restore, tail, committed))


def _asked(values: Sequence[bytes]) -> None:
    """The same as a question over HTTP: a verdict on each, and the one that validate has."""
    events = []
    for value in values:
        (shape,) = codecs.decode_chain_events([value])
        if not isinstance(shape, codecs.Malformed | codecs.Envelope | list):
            events.append((value, from_json(value)))
    if not events:
        return
    events = [(value, event) for value, event in events if _askable(event)]
    verdicts = _called("verdicts", lambda: judge([event for _, event in events], NOW))
    _must(len(verdicts) == len(events), f"{len(verdicts)} verdicts on {len(events)} events")
    answer = _called("answer", lambda: Verdicts(verdicts=verdicts).model_dump_json().encode())
    _called("reading the answer", lambda: Verdicts.model_validate_json(answer))
    for (value, event), verdict in zip(events, verdicts, strict=True):
        if isinstance(event, dict) and "events" in event:
            continue  # an envelope that is none: asked about, it is an event with a field too many
        alone = Validator(0, 1).handle(records([value]), NOW)
        _must(
            verdict.is_valid == (not alone.dead_letters),
            f"{value[:300]!r}: valid over HTTP: {verdict.is_valid}, over Kafka: {[one.detail for one in alone.dead_letters]}",
        )
        _called("normal form", partial(to_json, verdict.event))


def _askable(event: Any) -> bool:
    """Whether the facade would ask: a question has two levels more than the event, and parsers know a limit."""
    try:
        ValidateEvents.model_validate_json(ValidateEvents(op="validate_events", events=[event]).model_dump_json())
    except ValidationError:
        return False
    return True


def _must(holds: bool, why: str) -> None:
    if not holds:
        raise Defect(why)


def _called(what: str, call: Callable[[], T]) -> T:
    try:
        return call()
    except Exception as error:
        raise Defect(f"{what} raises {type(error).__name__}: {str(error)[:500]}") from error
