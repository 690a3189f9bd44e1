"""How a question finds its answer when messages are lost: real Redis, and a producer that only notes what it was given."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

from agents.activity import Activity
from agents.agent import Record
from agents.outlet import Outlet
from agents.runtime import DeadLetterLimit, refuse_for_error
from base import tasks
from base.settings import Settings
from facade import questions as module
from facade.context import connect
from facade.errors import ApiError
from facade.questions import JITTER, TRIES, Questions, pauses
from facade.requests import Trace
from tables.registry import answer_key
from tables.rows import Answer, stage
from tests.pipeline.proxy import proxied
from topics.admin import create
from topics.headers import REPLY_TO, REQUEST_ID, TRACEPARENT, Headers
from topics.schemas.requests import Verdicts

pytestmark = pytest.mark.pipeline

QUESTION = b'{"op":"validate_events","events":[{}]}'
EMPTY = Verdicts(verdicts=[])


class Notes:
    """A producer that acknowledges at once, and calls back."""

    def __init__(self, sent: Callable[[dict[str, str]], None] = lambda headers: None, error: Exception | None = None):
        self.headers: list[dict[str, str]] = []
        self._sent, self._error = sent, error

    async def send(self, topic: str, key: bytes, value: bytes, headers: Headers, until: float) -> Any:
        told = {name: text.decode() for name, text in headers}
        assert (topic, key.decode()) == ("requests.data", told[REPLY_TO])
        assert value == QUESTION
        self.headers.append(told)
        self._sent(told)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_exception(self._error) if self._error else done.set_result(None)
        return done


@pytest.fixture
def store(settings: Settings) -> redis.Redis:
    return redis.Redis.from_url(settings.redis_url)


def during(
    settings: Settings, producer: Notes, work: Callable[[Questions], Awaitable[Any]], budget_s: float = 1.0
) -> Any:
    """What `work` makes of questions that listen."""

    async def inside() -> Any:
        client = connect(settings)
        quick = settings.model_copy(update={"reply_timeout_s": budget_s})
        questions = Questions(quick, client, producer)  # type: ignore[arg-type]
        await questions.start()
        try:
            while (
                not await client.pubsub_numsub(questions.channel)
                or not (await client.pubsub_numsub(questions.channel))[0][1]
            ):
                await asyncio.sleep(0.01)
            return await work(questions)
        finally:
            await questions.stop()
            await client.aclose()

    return asyncio.run(inside())


def answered(store: redis.Redis, headers: dict[str, str], publish: bool = True) -> None:
    """Answer as the runtime does."""
    with store.pipeline(transaction=False) as pipe:
        stage(pipe, [], [Answer(headers[REQUEST_ID], headers[REPLY_TO] if publish else None, EMPTY)])
        pipe.execute()


def test_the_pauses_fit_the_budget_and_grow() -> None:
    for _ in range(200):
        found = pauses(30)
        assert len(found) == TRIES and sum(found) <= 30 + 1e-9
        for before, after in itertools.pairwise(found):
            assert 1.5 / (1 + JITTER) - 1e-9 <= after / before <= 1.5 * (1 + JITTER) + 1e-9


def test_an_answer_is_heard(settings: Settings, store: redis.Redis) -> None:
    producer = Notes(lambda headers: answered(store, headers))
    answer = during(
        settings, producer, lambda questions: questions.ask("requests.data", QUESTION, "heard", [(TRACEPARENT, b"t")])
    )
    assert Verdicts.model_validate_json(answer) == EMPTY
    assert len(producer.headers) == 1 and producer.headers[0][TRACEPARENT] == "t"
    assert store.ttl(answer_key("heard")) > 50


def test_who_asks_what_our_code_fails_on_is_told_at_once(settings: Settings) -> None:
    create(settings)
    outlet = Outlet(settings, Activity())

    def fail(headers: dict[str, str]) -> None:
        carried = [(name, value.encode()) for name, value in headers.items()]
        record = Record("requests.data", 0, 0, b"", carried, QUESTION, None)
        refuse_for_error("verdicts", record, RuntimeError("a bug of ours"), outlet, DeadLetterLimit())

    producer = Notes(fail)
    with pytest.raises(ApiError) as told:
        during(settings, producer, lambda questions: questions.ask("requests.data", QUESTION, "guilty", []), 30)
    assert (told.value.code, len(producer.headers)) == ("internal", 1)
    assert "bug" not in str(told.value)


def test_a_question_is_repeated_under_its_id(settings: Settings, store: redis.Redis) -> None:
    producer = Notes(lambda headers: answered(store, headers) if len(producer.headers) == 3 else None)
    during(settings, producer, lambda questions: questions.ask("requests.data", QUESTION, "repeated", []))
    assert [headers[REQUEST_ID] for headers in producer.headers] == ["repeated"] * 3


def test_an_answer_that_was_not_heard_is_read_before_a_repeat(settings: Settings, store: redis.Redis) -> None:
    producer = Notes(lambda headers: answered(store, headers, publish=False))
    during(settings, producer, lambda questions: questions.ask("requests.data", QUESTION, "unheard", []))
    assert len(producer.headers) == 1


def test_the_row_is_read_at_the_limit(settings: Settings, store: redis.Redis) -> None:
    producer = Notes(
        lambda headers: answered(store, headers, publish=False) if len(producer.headers) == TRIES else None
    )
    during(settings, producer, lambda questions: questions.ask("requests.data", QUESTION, "limit", []))
    assert len(producer.headers) == TRIES


def test_no_answer_is_a_timeout_within_the_budget(settings: Settings) -> None:
    began = time.monotonic()
    with pytest.raises(ApiError) as caught:
        during(settings, Notes(), lambda questions: questions.ask("requests.data", QUESTION, "never", []))
    assert caught.value.code == "timeout" and 1.0 <= time.monotonic() - began < 5


def test_a_question_that_kafka_refuses_waits_no_longer(settings: Settings) -> None:
    producer = Notes(error=KafkaConnectionError("secret:9092"))
    began = time.monotonic()
    with pytest.raises(ApiError) as caught:
        during(settings, producer, lambda questions: questions.ask("requests.data", QUESTION, "refused", []), 120)
    assert caught.value.code == "unavailable" and "secret" not in caught.value.message
    assert time.monotonic() - began < 10  # the first repeat comes after 22 s


def test_a_question_too_large_for_the_broker_is_told_so(settings: Settings) -> None:
    producer = Notes(error=MessageSizeTooLargeError("secret:9092"))
    with pytest.raises(ApiError) as caught:
        during(settings, producer, lambda questions: questions.ask("requests.data", QUESTION, "large", []), 20)
    assert caught.value.code == "too_large" and "this body" in caught.value.message


def test_what_was_published_while_the_channel_was_away_is_looked_up(settings: Settings, store: redis.Redis) -> None:
    def cut(headers: dict[str, str]) -> None:
        """End every subscription, then answer: the message reaches nobody."""
        store.client_kill_filter(_type="pubsub")
        answered(store, headers)

    producer = Notes(cut)
    began = time.monotonic()
    during(settings, producer, lambda questions: questions.ask("requests.data", QUESTION, "cut", []), 120)
    assert len(producer.headers) == 1 and time.monotonic() - began < 10  # long before a repeat


def test_a_connection_that_hangs_is_noticed_and_what_it_swallowed_is_looked_up(
    settings: Settings, store: redis.Redis
) -> None:
    with proxied(settings) as proxy:

        def hang(headers: dict[str, str]) -> None:
            proxy.hang()
            answered(store, headers)

        async def ask(questions: Questions) -> bytes:
            await asyncio.gather(*(questions._redis.ping() for _ in range(5)))  # idle ones hang as well
            return await questions.ask("requests.data", QUESTION, "hung", [])

        producer = Notes(hang)
        began = time.monotonic()
        during(proxy.settings, producer, ask, 120)
        assert len(producer.headers) == 1 and time.monotonic() - began < 15  # before a repeat


def test_a_quiet_connection_that_lives_is_kept(
    settings: Settings, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUIET_S", 0.02)

    def pings() -> int:
        return int(store.info("commandstats").get("cmdstat_ping", {}).get("calls", 0))

    def listeners() -> set[str]:
        return {client["id"] for client in store.client_list(_type="pubsub")}

    async def wait(questions: Questions) -> None:
        before, first = listeners(), pings()
        while pings() < first + 5:
            await asyncio.sleep(0.01)
        assert listeners() == before != set()

    during(settings, Notes(), wait)


def test_it_stops_at_whatever_moment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the cancellation comes just when a ping is sent, of which Python 3.11 takes no notice."""
    monkeypatch.setattr(module, "QUIET_S", 0.001)
    monkeypatch.setattr(tasks, "AGAIN_S", 0.05)

    async def once(after_s: float) -> None:
        client = connect(settings)
        questions = Questions(settings, client, Notes())  # type: ignore[arg-type]
        await questions.start()
        await asyncio.sleep(after_s)
        stopped, _ = await asyncio.wait([asyncio.create_task(questions.stop())], timeout=10)
        assert stopped
        await client.aclose()

    async def often() -> None:
        for number in range(20):
            await once(0.02 + number * 0.00025)

    asyncio.run(often())


def test_two_who_ask_the_same_both_hear(settings: Settings, store: redis.Redis) -> None:
    producer = Notes(lambda headers: answered(store, headers) if len(producer.headers) == 2 else None)

    async def both(questions: Questions) -> list[bytes]:
        return await asyncio.gather(*(questions.ask("requests.data", QUESTION, "both", []) for _ in range(2)))

    first, second = during(settings, producer, both)
    assert first == second


def test_the_id_of_a_question_is_its_own() -> None:
    made, given = Trace.of({}), Trace.of({b"x-request-id": b"mine"})
    assert made.question_id(QUESTION) == made.request_id
    # A caller may use one id for several questions: their answers must not be mixed up.
    assert given.question_id(QUESTION).startswith("mine:")
    assert given.question_id(QUESTION) == given.question_id(QUESTION) != given.question_id(b"{}")
