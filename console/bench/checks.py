"""That candidates do the work they are timed for: what they refuse and keep of a small input, read back from the topics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from confluent_kafka import Message

from agents.agent import Record
from agents.validate import Validator
from base.settings import ROOT
from console.bench.events import BLOCK_BAD, BlockOf200
from console.bench.race import Candidate, begin, running
from console.bench.stage import Stage
from ingest.files import read_blocks
from topics.clients import headers_of
from topics.headers import get
from topics.registry import CHAIN_BLOCKS, CHAIN_EVENTS

CHECK_BLOCKS = 60
END_S = 90.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a candidate made of the input."""

    planted: int
    caught: int
    """Planted ones that are in the dead letters with their reason and their bytes."""
    refused: int
    """Dead letters that nobody planted."""
    missing: int
    """Valid events that are not in the output, or more than once."""


def check(stage: Stage, candidate: Candidate, form: str, made: list[BlockOf200]) -> Verdict:
    """Have a candidate do what chain.events holds (`made`) to its end, and compare."""
    begin(stage, candidate)
    planted = Counter(
        (value, reason) for block in made for value, reason in zip(block.values, block.reasons, strict=True) if reason
    )
    good = Counter(
        str(orjson.loads(value)["transaction_hash"])
        for block in made
        for value, reason in zip(block.values, block.reasons, strict=True)
        if not reason
    )
    records = len(made) if candidate.good_of(form) > 1 else sum(good.values())
    tag = f"check-{form}-{candidate.name}"
    with (
        stage.probe(CHAIN_EVENTS.dlq) as letters,
        stage.probe(candidate.topic) as out,
        running(stage, candidate, form, tag),
    ):
        give_up_at = time.monotonic() + END_S
        while time.monotonic() < give_up_at:
            if letters.count() >= BLOCK_BAD * len(made) and out.count() >= records:
                break
            time.sleep(0.2)
        time.sleep(3)  # for what nobody waits for
    said = Counter(
        (message.value() or b"", (get(headers_of(message), "dlq.reason") or b"").decode())
        for message in stage.read(CHAIN_EVENTS.dlq)
    )
    kept = Counter(_kept(candidate, stage.read(candidate.topic)))
    wrong = (kept - good) + (good - kept)
    return Verdict(planted.total(), (planted & said).total(), (said - planted).total(), wrong.total())


def _kept(candidate: Candidate, messages: Iterable[Message]) -> Iterable[str]:
    """Transaction hashes, each of one event. Of a block only its last revision counts, as for every reader of chain.blocks."""
    values: list[dict[str, Any]] = [orjson.loads(message.value() or b"") for message in messages]
    if candidate.topic == CHAIN_BLOCKS.name:
        newest: dict[int, dict[str, Any]] = {}
        for block in values:
            if block["revision"] >= newest.get(block["number"], {}).get("revision", -1):
                newest[block["number"]] = block
        values = list(newest.values())
    for value in values:
        for event in value.get("events", [value]):
            yield event["transaction_hash"]


def real_events_refused() -> tuple[int, int]:
    """Events of the shipped real blocks, each in its envelope and alone, and how many of them validate refuses."""
    events = refused = 0
    for decoded in read_blocks(ROOT / "samples" / "blocks"):
        block = orjson.loads(decoded.block.model_dump_json(exclude_none=True))
        head = {"chain_id": block["chain_id"], "block_number": block["number"]}
        if "timestamp" in block:
            head["timestamp"] = block["timestamp"]
        # Of some blocks nobody told the time, without which no event can come alone.
        alone = [orjson.dumps({**event, **head}) for event in block["events"] if {"timestamp"} & {*event, *head}]
        for values, many in (([orjson.dumps(block)], len(block["events"])), (alone, len(alone))):
            batch = [Record(CHAIN_EVENTS.name, 0, at, b"1", [], value, None) for at, value in enumerate(values)]
            letters = Validator(0, 1).handle(batch, time.time()).dead_letters
            refused += sum(not (letter.index or "").startswith("transactions") for letter in letters)
            events += many
    return events, refused
