"""validate: chain.events in, validated blocks and their views out.

The one agent with state: an `Assembly` a partition. Records are parsed in bulk, judged by the rules, merged into blocks; at the
end of a batch the blocks that close are written to chain.blocks, and once those are confirmed, cut into views.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from agents.agent import DeadLetter, Output, Partitioned, Record, Result, Written
from models.chain import rules, views
from models.chain.assembly import HELD_BLOCKS, Assembly
from models.chain.held import HEADER_FIELDS, Held
from topics import codecs
from topics.headers import HELD, ORIGIN, REROUTED, carry, cloud_event, get, history, place
from topics.partition import Owners
from topics.registry import CHAIN_BLOCKS, CHAIN_EVENTS, PAIR_TRADES, WALLET_ACTIVITY
from topics.schemas.requests import Fault

NAME = "validate"
REFUSED = {
    "conflicting_duplicate": "another event of this transaction and log index is already there and says something else",
    "other_fork": "the block held under this number has another hash",
    "too_large": "its block would be assembled of more than 5,000 events or transactions; send it as a complete envelope",
    "too_many_chains": "its partition holds blocks of 1,024 other chains; spread chains over more partitions",
    "too_late": "512 newer blocks of its chain are held",
    "misplaced": "sent to its chain's partition once and still not there; its producer must use murmur2_random",
}


MOST_FAULTS = 1_000
"""So many elements of a record may be refused each for itself; where there are more, the record is refused as one."""


class Validator:
    """validate's state for one partition of chain.events."""

    def __init__(self, partition: int, partitions: int) -> None:
        self.partition = partition
        self.partitions = partitions
        self.assembly = Assembly()
        self._owner = Owners(partitions).__getitem__
        self.hours: dict[int, int] = {}
        """The newest chain hour that was told to the views, by chain."""

    # What the runtime calls

    def restore(self, tail: Sequence[Written], committed: int) -> Result:
        """Take back this partition's tail of chain.blocks; return the views that may not have been sent.

        `committed` is the offset up to which chain.events was done with: views of blocks below it are confirmed.
        """
        result = Result()
        for written in tail:
            chain_id, number, revision = _named(written.id)
            self.assembly.restore(chain_id, number, revision, written.value, committed)
        for held in sorted(self.assembly.restored(_cut(tail, committed)), key=lambda held: held.revision):
            if held.revision >= committed:
                self._views(result, held, orjson.loads(held.emitted or b""))
            elif (timestamp := held.header.get("timestamp")) is not None:
                self._note_hour(held.chain_id, timestamp)
        return result

    def handle(self, batch: Sequence[Record], now: float) -> Result:
        """Judge and merge a batch, which may be empty, and close what closes at `now` (unix seconds)."""
        result = Result()
        alone = rules.Context(now)
        run = _Run()
        for record, value in zip(batch, codecs.decode_chain_events([r.raw for r in batch]), strict=True):
            if value.__class__ is dict and rules.keeps(value, alone):
                if value["block_number"] != run.number or value.get("chain_id", 1) != run.chain_id:
                    self._merge(run, now, result)
                    run = _Run(value.get("chain_id", 1), value["block_number"])
                run.records.append(record)
                run.events.append(value)
            else:
                self._merge(run, now, result)
                run = _Run()
                self._take(record, value, alone, result)
        self._merge(run, now, result)
        for held in self.assembly.closing(now):
            self._emit(held, result)
        return result

    def floor(self) -> int | None:
        """The lowest offset still needed; None when everything handled is in chain.blocks."""
        return self.assembly.floor()

    # Taking in

    def _merge(self, run: _Run, now: float, result: Result) -> None:
        """Merge a run, the common case of validate: single events of one block, one after another."""
        if not run.records:
            return
        if not self._ours(run.chain_id):
            for record in run.records:
                self._send_on(result, _Bytes(record), run.chain_id, None)
            return
        offsets = [record.offset for record in run.records]
        verdicts = self.assembly.events(run.chain_id, run.number, run.events, offsets, now)
        for record, verdict in zip(run.records, verdicts, strict=True):
            if verdict in REFUSED:
                _refuse(result, _Bytes(record), [_fault(verdict)])
            else:
                result.taken[verdict] += 1

    def _take(self, record: Record, value: Any, alone: rules.Context, result: Result) -> None:
        raw = _Bytes(record, value)
        if isinstance(value, codecs.Envelope):
            self._envelope(raw, value, alone.now, result)
        elif isinstance(value, list):
            self._array(raw, value, alone, result)
        elif isinstance(value, codecs.Malformed):
            _refuse(result, raw, [Fault(field="", code="malformed_json", message=value.detail)])
        else:
            event, faults = _settled(value, alone, _ALONE)
            if faults:
                _refuse(result, raw, faults)
            else:
                self._event(raw, event, alone.now, result, None)

    def _array(self, raw: _Bytes, elements: Sequence[Any], context: rules.Context, result: Result) -> None:
        good, bad = _judge(elements, context, _ALONE)
        if len(bad) > MOST_FAULTS:
            return _refuse(result, raw, [_too_many(bad, len(elements))])
        for index, faults in bad:
            _refuse(result, raw, faults, index)
        for index, event in good:
            self._event(raw, event, context.now, result, index)
        return None

    def _event(self, raw: _Bytes, event: dict[str, Any], now: float, result: Result, index: int | None) -> None:
        """Take one valid event that came alone or in an array."""
        chain_id = event.get("chain_id", 1)
        if not self._ours(chain_id):
            return self._send_on(result, raw, chain_id, index)
        (verdict,) = self.assembly.events(chain_id, event["block_number"], [event], [raw.record.offset], now)
        if verdict in REFUSED:
            return _refuse(result, raw, [_fault(verdict)], index)
        result.taken[verdict] += 1
        return None

    def _envelope(self, raw: _Bytes, envelope: codecs.Envelope, now: float, result: Result) -> None:
        faults = rules.header_errors(envelope, now)
        if faults:
            return _refuse(result, raw, faults)
        if envelope.hash is None:
            envelope.hash = hash_of(envelope, now)
        chain_id, number, offset = envelope.chain_id, envelope.number, raw.record.offset
        if not self._ours(chain_id):
            return self._send_on(result, raw, chain_id, None)
        header = {name: value for name in HEADER_FIELDS if (value := getattr(envelope, name)) is not None}
        if envelope.status == "removed":
            verdict = self.assembly.removed(chain_id, number, envelope.hash, offset, now)
            if verdict in REFUSED:
                return _refuse(result, raw, [_fault(verdict)])
            result.taken[verdict] += 1
            return None
        context = rules.Context(now, chain_id, number, envelope.hash, header.get("timestamp"))
        events, refused = _judge(envelope.events, context, _EVENT)
        transactions, bad_transactions = _judge(envelope.transactions or [], context, _TRANSACTION)
        if len(refused) + len(bad_transactions) > MOST_FAULTS:
            many = len(envelope.events) + len(envelope.transactions or [])
            return _refuse(result, raw, [_too_many(refused or bad_transactions, many)])
        merge = self.assembly.complete if envelope.status == "complete" else self.assembly.partial
        verdict, conflicts = merge(
            chain_id, number, header, [t for _, t in transactions], [e for _, e in events],
            len(refused) + len(bad_transactions), offset, now,
        )  # fmt: skip
        if verdict in REFUSED:
            return _refuse(result, raw, [_fault(verdict)])
        if verdict == "replayed":  # its dead letters were confirmed before the block; perhaps it was refused as a whole
            result.taken[verdict] += len(events)
            return None
        refused += [(events[place][0], [_fault("conflicting_duplicate")]) for place in conflicts]
        for index, why in refused:
            _refuse(result, raw, why, index, "events")
        for index, why in bad_transactions:
            _refuse(result, raw, why, index, "transactions")
        result.taken[verdict] += len(events) - len(conflicts)
        return None

    def _ours(self, chain_id: int) -> bool:
        return self._owner(str(chain_id)) == self.partition

    def _send_on(self, result: Result, raw: _Bytes, chain_id: int, index: int | None) -> None:
        """Send a misplaced element to the partition of its chain, once."""
        if raw.record.header(REROUTED):
            return _refuse(result, raw, [_fault("misplaced", "chain_id")], index)
        value, most = raw.of(index), CHAIN_EVENTS.max_bytes
        if len(value) > most:  # the broker's own limit leaves room for headers
            why = f"{len(value):,} bytes, and {CHAIN_EVENTS.name} takes {most:,}"
            return _refuse(result, raw, [Fault(field="", code="too_large", message=why)], index)
        headers = [*carry(raw.record.headers), *history(raw.record.headers)]
        # A replay sends it again: where it first stood is what keeps its dead letters the same ones.
        origin = (ORIGIN, place(raw.record.topic, raw.record.partition, raw.record.offset, _index(index, "")).encode())
        key = str(chain_id).encode()
        result.sent_on.append(Output(CHAIN_EVENTS.name, key, value, [*headers, (REROUTED, b"1"), origin]))
        result.taken["rerouted"] += 1
        return None

    # Giving out

    def _emit(self, held: Held, result: Result) -> None:
        block = held.block()
        value = orjson.dumps(block)
        self.assembly.closed(held, value)
        lowest, count = self.assembly.window(held.chain_id)
        headers = [*cloud_event(_block_id(held), NAME, "soba.block"), (HELD, b"%d:%d" % (lowest, count))]
        result.outputs.append(Output(CHAIN_BLOCKS.name, str(held.chain_id).encode(), value, headers, self.partition))
        self._views(result, held, block)

    def _views(self, result: Result, held: Held, block: dict[str, Any]) -> None:
        """Queue the views of a block that is, or will be first, in chain.blocks."""
        for past in held.earlier:
            held.named |= views.names(orjson.loads(past))
        held.earlier.clear()
        for topic, records in (
            (PAIR_TRADES, views.pair_records(block, held.named, self._owner)),
            (WALLET_ACTIVITY, views.wallet_records(block, held.named, self._owner)),
        ):
            for number, value in records.items():
                headers = cloud_event(f"{_block_id(held)}:{number}", NAME, f"soba.{topic.name}")
                result.after.append(Output(topic.name, str(number).encode(), orjson.dumps(value), headers, number))
        timestamp = held.header.get("timestamp")
        if timestamp is not None and self._note_hour(held.chain_id, timestamp):
            self._tell_hour(result, held.chain_id, timestamp, held.revision)

    def _note_hour(self, chain_id: int, timestamp: int) -> bool:
        """Whether `timestamp` begins a newer hour of the chain."""
        if timestamp // views.HOUR_S <= self.hours.get(chain_id, -1):
            return False
        self.hours[chain_id] = timestamp // views.HOUR_S
        return True

    def _tell_hour(self, result: Result, chain_id: int, timestamp: int, revision: int) -> None:
        for topic, part in ((PAIR_TRADES, "pairs"), (WALLET_ACTIVITY, "wallets")):
            value = orjson.dumps(views.clock_record(chain_id, timestamp, revision, part))
            for number in range(self.partitions):
                headers = cloud_event(
                    f"{chain_id}:clock:{timestamp // views.HOUR_S}:{number}", NAME, f"soba.{topic.name}"
                )
                result.after.append(Output(topic.name, str(number).encode(), value, headers, number))


@dataclass(slots=True)
class _Run:
    """Records that hold one valid event each, all of one block."""

    chain_id: int = 1
    number: int = -1
    records: list[Record] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)


class _Bytes:
    """The bytes of a record and of its elements, which are looked for only when one is refused or sent on."""

    def __init__(self, record: Record, parsed: Any = None) -> None:
        self.record = record
        self._parsed = parsed
        self._slices: dict[str, list[bytes]] = {}

    def of(self, index: int | None, part: str = "") -> bytes:
        """The element at `index` of the array `part` ("": the record is the array); None: the whole record."""
        if index is None:
            return self.record.raw
        if part not in self._slices:
            self._slices[part] = codecs.element_slices(self.record.raw, self._parsed, *([part] if part else []))
        return self._slices[part][index]


def _refuse(result: Result, raw: _Bytes, faults: Sequence[Fault], index: int | None = None, part: str = "") -> None:
    detail = "; ".join(f"{fault.field}: {fault.message}" if fault.field else fault.message for fault in faults)
    first, where = faults[0], _index(index, part)
    result.dead_letters.append(DeadLetter(raw.record, first.code, first.field, detail, raw.of(index, part), where))


def hash_of(envelope: codecs.Envelope, now: float) -> str | None:
    """The block hash that an envelope does not say, by its first valid event that does."""
    context = rules.Context(now, envelope.chain_id, envelope.number, None, envelope.timestamp)
    for element in envelope.events:
        if element.__class__ is codecs.Unfit:
            continue
        event, faults = _settled(element, context, _EVENT)
        if not faults and "block_hash" in event:
            return str(event["block_hash"])
    return None


def _index(index: int | None, part: str) -> str | None:
    """An element's place in its record, as headers say it: its number, `transactions/` before it where it is no event."""
    return None if index is None else f"{part}/{index}" if part == "transactions" else str(index)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How elements of a kind are judged: the short way for those in normal form, and the long way that says why."""

    keeps: Callable[[Any, rules.Context], bool]
    model: Callable[[Any], Any]
    errors: Callable[[Any, rules.Context], Sequence[Fault]]
    faults: Callable[[Any], Sequence[Fault]]


_EVENT = _Kind(rules.keeps, codecs.event_model, rules.errors, codecs.event_faults)
_ALONE = _Kind(rules.keeps, codecs.event_model, rules.errors, codecs.value_faults)
"""Events that stand in no envelope: what is none may be a whole envelope with a fault."""
_TRANSACTION = _Kind(
    rules.transaction_keeps, codecs.transaction_model, rules.transaction_errors, codecs.transaction_faults
)


def _settled(element: Any, context: rules.Context, kind: _Kind) -> tuple[Any, Sequence[Fault]]:
    """A decoded element in normal form, and what refuses it."""
    if element.__class__ is dict:
        if kind.keeps(element, context):
            return element, rules.FINE
        element = kind.model(element)
    elif element.__class__ is codecs.Unfit:
        return None, kind.faults(element.value)
    faults = kind.errors(element, context)
    return (None, faults) if faults else (rules.plain(element), rules.FINE)


def _judge(
    elements: Sequence[Any], context: rules.Context, kind: _Kind
) -> tuple[list[tuple[int, Any]], list[tuple[int, Sequence[Fault]]]]:
    """Elements with their places: the valid ones in normal form, and the refused ones with their faults.

    It ends at the first refused one beyond `MOST_FAULTS`.
    """
    good, bad = [], []
    keeps = kind.keeps
    for index, element in enumerate(elements):
        if element.__class__ is dict and keeps(element, context):
            good.append((index, element))
            continue
        found, faults = _settled(element, context, kind)
        if faults:
            bad.append((index, faults))
            if len(bad) > MOST_FAULTS:
                break
        else:
            good.append((index, found))
    return good, bad


def _too_many(bad: Sequence[tuple[int, Sequence[Fault]]], elements: int) -> Fault:
    """Why a record of so many `elements` is refused as one."""
    index, (first, *_) = bad[0]
    message = f"more than {MOST_FAULTS:,} of its {elements:,} elements are refused, so none is taken; send it again without them"
    return Fault(
        field="", code=codecs.TOO_MANY_FAULTS, message=f"{message} (the first, {index}: {first.code}: {first.message})"
    )


def _block_id(held: Held) -> str:
    return f"{held.chain_id}:{held.number}:{held.revision}"


def _fault(verdict: str, field: str = "") -> Fault:
    return Fault(field=field, code=verdict, message=REFUSED[verdict])


def _named(id: str) -> tuple[int, int, int]:
    """Chain id, number and revision of a record of chain.blocks, by its `ce_id`."""
    chain_id, number, revision = map(int, id.split(":"))
    return chain_id, number, revision


def made_at(id: str) -> int:
    """The offset in chain.events at which a record of chain.blocks with this `ce_id` was made: its revision."""
    return _named(id)[2]


def _cut(tail: Sequence[Written], committed: int) -> set[int]:
    """The chains of which the tail may lack a block that late events can still change.

    Every record says how many those were when it was written, and which was the lowest. What counts is how it stood at `committed`.
    """
    numbers: dict[int, set[int]] = {}
    windows: dict[int, bytes | None] = {}
    for written in tail:
        chain_id, number, revision = _named(written.id)
        if revision < committed or chain_id not in windows:
            numbers.setdefault(chain_id, set()).add(number)
            windows[chain_id] = get(written.headers, HELD)
    cut = set()
    for chain_id, window in windows.items():
        lowest, count = map(int, (window or b"0:%d" % HELD_BLOCKS).split(b":"))
        if sum(number >= lowest for number in numbers[chain_id]) < count:
            cut.add(chain_id)
    return cut


def enough(tail: Sequence[Written], committed: int) -> bool:
    """Whether the last records of chain.blocks are all that a restart needs.

    They hold all blocks of every chain that late events can change, and begin well before those whose views may be missing.
    """
    revisions = [made_at(written.id) for written in tail]
    older = revisions[: len(revisions) // 2]
    return not _cut(tail, committed) and max(older, default=-1) < committed


AGENT = Partitioned(
    name=NAME,
    topic=CHAIN_EVENTS,
    make=Validator,
    restored_from=CHAIN_BLOCKS,
    tail=4_096,
    enough=enough,
    made_at=made_at,
)
