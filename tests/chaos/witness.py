"""An independent reader of all that the pipeline gives out, and what it amounts to: the last state of each id."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable
from typing import Any, cast

import orjson
import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from base.settings import Settings
from models.fraud.packed import pack
from models.fraud.wallet import current
from tables.registry import ALERTS, BLOCKS, GAS, MEV, MEV_TRADES, PROFILES, RISK, GasRow, ProfileRow
from tests.chaos.offsets import Offsets
from tests.conftest import wait_for
from topics.clients import consumer

DEAD_LETTERS = "chain.events.dlq"
TOPICS = ("chain.blocks", "pair.trades", "wallet.activity", "mev.findings", "alerts", "risk.scores", DEAD_LETTERS)
TABLES = {f"table {table.name}": table.name for table in (BLOCKS, GAS, MEV, MEV_TRADES, ALERTS, PROFILES, RISK)}
DROPPED = ("revision", "processed_at", "latency_ms", "at")
"""Not part of a state: numbering, times, and what stood when something changed."""


class Chain:
    """What was seen of one chain: what holds now, and whether it was said in order."""

    def __init__(self, id: int) -> None:
        self._id = id
        self._told: dict[tuple[str, str], dict[int, int]] = {}
        """A hash of what each revision of each id says, by topic and id."""
        self.states: dict[str, dict[str, bytes]] = {name: {} for name in TOPICS}
        """What the newest revision of each id says, packed: a long run has gigabytes of it."""
        self.contradictions: list[str] = []
        """Revisions that were told with two contents."""
        self.falls: list[str] = []
        """Revisions below one of their id that was told before, and no repeats of what was told before that."""

    def hear(self, topic: str, message: Message, body: Any) -> None:
        """Take in a record, in the order of its partition."""
        if body is None:
            headers = cast(dict[str, bytes], dict(message.headers() or []))
            # The same place is the same dead letter, however often it is written.
            key, revision = headers["ce_id"].decode(), 0
            content: Any = (headers["dlq.reason"].decode(), _plain(message.value() or b"", self._id))
        else:
            key, revision = _key(topic, message, body), body["revision"]
            # When a request was assessed is not what is said of it: who did it again did it later.
            timed = {name: value for name, value in body.items() if name != "processed_at"}
            content = orjson.dumps(timed) if "processed_at" in body else message.value()
        told = self._told.setdefault((topic, key), {})
        newest = max(told, default=revision)
        where = f"{topic}/{message.partition()}/{message.offset()}: revision {revision} of {key}"
        if revision in told:
            if told[revision] != hash(content):
                self.contradictions.append(where)
        elif revision < newest:
            self.falls.append(f"{where}, after {newest}")
        told[revision] = hash(content)
        if revision >= newest:
            self.states[topic][key] = _pack(content if body is None else clean(body, self._id))

    def told(self, topic: str) -> dict[str, Any]:
        """The last state of each id of a topic."""
        return {key: _unpack(state) for key, state in self.states[topic].items()}


class Witness:
    """Reads everything from the beginning, and goes on from there."""

    def __init__(self, settings: Settings) -> None:
        self._redis = redis.Redis.from_url(settings.redis_url)
        self._consumer = Consumer(consumer(settings, "witness", **{"enable.partition.eof": False}))
        self._consumer.assign(
            [TopicPartition(name, part, OFFSET_BEGINNING) for name in TOPICS for part in range(settings.partitions)]
        )
        self.offsets = Offsets(settings)
        self._heard: Counter[tuple[str, int]] = Counter()
        """The offset behind the last record that was taken in, by topic and partition."""
        self._chains: dict[int, Chain] = {}
        self._rows: dict[str, dict[bytes, tuple[int, int, bytes | None]]] = {name: {} for name in TABLES.values()}
        """By table and Redis key: a hash of what was last found, its chain id and packed state (None: it says nothing)."""

    def close(self) -> None:
        """Let go of the connections."""
        self._consumer.close()
        self.offsets.close()
        self._redis.close()

    def hear(self, timeout: float = 0.05) -> bool:
        """Take in what comes within a time (s); whether anything came."""
        found = self._consumer.consume(1_000, timeout=timeout)
        for message in found:
            if message.error() is None:
                name, value = str(message.topic()), message.value() or b""
                body = None if name == DEAD_LETTERS else orjson.loads(value)
                # A dead letter keeps the key of its record, which is its chain id.
                about = int(message.key() or 0) if body is None else body["chain_id"]
                self.of(about).hear(name, message, body)
                self._heard[name, message.partition() or 0] = (message.offset() or 0) + 1
        return bool(found)

    def hear_all(self) -> None:
        """Take in all there is by now: to the ends, however long Kafka takes to give it."""
        ends = wait_for(lambda: self.offsets.ends(TOPICS))

        def heard() -> bool:
            self.hear()
            return all(self._heard[place] >= end for place, end in ends.items())

        wait_for(heard, every=0)

    def chain(self, chain_id: int) -> Chain:
        """All there is of a chain by now."""
        self.hear_all()
        return self.of(chain_id)

    def part(self, chain_id: int, name: str) -> Any:
        """What a topic or a table (`table mev`) amounts to: the last state of each id; the chain's id reads as `C`."""
        self.look()
        return self._part(chain_id, name)

    def state(self, chain_id: int) -> dict[str, Any]:
        """All parts of a chain."""
        self.look()
        return self.seen(chain_id)

    def seen(self, chain_id: int) -> dict[str, Any]:
        """All parts of a chain, as they stood at the last `look`."""
        return {name: self._part(chain_id, name) for name in (*TOPICS, *TABLES)}

    def shows(self, chain_id: int, wanted: dict[str, Any]) -> bool:
        """Whether the state of a chain is this one."""
        self.look()
        return all(self._part(chain_id, name) == part for name, part in wanted.items())

    def rows(self, chain_id: int, table: str) -> int:
        """How many rows of a table were about a chain at the last `look`."""
        return sum(about == chain_id for _, about, _ in self._rows[table].values())

    def look(self) -> None:
        """Take in all there is by now, of topics and tables."""
        self.hear_all()
        keys: dict[str, list[bytes]] = {table: [] for table in TABLES.values()}
        for key in self._redis.scan_iter(count=10_000):
            if (mine := keys.get(key.partition(b":")[0].decode())) is not None:
                mine.append(key)
        for table, found in keys.items():
            self._read(table, found)

    def _part(self, chain_id: int, name: str) -> Any:
        if name in TABLES:
            rows = self._rows[TABLES[name]].items()
            about = [(key.decode().split("}:", 1)[1], state) for key, (_, id, state) in rows if id == chain_id]
            return {_plain(key, chain_id): _unpack(state) for key, state in about if state is not None}
        return _folded(name, self.of(chain_id).told(name), chain_id)

    def of(self, chain_id: int) -> Chain:
        """What was heard of a chain so far."""
        return self._chains.setdefault(chain_id, Chain(chain_id))

    def _read(self, table: str, keys: list[bytes]) -> None:
        known = self._rows[table]
        for key, stored in zip(keys, cast(Iterable[bytes | None], self._redis.mget(keys) if keys else ()), strict=True):
            if stored is not None and (key not in known or known[key][0] != hash(stored)):
                body = orjson.loads(stored[20:])
                silent = body.get("status") == "retracted" or not body.get("findings", True) or body.get("moves") == 0
                said = SAID[table](body) if table in SAID and not silent else body
                state = None if silent else _pack(clean(said, body["chain_id"]))
                known[key] = hash(stored), body["chain_id"], state
        for key in known.keys() - set(keys):
            del known[key]


def _profiled(body: Any) -> Any:
    """What a row says of a wallet: which of its blocks are folded already depends on what came meanwhile."""
    row = ProfileRow.model_validate(body)
    profile = current(row)
    judged = {name: body.get(name) for name in ("level", "probability", "anomaly", "model", "moves")}
    return {**judged, "profile": None if profile is None else pack(profile)}


def _gas(body: Any) -> Any:
    """What a row says of a day's gas: which of its blocks are folded already depends on what came meanwhile."""
    row = GasRow.model_validate(body)
    kept = Counter(price for _, _, price in row.kept if price is not None)
    return {"chain_id": row.chain_id, "day": row.day, "bins": sorted((Counter(row.bins) + kept).items())}


SAID = {PROFILES.name: _profiled, GAS.name: _gas}
"""Tables whose rows say more than what counts."""


def _pack(state: Any) -> bytes:
    return zlib.compress(orjson.dumps(state), 1)


def _unpack(packed: bytes) -> Any:
    return orjson.loads(zlib.decompress(packed))


def _key(topic: str, message: Message, body: dict[str, Any]) -> str:
    if topic in ("mev.findings", "alerts", "risk.scores"):
        return str(body["id"])
    if topic == "chain.blocks":
        return str(body["number"])
    if body["status"] == "clock":
        return f"clock {message.partition()}/{body['timestamp'] // 3600}"
    return f"{message.partition()}/{body['number']}"


def _folded(topic: str, states: dict[str, Any], chain_id: int) -> Any:
    if topic == DEAD_LETTERS:
        return sorted(states.values())
    if topic in ("pair.trades", "wallet.activity"):
        # Where a key lies depends on the chain id; what is said of it does not.
        part = "pairs" if topic == "pair.trades" else "wallets"
        # Which hours are told depends on the order in which partitions are read; the latest one is what a clock says.
        clock = max((s["timestamp"] // 3600 for s in states.values() if s["status"] == "clock"), default=None)
        said = {(key, s["number"]): moves for s in states.values() for key, moves in s[part].items() if moves}
        return {"clock": clock, "said": said}
    return {_plain(key, chain_id): body for key, body in states.items() if body.get("status") != "retracted"}


def clean(value: Any, chain_id: int) -> Any:
    """What a value says, whatever chain it is about: the chain's id reads as `C`, and what is no part of a state is left out."""
    if isinstance(value, dict):
        return {_plain(key, chain_id): clean(v, chain_id) for key, v in value.items() if key not in DROPPED}
    if isinstance(value, list):
        return [clean(item, chain_id) for item in value]
    return "C" if value == chain_id else _plain(value, chain_id) if isinstance(value, str) else value


def _plain(value: str | bytes, chain_id: int) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    return text.replace(f"{chain_id:020x}", "c" * 20).replace(str(chain_id), "C")
