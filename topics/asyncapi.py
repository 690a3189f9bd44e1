"""The wire as an AsyncAPI 3.0 document, made from the registry: channels, messages, and who sends and receives what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from base.settings import Settings
from base.version import version
from topics.headers import DEAD_LETTER, QUESTION, Header
from topics.json_schemas import schema_name, shared
from topics.registry import OTHERS, TOPICS, Topic, Wanted, max_bytes, wanted

BINDING = "0.5.0"
"""The version of AsyncAPI's Kafka bindings."""
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
            channels[topic.dlq] = _channel(broker[topic.dlq], f"What was refused of {topic.name}.")
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
        "defaultContentType": "application/json",
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
        "components": {"messages": messages, "schemas": _schemas()},
    }


def _channel(broker: Wanted, doc: str) -> dict[str, Any]:
    return {
        "address": broker.name,
        "title": broker.name,
        "description": f"{doc} A value has at most {max_bytes(broker.name):,} bytes.",
        "messages": {broker.name: {"$ref": f"#/components/messages/{broker.name}"}},
        "bindings": {
            "kafka": {
                "topic": broker.name,
                "partitions": broker.partitions,
                "replicas": broker.replication,
                "topicConfiguration": {
                    "cleanup.policy": broker.config["cleanup.policy"].split(","),
                    "retention.ms": int(broker.config["retention.ms"]),
                    "max.message.bytes": int(broker.config["max.message.bytes"]),
                },
                "bindingVersion": BINDING,
            }
        },
    }


def _message(topic: Topic) -> dict[str, Any]:
    told = {
        "name": topic.name,
        "title": schema_name(topic.schema),
        "summary": topic.doc,
        "headers": _headers(topic.headers),
        "payload": {"$ref": _SCHEMAS.format(model=topic.name)},
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
        "payload": {"$ref": _SCHEMAS.format(model="refused")},
        "bindings": _key(f"as it came, so {topic.key} where that was right"),
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
    """Who of Soba sends to a topic, receives from it, and so sends to its dead letters."""
    for writer in topic.writers:
        if writer not in OTHERS:
            yield _operation(writer, "send", topic.name)
    for reader in topic.readers:
        if reader not in OTHERS:
            yield _operation(reader, "receive", topic.name)
            if topic.dead_letters:
                yield _operation(reader, "send", topic.dlq)


def _operation(who: str, action: str, channel: str) -> tuple[str, dict[str, Any]]:
    told = {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "title": f"{who} {action}s {channel}",
        "tags": [{"name": who}],
        "messages": [{"$ref": f"#/channels/{channel}/messages/{channel}"}],
    }
    return f"{who}.{action}.{channel}", told


def _schemas() -> dict[str, Any]:
    by_topic, parts = shared(_SCHEMAS)
    refused = {"description": "Any bytes.", "type": "string", "format": "binary"}
    return {name: _plain(schema) for name, schema in {**by_topic, **parts, "refused": refused}.items()}


def _plain(schema: Any) -> Any:
    """Without `discriminator`, which AsyncAPI means otherwise than OpenAPI; `oneOf` says the same."""
    if isinstance(schema, dict):
        return {
            name: _plain(part) for name, part in schema.items() if name != "discriminator" or "propertyName" not in part
        }
    return [_plain(part) for part in schema] if isinstance(schema, list) else schema
