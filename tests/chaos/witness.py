"""An independent reader of all that the pipeline gives out, and what it amounts to: the last state of each id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import orjson
import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from base.settings import Settings
from tables.registry import ALERTS, BLOCKS, MEV
from topics.clients import consumer

TOPICS = ("chain.blocks", "pair.trades", "wallet.activity", "mev.findings", "alerts", "chain.events.dlq")
DROPPED = ("revision", "processed_at", "latency_ms", "block_hash", "hash")
"""Not part of a state: numbering and times, and hashes that carry the run's own chain id."""


class Witness:
    """Reads everything from the beginning, and goes on from there."""

    def __init__(self, settings: Settings) -> None:
        self._redis = redis.Redis.from_url(settings.redis_url)
        self._consumer = Consumer(consumer(settings, "witness", **{"enable.partition.eof": False}))
        topics = self._consumer.list_topics(timeout=30).topics
        self._parts = [
            TopicPartition(name, number, OFFSET_BEGINNING) for name in TOPICS for number in topics[name].partitions
        ]
        self._consumer.assign(self._parts)
        self._seen: dict[int, list[tuple[str, Message, Any]]] = {}
        """By chain id: topic, message and parsed value (None for a dead letter), in the order they were read."""

    def close(self) -> None:
        """Let go of the connections."""
        self._consumer.close()
        self._redis.close()

    def _read(self, chain_id: int) -> list[tuple[str, Message, Any]]:
        """All there is of a chain by now."""
        while found := self._consumer.consume(1_000, timeout=0.2):
            for message in found:
                if message.error() is None:
                    name, value = str(message.topic()), message.value() or b""
                    body = None if name == "chain.events.dlq" else orjson.loads(value)
                    # A dead letter keeps the key of its record, which is its chain id.
                    chain = int(message.key() or 0) if body is None else body["chain_id"]
                    self._seen.setdefault(chain, []).append((name, message, body))
        return self._seen.get(chain_id, [])

    def state(self, chain_id: int) -> dict[str, Any]:
        """The last state of every id of a chain, by topic and table; chain ids read as `C`."""
        topics: dict[str, dict[str, Any]] = {name: {} for name in TOPICS}
        revisions: dict[tuple[str, str], int] = {}
        for name, message, body in self._read(chain_id):
            if body is None:
                headers = cast(dict[str, bytes], dict(message.headers() or []))
                # The same place is the same dead letter, however often it is written.
                letter = headers["dlq.reason"].decode(), _plain(message.value() or b"", chain_id)
                topics[name][headers["ce_id"].decode()] = letter
                continue
            for key, state in _states(name, message, body):
                if body["revision"] >= revisions.get((name, key), -1):
                    revisions[name, key] = body["revision"]
                    topics[name][key] = state
        out = {name: _folded(name, states, chain_id) for name, states in topics.items()}
        for table in (BLOCKS, MEV, ALERTS):
            out[f"table {table.name}"] = self._rows(table.name, chain_id)
        return out

    def state_of_topic(self, chain_id: int, topic: str) -> set[Any]:
        """The block numbers that a topic holds of a chain, Redis being away."""
        return {body["number"] for name, _, body in self._read(chain_id) if name == topic}

    def same_revision_same_bytes(self, chain_id: int) -> None:
        """Assert that a revision of a block was never written with two contents, and that revisions rise."""
        seen: dict[tuple[int, int], bytes | None] = {}
        for name, message, body in self._read(chain_id):
            if name == "chain.blocks":
                key = (body["number"], body["revision"])
                assert seen.setdefault(key, message.value()) == message.value(), key

    def _rows(self, table: str, chain_id: int) -> dict[str, Any]:
        found = {}
        for key in self._redis.scan_iter(f"{table}:*", count=1_000):
            stored = self._redis.get(key)
            body = orjson.loads(stored[20:]) if stored else {}
            if body.get("chain_id") == chain_id and body.get("status") != "retracted" and body.get("findings", True):
                name = key.decode().split("}:", 1)[1]
                found[_plain(name.encode(), chain_id)] = _clean(body, chain_id)
        return found


def _states(topic: str, message: Message, body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    if topic in ("mev.findings", "alerts"):
        yield body["id"], body
    elif topic == "chain.blocks":
        yield str(body["number"]), body
    elif body["status"] != "clock":
        yield f"{message.partition()}/{body['number']}", body
    else:
        yield f"clock {message.partition()}/{body['timestamp'] // 3600}", {"clock": body["timestamp"] // 3600}


def _folded(topic: str, states: dict[str, Any], chain_id: int) -> Any:
    if topic == "chain.events.dlq":
        return sorted(states.values())
    if topic in ("pair.trades", "wallet.activity"):
        # Where a key lies depends on the chain id; what is said of it does not.
        part = "pairs" if topic == "pair.trades" else "wallets"
        # Which hours are told depends on the order in which partitions are read; the latest one is what a clock says.
        clock = max((body["clock"] for body in states.values() if "clock" in body), default=None)
        said = {
            (_plain(key.encode(), chain_id), body["number"]): _clean(moves, chain_id)
            for body in states.values()
            if "clock" not in body
            for key, moves in body[part].items()
            if moves
        }
        return {"clock": clock, "said": said}
    return {
        _plain(key.encode(), chain_id): _clean(body, chain_id)
        for key, body in states.items()
        if body.get("status") != "retracted"
    }


def _clean(value: Any, chain_id: int) -> Any:
    if isinstance(value, dict):
        return {_plain(k.encode(), chain_id): _clean(v, chain_id) for k, v in value.items() if k not in DROPPED}
    if isinstance(value, list):
        return [_clean(item, chain_id) for item in value]
    return "C" if value == chain_id else _plain(value.encode(), chain_id) if isinstance(value, str) else value


def _plain(value: bytes, chain_id: int) -> str:
    text = value.decode(errors="replace")
    return text.replace(f"{chain_id:020x}", "c" * 20).replace(str(chain_id), "C")
