"""The wire as an AsyncAPI 3.0 document, made from the registry: channels, messages, and who sends and receives what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from base.settings import Settings
from base.version import version
from topics.headers import DEAD_LETTER, HANDLED_TYPE, QUESTION, REPLAYED, RESULT, Header
from topics.json_schemas import HANDLED, schema_name, shared
from topics.registry import OTHERS, TOPICS, Topic, Wanted, max_bytes, wanted

BINDING = "0.5.0"
"""The version of AsyncAPI's Kafka bindings."""
JSON = "application/json"
BYTES = "bytes"
OPERATORS = "operators"
"""By the `soba` command."""
_SCHEMAS = "#/components/schemas/{model}"


def document() -> dict[str, Any]:
    """The whole document. Partitions and replicas are those of the default settings."""
    fields = Settings.model_fields
    broker = {one.name: one for one in wanted(fields["partitions"].default, fields["replication"].default)}
    channels: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for topic in TOPICS.values():
        messages[topic.name] = _message(topic)
        channels[topic.name] = _channel(broker[topic.name], topic.doc)
        operations.update(_operations(topic))
        if topic.dead_letters:
            messages[topic.dlq] = _dead_letter(topic)
            doc = f"What was refused of {topic.name}, and in the same partition what an operator did with it."
            channels[topic.dlq] = _channel(broker[topic.dlq], doc, HANDLED)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Soba",
            "version": version(),
            "description": "Blockchain events become validated blocks once; everything after works on blocks. "
            "Operations are Soba's own; any client may read every channel, and write chain.events. "
            "All producers use Java's murmur2 partitioner (librdkafka: partitioner=murmur2_random).",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": JSON,
        "servers": {
            "kafka": {
                "host": "{broker}",
                "protocol": "kafka",
                "description": "Any Kafka; bin/soba up starts one on a free port, bin/soba status names it.",
                "variables": {"broker": {"default": "127.0.0.1:9092", "description": "SOBA_BROKERS"}},
            }
        },
        "channels": channels,
        "operations": operations,
        "components": {"messages": {**messages, HANDLED: _handled()}, "schemas": _schemas()},
    }


def _channel(broker: Wanted, doc: str, *more: str) -> dict[str, Any]:
    config: dict[str, Any] = {name: int(value) for name, value in broker.config.items() if value.isdecimal()}
    config["cleanup.policy"] = [broker.config["cleanup.policy"]]
    return {
        "address": broker.name,
        "title": broker.name,
        "description": f"{doc} A value has at most {max_bytes(broker.name):,} bytes.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in (broker.name, *more)},
        "bindings": {
            "kafka": {
                "topic": broker.name,
                "partitions": broker.partitions,
                "replicas": broker.replication,
                "topicConfiguration": config,
                "bindingVersion": BINDING,
            }
        },
    }


def _message(topic: Topic) -> dict[str, Any]:
    value = topic.name if topic.content_type == JSON else BYTES
    told = {
        "name": topic.name,
        "title": schema_name(topic.schema),
        "summary": topic.doc,
        "contentType": topic.content_type,
        "headers": _headers((*topic.headers, *(REPLAYED if topic.dead_letters else ()))),
        "payload": {"$ref": _SCHEMAS.format(model=value)},
        "bindings": _key(topic.key),
    }
    if topic.headers == QUESTION:
        told["correlationId"] = {"location": "$message.header#/request_id"}
    return told


def _dead_letter(topic: Topic) -> dict[str, Any]:
    return {
        "name": topic.dlq,
        "title": "Dead letter",
        "summary": f"The original bytes of a refused element of {topic.name} alone, which may be no JSON.",
        "contentType": "application/octet-stream",
        "headers": _headers(DEAD_LETTER),
        "payload": {"$ref": _SCHEMAS.format(model=BYTES)},
        "bindings": _key(f"as it came, so {topic.key} where that was right"),
    }


def _handled() -> dict[str, Any]:
    return {
        "name": HANDLED,
        "title": "What became of dead letters",
        "summary": f"ce_type {HANDLED_TYPE}: letters of this partition that an operator replayed or dropped.",
        "headers": _headers(RESULT),
        "payload": {"$ref": _SCHEMAS.format(model=HANDLED)},
    }


def _key(doc: str) -> dict[str, Any]:
    return {"kafka": {"key": {"type": "string", "description": doc}, "bindingVersion": BINDING}}


def _headers(headers: Iterable[Header]) -> dict[str, Any]:
    headers = list(headers)
    return {
        "type": "object",
        "properties": {header.name: {"type": "string", "description": header.doc} for header in headers},
        "required": [header.name for header in headers if header.always],
    }


def _operations(topic: Topic) -> Iterator[tuple[str, dict[str, Any]]]:
    """Who of Soba sends to a topic, receives from it, and so sends to its dead letters; operators look at those and replay them."""
    for writer in topic.writers:
        if writer not in OTHERS:
            yield _operation(writer, "send", topic.name)
    for reader in topic.readers:
        if reader not in OTHERS:
            yield _operation(reader, "receive", topic.name)
            if topic.dead_letters:
                yield _operation(reader, "send", topic.dlq)
    if topic.dead_letters:
        yield _operation(OPERATORS, "receive", topic.dlq)
        yield _operation(OPERATORS, "send", topic.dlq, HANDLED)
        yield _operation(OPERATORS, "send", topic.name)


def _operation(who: str, action: str, channel: str, message: str = "") -> tuple[str, dict[str, Any]]:
    told = {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "title": f"{who} {action}s {channel}",
        "tags": [{"name": who}],
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message or channel}"}],
    }
    return f"{who}.{action}.{channel}", told


def _schemas() -> dict[str, Any]:
    by_topic, parts = shared(_SCHEMAS)
    anything = {"description": "Any bytes.", "type": "string", "format": "binary"}
    return {name: _plain(schema) for name, schema in {**by_topic, **parts, BYTES: anything}.items()}


def _plain(schema: Any) -> Any:
    """Without `discriminator`, which AsyncAPI means otherwise than OpenAPI; `oneOf` says the same."""
    if isinstance(schema, dict):
        return {
            name: _plain(part) for name, part in schema.items() if name != "discriminator" or "propertyName" not in part
        }
    return [_plain(part) for part in schema] if isinstance(schema, list) else schema
