"""Questions by HTTP, answered by the real validate worker."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import orjson
import pytest
import redis
from aiokafka.errors import NotLeaderForPartitionError
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from base.settings import Settings
from facade.errors import unavailable
from facade.kafka import Producer
from facade.requests import LARGEST
from facade.routes.data import EXAMPLE
from tests.conftest import wait_for
from tests.contract.facade import failed, new_chain, serving, validating
from topics import codecs
from topics.admin import create
from topics.clients import common, consumer
from topics.headers import REQUEST_ID, TRACEPARENT, Headers, get
from topics.partition import partition
from topics.registry import DEAD_LETTER_ROOM, max_bytes

pytestmark = pytest.mark.pipeline

VALIDATE, PROCESS = "/api/python/data/validate-blockchain-event", "/api/python/data/process-event-stream"


@pytest.fixture(scope="module")
def http(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A facade whose worker answers."""
    create(settings)
    busy = settings.model_copy(update={"rate_limit_per_minute": 100_000})
    log = tmp_path_factory.mktemp("validate") / "worker.log"
    with validating(settings, log) as worker, serving(busy) as client:
        # Health would tell of workers of other tests too.
        wait_for(lambda: worker.poll() is not None or _answers(client))
        assert worker.poll() is None, log.read_text()[-3000:]
        yield client


def _answers(client: httpx.Client) -> bool:
    return client.post(VALIDATE, json={"event": EXAMPLE}).status_code == 200


def event(**changes: object) -> dict[str, object]:
    """A valid event of its own."""
    return {**EXAMPLE, "event_id": uuid.uuid4().hex, "transaction_hash": f"0x{uuid.uuid4().int:064x}", **changes}


def test_a_valid_event(http: httpx.Client) -> None:
    data = http.post(VALIDATE, json={"event": event()}).json()["data"]
    assert (data["is_valid"], data["errors"], data["source"]) == (True, [], "fresh")
    assert 0 < data["quality_score"] <= 1 and data["latency_ms"] > 0


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"transaction_hash": "0x123...abc"}, "transaction_hash"),
        ({"amount_in": "-1"}, "amount_in"),
        ({"token_out": "ETH"}, "token_out"),
        ({"event_type": "wish"}, "event_type"),
    ],
)
def test_an_invalid_event_is_an_answer(http: httpx.Client, wrong: dict[str, str], field: str) -> None:
    answer = http.post(VALIDATE, json={"event": event(**wrong)})
    data = answer.json()["data"]
    assert answer.status_code == 200 and data["is_valid"] is False
    assert field in {error["field"] for error in data["errors"]}, data
    assert all({"field", "code", "message"} == set(error) for error in data["errors"])


@pytest.mark.parametrize("anything", [None, 7, "text", [], {}, {"event_type": 3}])
def test_anything_may_be_asked_about(http: httpx.Client, anything: object) -> None:
    answer = http.post(VALIDATE, json={"event": anything})
    assert answer.status_code == 200 and answer.json()["data"]["is_valid"] is False


def test_an_infinite_number_has_the_verdict_that_it_has_by_kafka(http: httpx.Client) -> None:
    raw = orjson.dumps(event(gas_price="X")).replace(b'"X"', b"1e400")
    (by_kafka,) = codecs.decode_chain_events([raw])
    data = http.post(VALIDATE, content=b'{"event": %s}' % raw).json()["data"]
    assert data["is_valid"] is False
    assert data["errors"] == [fault.model_dump() for fault in codecs.event_faults(by_kafka.value)]
    answer = http.post(PROCESS, content=b'{"events": [{"event_id": 1e400}]}')
    assert b"Infinity" not in answer.content  # which would be no JSON
    assert answer.json()["data"]["rejected"][0]["event_id"] is None


def test_base_units_of_any_size_are_kept(http: httpx.Client) -> None:
    huge = 123456789012345678901234567890
    data = http.post(PROCESS, json={"events": [event(amount_in_raw=huge)]}).json()["data"]
    assert data["valid"] == 1, data


def test_one_request_id_for_many_questions(http: httpx.Client) -> None:
    named = {"X-Request-ID": "same-for-all"}

    def ask(number: int) -> bool:
        good = number % 2 == 0
        body = {"event": event() if good else {"number": number}}
        return bool(http.post(VALIDATE, json=body, headers=named).json()["data"]["is_valid"] is good)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(40)))


def test_what_is_odd_about_a_valid_event_is_told_and_it_is_sent_on(http: httpx.Client) -> None:
    """A field we do not know, and a swap that its pool's Sync contradicts."""
    pool, token0, token1 = (f"0x{digit * 40}" for digit in "789")
    told = event(event_type="sync", log_index=4, pool=pool, token0=token0, token1=token1)
    told |= {"reserve0_raw": "1100", "reserve1_raw": "910"}
    for name in ("token_in", "token_out", "amount_in", "amount_out"):
        del told[name]
    sold = {**event(log_index=5), "transaction_hash": told["transaction_hash"], "pool": pool, "token_in": token0}
    sold |= {"token_out": token1, "amount_in_raw": "100", "amount_out_raw": "99", "mood": "odd"}
    data = http.post(PROCESS, json={"events": [told, event(amount_in="no"), sold]}).json()["data"]
    assert (data["valid"], [one["index"] for one in data["ids"]]) == (2, [0, 2])
    (warned,) = data["warned"]
    assert (warned["index"], warned["event_id"], warned["quality_score"]) == (2, sold["event_id"], 0.9)
    assert [(one["field"], one["code"]) for one in warned["warnings"]] == [
        ("mood", "unknown_field"),
        ("amount_out", "price_of_pool"),
    ]


def test_valid_events_go_to_their_topic_and_the_answer_says_where(http: httpx.Client, settings: Settings) -> None:
    chain = new_chain()
    good = [event(chain_id=chain), event(chain_id=chain)]
    bad = event(chain_id=chain, amount_in="nothing")
    trace = f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"
    headers = {"X-Request-ID": "process-1", "traceparent": trace}
    answer = http.post(PROCESS, json={"events": [good[0], bad, good[1]]}, headers=headers)
    data = answer.json()["data"]
    assert (answer.status_code, data["processed"], data["valid"]) == (200, 3, 2)
    assert [(one["index"], one["event_id"]) for one in data["rejected"]] == [(1, bad["event_id"])]
    assert data["rejected"][0]["errors"][0]["field"] == "amount_in"
    assert [(one["index"], one["event_id"]) for one in data["ids"]] == [
        (0, good[0]["event_id"]),
        (2, good[1]["event_id"]),
    ]
    assert data["warned"] == []
    for one, sent in zip(data["ids"], good, strict=True):
        assert one["topic"] == "chain.events"
        assert one["partition"] == partition(str(chain).encode(), settings.partitions)
        key, value, found = _record(settings, one["partition"], one["offset"])
        assert key == str(chain).encode() and orjson.loads(value)["transaction_hash"] == sent["transaction_hash"]
        assert get(found, REQUEST_ID) == b"process-1" and get(found, TRACEPARENT) == trace.encode()


def _record(settings: Settings, number: int, offset: int) -> tuple[Any, Any, Any]:
    reader = Consumer(consumer(settings, f"test-{uuid.uuid4().hex}"))
    try:
        reader.assign([TopicPartition("chain.events", number, offset)])
        message: Any = wait_for(lambda: reader.poll(0.5))
        assert message.error() is None and message.offset() == offset
        return message.key(), message.value(), message.headers()
    finally:
        reader.close()


@pytest.mark.parametrize("at_once", [False, True], ids=["acknowledgement fails", "cannot be sent"])
def test_a_failure_in_the_middle_names_what_kafka_has(
    http: httpx.Client, settings: Settings, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    chains = _one_chain_of_each_partition(settings)
    sent = [event(chain_id=chains[number]) for number in (0, 1, 0)]
    body = {"events": [{"event_type": "wish"}, *sent]}
    real = Producer.send

    async def lame(self: Producer, topic: str, key: bytes, value: bytes, headers: Headers, until: float) -> Any:
        """Partition 1 of chain.events has lost its leader."""
        if topic != "chain.events" or partition(key, settings.partitions) != 1:
            return await real(self, topic, key, value, headers, until)
        if at_once:
            raise unavailable("Kafka cannot be reached")
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lost.set_exception(NotLeaderForPartitionError())
        return lost

    with monkeypatch.context() as patched:
        patched.setattr(Producer, "send", lame)
        answer = http.post(PROCESS, json=body)
    error = failed(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    details: Any = error["details"]
    # What cannot be sent holds up what comes after it; what only fails does not.
    assert details["not_acknowledged"] == ([2, 3] if at_once else [2])
    assert [one["index"] for one in details["acknowledged"]] == ([1] if at_once else [1, 3])
    for one in details["acknowledged"]:
        key, value, _ = _record(settings, one["partition"], one["offset"])
        assert key == str(chains[0]).encode()
        assert orjson.loads(value)["event_id"] == one["event_id"] == sent[one["index"] - 1]["event_id"]
    again = http.post(PROCESS, json=body).json()["data"]
    assert (again["valid"], [one["index"] for one in again["ids"]]) == (3, [1, 2, 3])


def _one_chain_of_each_partition(settings: Settings) -> list[int]:
    chains: dict[int, int] = {}
    while len(chains) < settings.partitions:
        chain = new_chain()
        chains[partition(str(chain).encode(), settings.partitions)] = chain
    return [chains[number] for number in sorted(chains)]


def test_a_broker_that_takes_less_than_it_should_is_no_reason_to_send_again(
    http: httpx.Client, settings: Settings
) -> None:
    configure(settings, "chain.events", {"max.message.bytes": "500"})
    try:
        wait_for(lambda: http.post(PROCESS, json={"events": [event()]}).status_code == 413)
        answer = http.post(PROCESS, json={"events": [event()]})
        assert failed(answer, 413, "too_large")["details"] == {"acknowledged": [], "not_acknowledged": [0]}
        assert "retry-after" not in answer.headers
    finally:
        configure(settings, "chain.events", {"max.message.bytes": str(max_bytes("chain.events") + DEAD_LETTER_ROOM)})
    assert wait_for(lambda: http.post(PROCESS, json={"events": [event()]}).status_code == 200)


def configure(settings: Settings, topic: str, values: dict[str, str]) -> None:
    """Set configuration of a topic."""
    changes = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in values.items()]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=changes)
    admin = AdminClient(common(settings))  # it must outlive its futures
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(60)


def test_an_empty_stream_is_no_question(http: httpx.Client) -> None:
    data = http.post(PROCESS, json={"events": []}).json()["data"]
    assert (data["processed"], data["valid"], data["rejected"], data["ids"]) == (0, 0, [], [])


def test_a_full_body_of_events_is_taken(http: httpx.Client) -> None:
    events = [event(block_number=17_000_000 + number) for number in range(1500)]
    assert 700_000 < len(orjson.dumps({"events": events})) < 1024 * 1024
    data = http.post(PROCESS, json={"events": events}).json()["data"]
    assert (data["processed"], data["valid"], len(data["ids"])) == (1500, 1500, 1500)


@pytest.mark.parametrize("number", [b"1e5", b"1e15"])
def test_a_full_body_of_numbers_is_taken(http: httpx.Client, number: bytes) -> None:
    """They are longer when they are written anew: `1e15` makes 3.8 bytes of each."""
    count = (LARGEST - 100) // (len(number) + 1)
    answer = http.post(VALIDATE, content=b'{"event": [%s]}' % b",".join([number] * count))
    assert answer.status_code == 200 and answer.json()["data"]["is_valid"] is False


@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
def test_every_depth_is_answered_at_once(http: httpx.Client, pair: tuple[bytes, bytes]) -> None:
    seen = set()
    for depth in (1, 100, *range(190, 205)):
        value = pair[0] * depth + b"1" + pair[1] * depth
        for path, body in ((VALIDATE, b'{"event": %s}'), (PROCESS, b'{"events": [%s]}')):
            answer = http.post(path, content=body % value, timeout=20)  # sooner than a question is given up
            assert answer.status_code == 200 or depth > 100
            if answer.status_code == 422:
                (detail,) = failed(answer, 422, "invalid_request")["details"]
                assert (detail["field"], "nest" in detail["fault"]) == ("event", True)
            elif answer.status_code != 200:
                failed(answer, 400, "malformed_json")
            seen.add((path, answer.status_code))
    assert seen == {(VALIDATE, 200), (VALIDATE, 422), (VALIDATE, 400), (PROCESS, 200), (PROCESS, 400)}


def test_many_at_once(http: httpx.Client) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: http.post(VALIDATE, json={"event": event()}), range(200)))
    assert all(answer.json()["data"]["is_valid"] for answer in answers)


def test_a_worker_that_comes_late_still_answers(
    settings: Settings, http: httpx.Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Asked while another worker is being started: no question is lost in the rebalance."""
    log = tmp_path_factory.mktemp("second") / "worker.log"
    answers: list[int] = []
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            answers.append(http.post(VALIDATE, json={"event": event()}).status_code)

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        with validating(settings, log) as worker:
            wait_for(lambda: f'"pid":{worker.pid},' in heartbeats(settings))
            before = len(answers)
            wait_for(lambda: len(answers) >= before + 100)
    finally:
        stop.set()
        asking.join()  # each request has a limit of its own
    assert answers and set(answers) == {200}


def heartbeats(settings: Settings) -> str:
    """The rows of all workers, as they lie in Redis."""
    with redis.Redis.from_url(settings.redis_url) as client:
        return "".join((client.get(key) or b"").decode() for key in client.scan_iter("workers:*"))
