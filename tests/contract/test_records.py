"""Records of yesterday are still read, whole; and fields of tomorrow are ignored, on every topic and in every table.

`tests/records/VERSION/` holds what each version of the code wrote. A change that breaks these tests breaks what lies in Kafka and
Redis: mend the change, not the records.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, TypeAdapter

from agents import alerts, assess, blocks, detections, mev, profiles, risk_alerts, verdicts
from agents.agent import Written
from agents.validate import Validator
from models.chain.assembly import QUIET_S
from tables.registry import BLOCKS, GAS, TABLES, VERSION_DIGITS
from tables.rows import parse
from tests.records.record import FOLDER, NOW, done, made, taken
from topics import releases
from topics.headers import REPLY_TO, REQUEST_ID
from topics.registry import TOPICS
from topics.schemas.chain import Block
from topics.schemas.mev_question import MevAnswer
from topics.schemas.requests import Verdicts
from topics.schemas.risk import RiskAnswer

VERSIONS = sorted(folder for folder in FOLDER.iterdir() if folder.is_dir() and folder.name[0].isdigit())
SCHEMAS: dict[str, TypeAdapter[Any]] = {
    **{name: TypeAdapter(topic.schema) for name, topic in TOPICS.items()},
    **{f"table-{table.name}": TypeAdapter(table.schema) for table in TABLES},
    "answers": TypeAdapter(Verdicts),
    "answers.risk": TypeAdapter(RiskAnswer),
    "answers.chain": TypeAdapter(MevAnswer),
}
FILES = sorted(file for folder in VERSIONS for file in folder.glob("*.jsonl"))
TOMORROW = {"since": "tomorrow", "list": [1, {"deep": None}]}


def stored(file: Path) -> list[bytes]:
    """The values of a file, as they lay in Kafka or Redis."""
    return [json.loads(line).encode() for line in file.read_text().splitlines()]


def document(file: Path, value: bytes) -> bytes:
    """The JSON of a value: rows have their version before it, releases their artefact behind it."""
    if file.stem.startswith("table-"):
        return value[VERSION_DIGITS:]
    return value.partition(b"\n")[0] if file.stem == "model.releases" else value


def plain(model: Any) -> Any:
    """A parsed value as JSON, what is null left out."""
    return json.loads(TypeAdapter(Any).dump_json(model, exclude_none=True))


def within(part: Any, whole: Any) -> bool:
    """Whether all that `part` says is in `whole` too."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            value is None or (name in whole and within(value, whole[name])) for name, value in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and len(part) == len(whole) and all(map(within, part, whole))
    return bool(part == whole)


def aged(model: Any, raw: Any) -> Any:
    """`raw`, which parses to `model`, with a field of tomorrow in every object that has fields."""
    if isinstance(model, BaseModel):
        known = {name: aged(getattr(model, name, None), value) for name, value in raw.items()}
        return {"tomorrow": TOMORROW, **known, "another_of_tomorrow": None}
    if isinstance(model, dict) and isinstance(raw, dict):
        return {name: aged(model.get(name), value) for name, value in raw.items()}
    if isinstance(model, list | tuple) and isinstance(raw, list):
        return [aged(one, value) for one, value in zip(model, raw, strict=True)]
    return raw


def today(value: Any) -> Any:
    """What a value says without its fields of tomorrow."""
    if isinstance(value, dict):
        return {n: today(one) for n, one in value.items() if n not in ("tomorrow", "another_of_tomorrow")}
    return [today(one) for one in value] if isinstance(value, list) else value


def test_each_topic_and_table_is_recorded() -> None:
    assert VERSIONS
    assert {file.stem for file in VERSIONS[-1].glob("*.jsonl")} == SCHEMAS.keys()
    assert all(stored(file) for file in FILES)


def test_the_script_makes_them_still() -> None:
    values, rows = made()
    assert {*values} | {f"table-{row.table.name}" for row in rows} == SCHEMAS.keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_yesterdays_records_are_read_whole(file: Path) -> None:
    for value in stored(file):
        text = document(file, value)
        found = SCHEMAS[file.stem].validate_json(text)
        assert within(orjson.loads(text), plain(found)), text[:300]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_fields_of_tomorrow_are_ignored(file: Path) -> None:
    for value in stored(file):
        text = document(file, value)
        found = SCHEMAS[file.stem].validate_json(text)
        later = orjson.dumps(aged(found, orjson.loads(text)))
        assert later.count(b"another_of_tomorrow") > 0
        assert today(plain(SCHEMAS[file.stem].validate_json(later))) == plain(found)


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("later", [False, True], ids=["yesterday", "tomorrow"])
def test_the_agents_do_their_work_with_them(folder: Path, later: bool) -> None:
    def values(topic: str) -> list[bytes]:
        found = stored(folder / f"{topic}.jsonl")
        if not later:
            return found
        return [orjson.dumps(aged(SCHEMAS[topic].validate_json(one), orjson.loads(one))) for one in found]

    validator = Validator(0, 1)
    results = [
        validator.handle(taken("chain.events", values("chain.events")), NOW),
        validator.handle([], NOW + QUIET_S + 1),
    ]
    assert not any(result.dead_letters for result in results)
    told = [output.value for result in results for output in (*result.outputs, *result.after)]
    assert not any(b"tomorrow" in one for one in told)
    assert len(_numbers(output.value for result in results for output in result.outputs)) == 3
    # A restart takes up what yesterday's version wrote.
    tail = [Written(f"1:{block.number}:{block.revision}", [], raw) for raw, block in _blocks(values("chain.blocks"))]
    again = Validator(0, 1)
    again.restore(tail, 0)
    assert len(again.assembly.blocks) == len(_numbers(values("chain.blocks")))
    assert done(mev.AGENT, taken("chain.blocks", values("chain.blocks"))).outputs
    rows = done(blocks.AGENT, taken("chain.blocks", values("chain.blocks"))).rows
    assert [row.table for row in rows] == [BLOCKS] * 3 + [GAS]
    assert done(alerts.AGENT, taken("mev.findings", values("mev.findings"))).outputs
    assert done(profiles.AGENT, taken("wallet.activity", values("wallet.activity"))).rows
    asked = taken("requests.data", values("requests.data"), [(REQUEST_ID, b"r")])
    (answer,) = done(verdicts.AGENT, asked).answers
    assert isinstance(answer.value, Verdicts) and all(one.is_valid for one in answer.value.verdicts)
    suspicion = taken("requests.chain", values("requests.chain"), [(REQUEST_ID, b"r")])
    (answer,) = done(detections.AGENT, suspicion).answers
    assert isinstance(answer.value, MevAnswer) and answer.value.mev_type == "sandwich"
    waiting = [(REQUEST_ID, b"r"), (REPLY_TO, b"replies:a")]
    assessed = done(assess.AGENT, taken("swap.requests", values("swap.requests"), waiting))
    assert (len(assessed.outputs), len(assessed.answers)) == (3, 4)
    assert len(done(risk_alerts.AGENT, taken("risk.scores", values("risk.scores"))).outputs) == 1


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_releases_and_rows_are_taken_as_they_lie(folder: Path) -> None:
    for value in stored(folder / "model.releases.jsonl"):
        assert releases.unpack(value).artefact
        line, _, artefact = value.partition(b"\n")
        later = orjson.dumps({**orjson.loads(line), "tomorrow": TOMORROW}) + b"\n" + artefact
        assert releases.unpack(later) == releases.unpack(value)
    for table in TABLES:
        for value in stored(folder / f"table-{table.name}.jsonl"):
            assert parse(table.schema, value) is not None


def _blocks(values: Iterable[bytes]) -> list[tuple[bytes, Block]]:
    return [(value, Block.model_validate_json(value)) for value in values]


def _numbers(values: Iterable[bytes]) -> set[int]:
    return {block.number for _, block in _blocks(values)}
