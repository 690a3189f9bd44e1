"""docs/asyncapi.json and docs/schemas: valid by their standards, and true of what agents, records and codecs do."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry
from referencing.jsonschema import DRAFT7

from agents.agent import Partitioned
from agents.app import WORKERS
from agents.validate import Validator
from base.settings import ROOT, Settings
from console.reference import SCHEMAS, pages
from ingest.files import read_blocks
from models.alerts import from_finding
from models.mev import detect
from tests.unit.wire import TRACE, envelope, records, swap, transaction, transfer
from topics import codecs, releases
from topics.asyncapi import document
from topics.headers import (
    ATTEMPT,
    CARRIED,
    DEAD_LETTER,
    LETTER,
    REQUEST_ID,
    RESULT,
    TRACEPARENT,
    TRACESTATE,
    Header,
    Headers,
    cloud_event,
    dead_letter,
)
from topics.registry import TOPICS, wanted
from topics.schemas.letters import Handled

STANDARD = Path(__file__).with_name("asyncapi") / "3.0.0.json"
BLOCKS = ROOT / "samples" / "blocks"


@lru_cache(maxsize=1)
def asyncapi() -> dict[str, Any]:
    made: dict[str, Any] = json.loads((ROOT / "docs" / "asyncapi.json").read_text())
    return made


def value_validator(topic: str) -> Any:
    schema = json.loads((SCHEMAS / f"{topic}.json").read_text())
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


def sample() -> Any:
    return next(iter(read_blocks(BLOCKS / "ethereum-18999999-real" / "block.json.gz"))).block


# The document


def test_the_document_is_valid_asyncapi_3() -> None:
    standard = json.loads(STANDARD.read_text())
    faults = list(jsonschema.Draft7Validator(standard).iter_errors(asyncapi()))
    assert not faults, [f"{fault.json_path}: {fault.message[:200]}" for fault in faults[:5]]


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (("channels", "chain.events", "address"), 7),
        (("channels", "chain.events", "bindings", "kafka", "partitions"), 0),
        (("operations", "validate.receive.chain.events", "action"), "take"),
        (("components", "messages", "alerts", "bindings", "kafka", "key", "type"), "text"),
    ],
)
def test_the_standard_would_have_said_so(place: tuple[str, ...], wrong: object) -> None:
    """What validates a document must be able to refuse one."""
    spoilt = document()
    part = spoilt
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = wrong
    assert not jsonschema.Draft7Validator(json.loads(STANDARD.read_text())).is_valid(spoilt)


def test_every_reference_leads_somewhere() -> None:
    def look(part: Any) -> None:
        if isinstance(part, dict):
            if "$ref" in part:
                target: Any = asyncapi()
                for name in part["$ref"].removeprefix("#/").split("/"):
                    target = target[name]
            for inner in part.values():
                look(inner)
        elif isinstance(part, list):
            for inner in part:
                look(inner)

    look(asyncapi())


def test_channels_are_what_topics_create_makes() -> None:
    fields = Settings.model_fields
    made = {one.name: one for one in wanted(fields["partitions"].default, fields["replication"].default)}
    assert asyncapi()["channels"].keys() == made.keys()
    for name, one in made.items():
        told = asyncapi()["channels"][name]["bindings"]["kafka"]
        assert (told["topic"], told["partitions"], told["replicas"]) == (name, one.partitions, one.replication)
        config = {key: ",".join(v) if isinstance(v, list) else str(v) for key, v in told["topicConfiguration"].items()}
        assert config == one.config


def test_operations_are_what_the_agents_do() -> None:
    agents = {agent.name: agent for worker in WORKERS.values() for agent in worker.agents()}
    told: dict[tuple[str, str], set[str]] = {}
    for operation in asyncapi()["operations"].values():
        (tag,) = operation["tags"]
        channel = operation["channel"]["$ref"].removeprefix("#/channels/")
        told.setdefault((tag["name"], operation["action"]), set()).add(channel)
    assert {name for name, _ in told} == {*agents, "ingest", "facade", "operators", "workers"}
    letters = {topic.dlq for topic in TOPICS.values() if topic.dead_letters}
    assert told["operators", "receive"] == letters
    operators = {topic.name for topic in TOPICS.values() if "operators" in topic.writers}
    assert told["operators", "send"] == operators | letters | {name.removesuffix(".dlq") for name in letters}
    for name, agent in agents.items():
        assert told[name, "receive"] == {agent.topic.name}
        sends = {topic.name for topic in TOPICS.values() if name in topic.writers}
        assert told[name, "send"] == sends | {agent.topic.dlq}
        if isinstance(agent, Partitioned):
            assert agent.restored_from.name in sends


# Headers


def told_of(headers: tuple[Header, ...], made: Headers) -> None:
    """The headers of a record are those told of, and none that is always there is missing."""
    names = {name for name, _ in made}
    assert names <= {header.name for header in headers}
    assert {header.name for header in headers if header.always} <= names


def test_headers_are_those_that_records_get() -> None:
    carried = [(REQUEST_ID, b"x"), (TRACEPARENT, TRACE), (TRACESTATE, b"x=1")]
    assert tuple(name for name, _ in carried) == CARRIED
    why: Any = {"reason": "wrong_schema", "field": "", "detail": "", "agent": "validate"}
    letter = partial(dead_letter, topic="chain.events", partition=0, offset=1, **why)
    for with_it in ([], carried):
        told_of(RESULT, cloud_event("i", "validate", "soba.block", with_it))
        told_of(DEAD_LETTER, letter(index="3" if with_it else None, carried=with_it))
    replayed: Headers = [*carried, (ATTEMPT, b"2"), (LETTER, b"chain.events.dlq/0/2")]
    assert {header.name for header in RESULT} == {name for name, _ in cloud_event("i", "v", "t", carried)}
    assert {header.name for header in DEAD_LETTER} == {name for name, _ in letter(index="3", carried=replayed)}
    told_of(releases.HEADERS, act := releases.Act("1", "better", "why").headers("fraud/2"))
    assert {header.name for header in releases.HEADERS} == {name for name, _ in act}
    for topic in TOPICS.values():
        told = asyncapi()["components"]["messages"][topic.name]
        more = {ATTEMPT, LETTER} if topic.dead_letters else set()
        assert told["headers"]["properties"].keys() == {header.name for header in topic.headers} | more
        assert told["contentType"] == topic.content_type


# The schemas


def test_the_folder_holds_the_schema_of_each_topic_and_nothing_else() -> None:
    made = {path for path in pages() if path.parent == SCHEMAS}
    assert {*SCHEMAS.iterdir()} == made
    assert {path.stem for path in made} == TOPICS.keys()


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_a_schema_is_valid_and_topics_md_leads_to_it(topic: str) -> None:
    validator = value_validator(topic)
    validator.check_schema(validator.schema)
    assert f"](schemas/{topic}.json)" in (ROOT / "docs" / "topics.md").read_text()


def in_document(topic: str) -> Any:
    """A validator by the schema as it stands in the AsyncAPI document, whose schemas are a superset of draft 7."""
    registry = Registry().with_resource("urn:soba", DRAFT7.create_resource(asyncapi()))
    return jsonschema.Draft7Validator({"$ref": f"urn:soba#/components/schemas/{topic}"}, registry=registry)


EVENT: dict[str, Any] = {
    "event_type": "swap",
    "transaction_hash": "0x" + "ab" * 32,
    "block_number": 1,
    "token_in": "ETH",
    "token_out": "USDC",
    "amount_in": "1.5",
}


@pytest.mark.parametrize(
    ("value", "good"),
    [
        (EVENT, True),
        ([EVENT, EVENT], True),
        ([], True),
        ({"number": 1, "status": "partial", "events": [EVENT]}, True),
        ({**EVENT, "amount_in": 1.5}, True),
        ({**EVENT, "amount_in_raw": 10**30}, True),
        ({**EVENT, "unknown": [1]}, True),
        ({**EVENT, "timestamp": "2023-04-08T00:00:11Z"}, True),
        ({**EVENT, "timestamp": 1_680_000_000}, True),
        ({**EVENT, "token_in": None}, False),
        ({**EVENT, "event_type": "wish"}, False),
        ({**EVENT, "transaction_hash": "0x12"}, False),
        ({**EVENT, "block_number": -1}, False),
        ({**EVENT, "block_number": "1"}, False),
        ({**EVENT, "amount_in": True}, False),
        ({**EVENT, "amount_in": "much"}, False),
        ([EVENT, {"event_type": "swap"}], False),
        ({"number": 1, "status": "whole", "events": []}, False),
        ({"number": 1, "status": "partial", "events": [{"event_type": "sync"}]}, False),
        (7, False),
    ],
)
def test_a_schema_takes_what_the_codec_takes(value: Any, good: bool) -> None:
    (parsed,) = codecs.decode_chain_events([json.dumps(value).encode()])
    events = parsed if isinstance(parsed, list) else getattr(parsed, "events", [parsed])
    assert all(event.__class__ is not codecs.Unfit for event in events) is good
    assert value_validator("chain.events").is_valid(value) is good
    assert in_document("chain.events").is_valid(value) is good


def test_what_became_of_letters_fits_its_schema() -> None:
    done = Handled(status="dropped", offsets=[1, 2], at=datetime.now(UTC))
    in_document("handled").validate(json.loads(done.model_dump_json()))
    assert not in_document("handled").is_valid({"status": "dropped", "offsets": []})


def test_what_validate_writes_fits_its_schemas() -> None:
    validator = Validator(0, 1)
    whole = envelope(swap(), transfer(event_id="t", log_index=1), transactions=[transaction(1)])
    result = validator.handle(records([whole]), 1_800_000_000.0)
    seen = set()
    for output in (*result.outputs, *result.after):
        seen.add(output.topic)
        told_of(TOPICS[output.topic].headers, output.headers)
        value = json.loads(output.value)
        value_validator(output.topic).validate(value)
        in_document(output.topic).validate(value)
    assert seen == {"chain.blocks", "pair.trades", "wallet.activity"}


def test_a_real_block_its_findings_and_alerts_fit_their_schemas() -> None:
    block = sample()
    value_validator("chain.blocks").validate(json.loads(codecs.encode(block)))
    findings = detect(block)
    assert findings
    for finding in findings:
        for topic, value in (("mev.findings", finding), ("alerts", from_finding(finding))):
            wire = json.loads(value.model_dump_json(exclude_none=True))
            value_validator(topic).validate(wire)
            in_document(topic).validate(wire)
