"""Record a value of each topic and a row of each table as today's code writes them: `.venv/bin/python -m tests.records.record`.

Run it for each release, and whenever a topic or table is added. Folders of earlier versions stay as they are: those are the records
that lie in somebody's Kafka and Redis.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter

from agents import alerts, assess, blocks, detections, mev, profiles, risk_alerts, verdicts
from agents.agent import Agent, Output, Record, Result
from agents.validate import Validator
from base.version import version
from ingest.files import read_blocks
from models.chain.assembly import QUIET_S
from models.mev import detect
from tables.registry import DRIFT, TABLES, WORKERS, DriftRow, ModelRow, WorkerRow
from tables.rows import Row
from tests import fraud
from tests.linear import CREATED, release
from topics import codecs, registry, releases
from topics.headers import REPLY_TO, REQUEST_ID
from topics.registry import TOPICS
from topics.schemas.labels import Label, Prior
from topics.schemas.lists import Listed
from topics.schemas.mev_question import DetectMev

FOLDER = Path(__file__).parent
SAMPLE = FOLDER.parents[1] / "samples" / "blocks" / "ethereum-13234998"
NOW = 1_760_000_000.0


def events() -> list[bytes]:
    """Values of chain.events: a complete envelope, an event alone, an array, and a partial envelope."""
    (one,) = read_blocks(SAMPLE)
    block: dict[str, Any] = orjson.loads(codecs.encode(one.block))
    sandwich = next(found for found in detect(one.block) if found.kind == "sandwich")
    part = {*sandwich.named()}
    block["events"] = [event for event in block["events"] if event["transaction_hash"] in part]
    block["transactions"] = [transaction for transaction in block["transactions"] if transaction["hash"] in part]
    block["timestamp"] = block.get("timestamp", 1_700_000_000)
    about = {"chain_id": 1, "timestamp": block["timestamp"]}
    alone = [{**event, **about, "block_number": block["number"] + 1} for event in block["events"][:6]]
    partial = {**block, "number": block["number"] + 2, "status": "partial", "events": block["events"][:3]}
    del partial["transactions"]
    return [orjson.dumps(value) for value in (block, alone[0], alone[1:], partial)]


def swaps() -> list[bytes]:
    """A value of swap.requests: of a request that says little, one that says all, a listed receiver, and one that is refused."""
    swap = {"fromAddress": "0x" + "a1" * 20, "toAddress": "0x" + "b0" * 20, "amount": "1.5", "txHash": "0x" + "ab" * 32}
    more = {"tokenPair": "ETH/USDC", "timestamp": 1_700_000_000, "gasPrice": "50", "slippage": 0.005, "routeLength": 3}
    listed = {**swap, "toAddress": "0x01e2919679362dfbc9ee1644ba9c6da6d6245bb1", "contractInteraction": True}
    return [orjson.dumps([swap, {**swap, **more, "chainId": 1}, listed, {**swap, "slippage": 7.5}])]


def suspicion() -> bytes:
    """A value of requests.chain, of transactions of which little is told."""
    around = [{"amount": 50, "gas_price": 45, "timestamp": 1_700_000_000, "note": "mine"}, {"amount": "50.4"}]
    target = {"amount": 10, "gas_price": 40, "timestamp": 1_700_000_001, "hash": "0x123...abc"}
    question = {"op": "detect_mev", "target_tx": target, "surrounding_txs": around}
    return DetectMev.model_validate(question).model_dump_json(exclude_none=True).encode()


def label() -> Label:
    """What an operator says of a wallet."""
    prior = Prior(level="high", probability=0.7, model="fraud/1", evidence=12, trained_on=False)
    return Label(
        chain_id=1, address="0x" + "a1" * 20, label="fraud", source="desk", group="campaign-7", labelled_at=CREATED, confidence=0.9,
        note="phishing", prior=prior,
    )  # fmt: skip


def taken(topic: str, values: Iterable[bytes], headers: Sequence[tuple[str, bytes]] = ()) -> list[Record]:
    """Values as an agent gets them."""
    schema = None if topic == registry.CHAIN_EVENTS.name else TypeAdapter(TOPICS[topic].schema)
    return [
        Record(topic, 0, at, b"1", list(headers), raw, None if schema is None else schema.validate_json(raw))
        for at, raw in enumerate(values)
    ]


def done(agent: Agent, batch: list[Record]) -> Result:
    """What an agent makes of a batch without earlier rows, by the models of tests."""
    return agent.call(batch, dict.fromkeys(agent.keys(batch)), {"fraud": fraud.model()})


def made() -> tuple[dict[str, list[bytes]], list[Row]]:
    """Values by topic, and rows, all of one small system."""
    validator = Validator(0, 1)
    results = [validator.handle(taken("chain.events", events()), NOW), validator.handle([], NOW + QUIET_S + 1)]
    values: dict[str, list[bytes]] = {"chain.events": events()}
    rows: list[Row] = []

    def keep(result: Result) -> None:
        outputs: list[Output] = [*result.outputs, *result.after]
        for output in outputs:
            values.setdefault(output.topic, []).append(output.value)
        rows.extend(result.rows)

    for result in results:
        keep(result)
    for agent in (mev.AGENT, blocks.AGENT):
        keep(done(agent, taken("chain.blocks", values["chain.blocks"])))
    keep(done(alerts.AGENT, taken("mev.findings", values["mev.findings"])))
    question = {"op": "validate_events", "events": [orjson.loads(events()[1])]}
    values["requests.data"] = [orjson.dumps(question)]
    asked = taken("requests.data", values["requests.data"], [(REQUEST_ID, b"r-1")])
    values["answers"] = [
        answer.value.model_dump_json(exclude_none=True).encode() for answer in done(verdicts.AGENT, asked).answers
    ]
    values["requests.chain"] = [suspicion()]
    asked = taken("requests.chain", values["requests.chain"], [(REQUEST_ID, b"r-3")])
    values["answers.chain"] = [
        answer.value.model_dump_json(exclude_none=True).encode() for answer in done(detections.AGENT, asked).answers
    ]
    values["swap.requests"] = swaps()
    asked = taken("swap.requests", values["swap.requests"], [(REQUEST_ID, b"r-2"), (REPLY_TO, b"replies:a")])
    assessed = done(assess.AGENT, asked)
    keep(assessed)
    keep(done(profiles.AGENT, taken("wallet.activity", values["wallet.activity"])))
    values["answers.risk"] = [answer.value.model_dump_json(exclude_none=True).encode() for answer in assessed.answers]
    keep(done(risk_alerts.AGENT, taken("risk.scores", values["risk.scores"])))
    values["model.releases"] = [releases.pack(release("1"))]
    listed = Listed(list="own", address="0x" + "b0" * 20, severity="high", added_at=datetime.fromtimestamp(NOW, UTC))
    values["lists"] = [listed.model_dump_json().encode()]
    values["labels"] = [label().model_dump_json(exclude_none=True).encode()]
    models = [ModelRow(name="linear", version="1", stale=False)]
    worker = WorkerRow(
        service="DATA_PROCESSING", app_id="DATA_PROCESSING.validate", instance="i", pid=1, port=1, started_at=1.0, beat_at=2.0,
        progress_at=2.0, handled=3, failed=0, dead_letters=1, lag=0, models=models,
        lists="1a2b3c4d",
    )  # fmt: skip
    rows.append(Row(WORKERS, "DATA_PROCESSING.validate:i", 2_000, worker))
    drift = DriftRow(day=19_675, partition=0, revision=7, model="1", wallets=2, counts=[[1, 1, 0], [0, 0, 2]])
    rows.append(Row(DRIFT, "19675:0", 7, drift))
    return values, rows


def main(write: Callable[[Path, str], object] = lambda path, text: path.write_text(text)) -> None:
    """Write them all into a folder named after the version of the code."""
    folder = FOLDER / version()
    folder.mkdir(exist_ok=True)
    values, rows = made()
    for topic, found in values.items():
        write(folder / f"{topic}.jsonl", "".join(json.dumps(value.decode()) + "\n" for value in found[:4]))
    for table in TABLES:
        stored = [f"{row.version:020d}" + row.stored.decode() for row in rows if row.table is table]
        write(folder / f"table-{table.name}.jsonl", "".join(json.dumps(row) + "\n" for row in stored[:4]))


if __name__ == "__main__":
    main()
