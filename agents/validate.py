"""validate: chain.events in, validated blocks and their views out.

The one agent with state: an `Assembly` a partition. Records are parsed in bulk, judged by the rules, merged into blocks; at the
end of a batch the blocks that close are written to chain.blocks, and once those are confirmed, cut into views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from agents import judged, resumed
from agents.agent import Output, Partitioned, Record, Result, Written
from agents.refused import REFUSED, Bytes, fault, index_of, refuse
from models.chain import rules, views
from models.chain.assembly import Assembly
from models.chain.held import HEADER_FIELDS, Held
from topics import codecs
from topics.headers import HELD, ORIGIN, REROUTED, carry, cloud_event, history, place
from topics.partition import Owners
from topics.registry import CHAIN_BLOCKS, CHAIN_EVENTS, PAIR_TRADES, WALLET_ACTIVITY
from topics.schemas.requests import Fault

NAME = "validate"


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
            chain_id, number, revision = resumed.named(written.id)
            self.assembly.restore(chain_id, number, revision, written.value, committed)
        for held in sorted(self.assembly.restored(resumed.cut(tail, committed)), key=lambda held: held.revision):
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
                self._send_on(result, Bytes(record), run.chain_id, None)
            return
        offsets = [record.offset for record in run.records]
        verdicts = self.assembly.events(run.chain_id, run.number, run.events, offsets, now)
        if (new := verdicts.count("new")) < len(verdicts):
            for record, verdict in zip(run.records, verdicts, strict=True):
                if verdict in REFUSED:
                    refuse(result, Bytes(record), [fault(verdict)])
                elif verdict != "new":
                    result.taken[verdict] += 1
        if new:
            result.taken["new"] += new

    def _take(self, record: Record, value: Any, alone: rules.Context, result: Result) -> None:
        raw = Bytes(record, value)
        if isinstance(value, codecs.Envelope):
            self._envelope(raw, value, alone.now, result)
        elif isinstance(value, list):
            self._array(raw, value, alone, result)
        elif isinstance(value, codecs.Malformed):
            refuse(result, raw, [Fault(field="", code="malformed_json", message=value.detail)])
        else:
            event, faults = judged.settled(value, alone, judged.ALONE)
            if faults:
                refuse(result, raw, faults)
            else:
                self._event(raw, event, alone.now, result, None)

    def _array(self, raw: Bytes, elements: Sequence[Any], context: rules.Context, result: Result) -> None:
        good, bad = judged.judge(elements, context, judged.ALONE)
        if len(bad) > judged.MOST_FAULTS:
            return refuse(result, raw, [judged.too_many(bad, len(elements))])
        for index, faults in bad:
            refuse(result, raw, faults, index)
        for index, event in zip(judged.places(len(elements), bad), good, strict=True):
            self._event(raw, event, context.now, result, index)
        return None

    def _event(self, raw: Bytes, event: dict[str, Any], now: float, result: Result, index: int | None) -> None:
        """Take one valid event that came alone or in an array."""
        chain_id = event.get("chain_id", 1)
        if not self._ours(chain_id):
            return self._send_on(result, raw, chain_id, index)
        (verdict,) = self.assembly.events(chain_id, event["block_number"], [event], [raw.record.offset], now)
        if verdict in REFUSED:
            return refuse(result, raw, [fault(verdict)], index)
        result.taken[verdict] += 1
        return None

    def _envelope(self, raw: Bytes, envelope: codecs.Envelope, now: float, result: Result) -> None:
        faults = rules.header_errors(envelope, now)
        if faults:
            return refuse(result, raw, faults)
        if envelope.hash is None:
            envelope.hash = judged.hash_of(envelope, now)
        chain_id, number, offset = envelope.chain_id, envelope.number, raw.record.offset
        if not self._ours(chain_id):
            return self._send_on(result, raw, chain_id, None)
        header = {name: value for name in HEADER_FIELDS if (value := getattr(envelope, name)) is not None}
        if envelope.status == "removed":
            verdict = self.assembly.removed(chain_id, number, envelope.hash, offset, now)
            if verdict in REFUSED:
                return refuse(result, raw, [fault(verdict)])
            result.taken[verdict] += 1
            return None
        context = rules.Context(now, chain_id, number, envelope.hash, header.get("timestamp"))
        events, refused = judged.judge(envelope.events, context, judged.EVENT)
        transactions, bad_transactions = judged.judge(envelope.transactions or [], context, judged.TRANSACTION)
        if len(refused) + len(bad_transactions) > judged.MOST_FAULTS:
            many = len(envelope.events) + len(envelope.transactions or [])
            return refuse(result, raw, [judged.too_many(refused or bad_transactions, many)])
        merge = self.assembly.complete if envelope.status == "complete" else self.assembly.partial
        verdict, conflicts = merge(
            chain_id, number, header, transactions, events,
            len(refused) + len(bad_transactions), offset, now,
        )  # fmt: skip
        if verdict in REFUSED:
            return refuse(result, raw, [fault(verdict)])
        if verdict == "replayed":  # its dead letters were confirmed before the block; perhaps it was refused as a whole
            result.taken[verdict] += len(events)
            return None
        if conflicts:
            places = judged.places(len(envelope.events), refused)
            refused += [(places[place], [fault("conflicting_duplicate")]) for place in conflicts]
        for index, why in refused:
            refuse(result, raw, why, index, "events")
        for index, why in bad_transactions:
            refuse(result, raw, why, index, "transactions")
        result.taken[verdict] += len(events) - len(conflicts)
        return None

    def _ours(self, chain_id: int) -> bool:
        return self._owner(str(chain_id)) == self.partition

    def _send_on(self, result: Result, raw: Bytes, chain_id: int, index: int | None) -> None:
        """Send a misplaced element to the partition of its chain, once."""
        if raw.record.header(REROUTED):
            return refuse(result, raw, [fault("misplaced", "chain_id")], index)
        value, most = raw.of(index), CHAIN_EVENTS.max_bytes
        if len(value) > most:  # the broker's own limit leaves room for headers
            why = f"{len(value):,} bytes, and {CHAIN_EVENTS.name} takes {most:,}"
            return refuse(result, raw, [Fault(field="", code="too_large", message=why)], index)
        headers = [*carry(raw.record.headers), *history(raw.record.headers)]
        # A replay sends it again: where it first stood is what keeps its dead letters the same ones.
        origin = (
            ORIGIN,
            place(raw.record.topic, raw.record.partition, raw.record.offset, index_of(index, "")).encode(),
        )
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


def _block_id(held: Held) -> str:
    return f"{held.chain_id}:{held.number}:{held.revision}"


AGENT = Partitioned(
    name=NAME,
    topic=CHAIN_EVENTS,
    make=Validator,
    restored_from=CHAIN_BLOCKS,
    tail=4_096,
    enough=resumed.enough,
    made_at=resumed.made_at,
)
