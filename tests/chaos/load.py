"""A steady load of known events, on chains of their own: what is sent can be compared with an undisturbed run."""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import orjson
from confluent_kafka import KafkaError, Message, Producer

from base.settings import Settings
from models import mev
from tests.chaos.asked import ask, swaps
from tests.chaos.events import FIRST_TIME, IN_PIECES, alone, block_hash, records, samples
from topics.clients import producer
from topics.partition import partition
from topics.schemas.chain import Block

PROBES_A_SECOND = 5
"""On each probe chain."""
CHAIN_S = 8.0
"""How long the records of one chain take to be sent."""
POST_EVERY_S = 0.2
POSTED = 3
"""Events of one HTTP request."""
ASK_EVERY_S = 0.1
ASKED = 60
"""Swap requests about one chain."""
FIRST_PROBE = 10_000
PATIENT = {"delivery.timeout.ms": 900_000, "retry.backoff.max.ms": 500, "reconnect.backoff.max.ms": 500}
"""A producer that gives no record up: records of a chain must come in order."""


def probe(chain_id: int, number: int) -> bytes:
    """A small complete block with one sandwich, so that each of these shows at the very end of the pipeline."""
    block = {**_sandwich(), "chain_id": chain_id, "number": number, "hash": block_hash(chain_id, number, 0)}
    return orjson.dumps({**block, "timestamp": FIRST_TIME + (number - FIRST_PROBE) * 12})


def posts(chain_id: int) -> list[list[Any]]:
    """Single events for HTTP, some at a time."""
    singles = []
    for number, name in enumerate(IN_PIECES, 2_001):
        block = {**samples()[name], "chain_id": chain_id, "number": number, "timestamp": FIRST_TIME + number * 1_200}
        singles += [alone(event, {**block, "hash": block_hash(chain_id, number, 0)}) for event in block["events"]]
    return [singles[at : at + POSTED] for at in range(0, len(singles), POSTED)]


def events_in(value: bytes) -> int:
    """How many events a record of chain.events carries; what cannot be read counts as one."""
    try:
        told = orjson.loads(value)
    except orjson.JSONDecodeError:
        return 1
    return len(told) if isinstance(told, list) else len(told["events"]) if "events" in told else 1


@functools.cache
def _sandwich() -> dict[str, Any]:
    """The smallest part of a real block that still holds its sandwich."""
    block = samples()["12412732"]
    finding = next(one for one in mev.detect(Block.model_validate(block)) if one.kind == "sandwich")
    named = set(finding.named())
    return {
        "status": "complete",
        "events": [event for event in block["events"] if event["transaction_hash"] in named],
        "transactions": [one for one in block["transactions"] if one["hash"] in named],
    }


class Load:
    """Probes on a chain of each partition, chains of everything (`events.records`), chains over HTTP, and swap requests.

    Each in a thread of its own, until `finish`; what was begun is sent to its end. `failed` holds what ended one of them.
    """

    def __init__(self, settings: Settings, http: Callable[[], str], chains: Iterator[int]) -> None:
        self._settings = settings
        self._http = http
        self._chains = chains
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(run,), daemon=True)
            for run in (self._send_probes, self._send_chains, self._send_posts, self._send_asked)
        ]
        self.failed: list[Exception] = []
        parts = range(settings.partitions)
        self.probes = [next(c for c in chains if partition(b"%d" % c, len(parts)) == part) for part in parts]
        self.probed = 0
        """Probes sent on each probe chain."""
        self.sent_at: dict[int, float] = {}
        """When each probe was handed to the producer, by number (unix seconds)."""
        self.whole: list[int] = []
        """Chains of `events.records` that were sent."""
        self.posted: list[int] = []
        """Chains that were sent over HTTP."""
        self.asked: list[int] = []
        """Chains about which swap requests were sent. They have no blocks, so that profiles are at rest."""
        self.answers: list[tuple[float, float]] = []
        """When each HTTP request that was answered with 2xx began and ended (unix seconds)."""
        self.events = 0
        """Events that were accepted."""
        self._counting = threading.Lock()

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Begin nothing more; `busy` says whether something is still under way."""
        self._stop.set()

    @property
    def busy(self) -> bool:
        """Whether anything is still being sent."""
        return any(thread.is_alive() for thread in self._threads)

    def _guarded(self, run: Callable[[], None]) -> None:
        try:
            run()
        except Exception as error:
            self.failed.append(error)

    def _producer(self) -> Producer:
        return Producer({**producer(self._settings), **PATIENT})

    def _send(self, client: Producer, chain_id: int, value: bytes, at: int | None = None) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self._count(events_in(value))
            else:
                self.failed.append(RuntimeError(f"a record was not delivered: {error}"))

        key = b"%d" % chain_id
        where = partition(key, self._settings.partitions) if at is None else at
        client.produce("chain.events", value, key, where, on_delivery=delivered)
        client.poll(0)

    def _count(self, events: int) -> None:
        with self._counting:
            self.events += events

    def _send_probes(self) -> None:
        client = self._producer()
        for number in itertools.count(FIRST_PROBE):
            if self._stop.wait(1 / PROBES_A_SECOND):
                break
            self.sent_at[number] = time.time()
            for chain_id in self.probes:
                self._send(client, chain_id, probe(chain_id, number))
            self.probed += 1
        _flush(client)

    def _send_chains(self) -> None:
        client = self._producer()
        while not self._stop.is_set():
            self.send_chain(client, next(self._chains), CHAIN_S)
        _flush(client)

    def send_chain(self, client: Producer, chain_id: int, seconds: float) -> None:
        """Send a chain of everything within a time; its first record goes to a wrong partition on purpose."""
        self.whole.append(chain_id)
        values, right = records(chain_id), partition(b"%d" % chain_id, self._settings.partitions)
        for place, value in enumerate(values):
            self._send(client, chain_id, value, None if place else (right + 1) % self._settings.partitions)
            if place == 0:
                _flush(client)  # it comes back by way of validate; what follows must not depend on when
            self._stop.wait(seconds / len(values))

    def _send_asked(self) -> None:
        client = self._producer()
        while not self._stop.is_set():
            self.send_asked(client, next(self._chains))

    def send_asked(self, client: Producer, chain_id: int) -> None:
        """Send swap requests about a chain."""
        self.asked.append(chain_id)
        for one in swaps(chain_id, ASKED):
            ask(client, [one])
            self._stop.wait(ASK_EVERY_S)
        _flush(client)

    def _send_posts(self) -> None:
        with httpx.Client(timeout=35, trust_env=False) as client:
            while not self._stop.is_set():
                self.send_posts(client, next(self._chains))

    def send_posts(self, client: httpx.Client, chain_id: int) -> None:
        """Send a chain over HTTP; each request again until it is answered with 2xx."""
        self.posted.append(chain_id)
        for events in posts(chain_id):
            while True:
                began = time.time()
                try:
                    answer = client.post(
                        f"{self._http()}/api/python/data/process-event-stream", json={"events": events}
                    )
                except httpx.TransportError:
                    time.sleep(0.1)
                    continue
                if answer.is_success:
                    break
                if answer.status_code < 500:
                    raise RuntimeError(f"HTTP refused an event: {answer.text[:500]}")
                time.sleep(0.1)
            self.answers.append((began, time.time()))
            self._count(len(events))
            self._stop.wait(POST_EVERY_S)


def _flush(client: Producer) -> None:
    while client.flush(1.0):
        pass
