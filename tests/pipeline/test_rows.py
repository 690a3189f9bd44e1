"""The newer row wins, on a real Redis."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator

import pytest
import redis

from base.settings import Settings
from tables import rows as rows_module
from tables.registry import BLOCKS, BLOCKS_BY_CHAIN, VERSION_DIGITS, BlockRow, answer_key, redis_key
from tables.rows import ANSWER_TTL_S, PART, Answer, Pointer, Row, heard, parse
from tests.conftest import wait_for
from topics.schemas.requests import Fault, Verdict, Verdicts

pytestmark = pytest.mark.pipeline


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client


@pytest.fixture
def key() -> str:
    return f"1:{uuid.uuid4().hex}"


def row(key: str, version: int, mark: int = 0, score: int | None = None, index: str = "") -> Row:
    value = BlockRow(
        chain_id=1, number=5, revision=version, status="complete", transactions=mark, events={}, rejected=0
    )
    pointers = () if score is None else (Pointer(BLOCKS_BY_CHAIN, index, score),)
    return Row(BLOCKS, key, version, value, pointers)


def write(client: redis.Redis, *rows: Row, answers: tuple[Answer, ...] = ()) -> list[int]:
    """Write rows and answers; the places of refused rows."""
    return rows_module.writing(client, rows, answers)()


def held(client: redis.Redis, key: str) -> BlockRow | None:
    stored = client.get(BLOCKS.row_key(key))
    assert not isinstance(stored, str)
    return parse(BlockRow, stored)


def test_an_older_row_is_refused_and_changes_nothing(client: redis.Redis, key: str) -> None:
    assert held(client, key) is None
    assert write(client, row(key, 9)) == []
    assert write(client, row(key, 8, mark=1)) == [0]
    assert held(client, key) == row(key, 9).value


def test_an_equal_version_is_a_repeat_and_written(client: redis.Redis, key: str) -> None:
    assert write(client, row(key, 9), row(key, 9, mark=1)) == []
    assert held(client, key) == row(key, 9, mark=1).value


def test_versions_compare_as_numbers(client: redis.Redis, key: str) -> None:
    assert write(client, row(key, 9), row(key, 10)) == []
    assert write(client, row(key, 9), row(key, 2**63 - 1), row(key, 10**18)) == [0, 2]
    assert (found := held(client, key)) is not None
    assert found.revision == 2**63 - 1


def test_refused_places_are_told_among_many(client: redis.Redis, key: str) -> None:
    for many in (300, PART, PART + 1, 3 * PART - 1):
        names = [f"{key}:{many}:{n}" for n in range(many)]
        write(client, *(row(name, 5) for name in names))
        index = f"{key}:{many}"
        # The rows of one part in the midst have no index entries.
        scores = [None if many > 2 * PART and PART <= n < 2 * PART else n for n in range(many)]
        batch = [row(name, 4 if n % 7 == 0 else 6, n, scores[n], index) for n, name in enumerate(names)]
        assert write(client, *batch) == [n for n in range(many) if n % 7 == 0]
        assert all((found := held(client, name)) and found.transactions == n for n, name in enumerate(names) if n % 7)
        assert client.zcard(redis_key(BLOCKS_BY_CHAIN.name, index)) == many - scores.count(None)


def test_any_order_of_writes_ends_with_the_newest(client: redis.Redis, key: str) -> None:
    chance = random.Random(3)
    for round in range(10):
        versions = chance.choices(range(20), k=12)
        for start in range(0, 12, 4):
            write(client, *(row(f"{key}:{round}", v) for v in versions[start : start + 4]))
        assert (found := held(client, f"{key}:{round}")) is not None
        assert found.revision == max(versions)


def test_a_row_lives_as_long_as_its_table_says(client: redis.Redis, key: str) -> None:
    write(client, row(key, 1))
    client.pexpire(BLOCKS.row_key(key), 300_000)
    write(client, row(key, 0))
    assert client.pttl(BLOCKS.row_key(key)) <= 300_000  # a refused write does not prolong it
    write(client, row(key, 2))
    assert client.ttl(BLOCKS.row_key(key)) > BLOCKS.ttl.total_seconds() - 60
    assert client.strlen(BLOCKS.row_key(key)) == VERSION_DIGITS + len(row(key, 2).stored)


def test_an_index_leads_to_the_rows_of_the_highest_scores(client: redis.Redis, key: str) -> None:
    name = redis_key(BLOCKS_BY_CHAIN.name, key)
    write(client, *(row(f"{key}:{n}", 1, score=n, index=key) for n in range(5)))
    assert client.zrevrange(name, 0, 1) == [f"{key}:4".encode(), f"{key}:3".encode()]
    client.zadd(name, {f"old{n}": -n - 1 for n in range(BLOCKS_BY_CHAIN.keep)})
    write(client, row(f"{key}:9", 1, score=9, index=key))
    assert client.zcard(name) == BLOCKS_BY_CHAIN.keep
    assert client.zrevrange(name, 0, 0) == [f"{key}:9".encode()]
    assert client.ttl(name) > 0


def test_who_writes_need_not_wait(client: redis.Redis, key: str) -> None:
    names = [f"{key}:{n}" for n in range(2 * PART)]
    written = rows_module.writing(client, [row(name, 5) for name in names])
    wait_for(lambda: held(client, names[-1]))
    again = rows_module.writing(client, [row(name, 4) for name in names])
    assert written() == [] and again() == [*range(2 * PART)]


def test_what_redis_refuses_is_told_and_nothing_of_it_to_the_next(client: redis.Redis, key: str) -> None:
    client.lpush(BLOCKS.row_key(key), "no row")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        write(client, *(row(f"{key}:{n}", 5) for n in range(2 * PART)), row(key, 5), row(f"{key}:last", 5))
    assert write(client, row(f"{key}:0", 4), row(f"{key}:new", 4)) == [0]


def test_an_answer_is_there_before_it_is_told(client: redis.Redis, key: str) -> None:
    value = row(key, 1).value
    with client.pubsub() as listener:  # type: ignore[no-untyped-call]
        listener.subscribe(f"replies:{key}")
        assert listener.get_message(timeout=60) is not None
        write(client, row(key, 1), answers=(Answer(key, f"replies:{key}", value), Answer(key + "x", None, value)))
        message = listener.get_message(timeout=60)
        assert message is not None
        name, _, told = message["data"].partition(b"\n")
        assert name == f'"{key}"'.encode()
        assert listener.get_message(timeout=0) is None
    assert told == client.get(answer_key(key)) == client.get(answer_key(key + "x"))
    assert BlockRow.model_validate_json(told) == value
    assert 0 < client.ttl(answer_key(key)) <= ANSWER_TTL_S


def test_large_answers_to_one_facade_are_told_in_messages_that_redis_can_hold(client: redis.Redis, key: str) -> None:
    """One message of them all may be more than Redis keeps for a listener: it would be cut off."""
    fault = Fault(field="x", code="y", message="z" * 600_000)
    value = Verdicts(verdicts=[Verdict(is_valid=False, errors=[fault], warnings=[], quality_score=0.0)])
    with client.pubsub() as listener:  # type: ignore[no-untyped-call]
        listener.subscribe(f"replies:{key}")
        assert listener.get_message(timeout=60) is not None
        write(client, answers=tuple(Answer(f"{key}{n}", f"replies:{key}", value) for n in range(3)))
        told = [name for _ in range(3) for name, _ in heard(listener.get_message(timeout=60)["data"])]
    assert told == [f"{key}{n}" for n in range(3)]
