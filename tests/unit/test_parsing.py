"""Two agents of a worker that read one topic parse each of its values once."""

from __future__ import annotations

import threading
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, ValidationError

from agents import app, parsing
from agents.agent import Record
from agents.parsing import Shared, shared

PARSED: list[int] = []


def _noted(value: int) -> int:
    PARSED.append(value)
    return value


Schema = Annotated[int, AfterValidator(_noted)]


@pytest.fixture(autouse=True)
def fresh() -> None:
    PARSED.clear()


def record(offset: int, raw: bytes | None = None, partition: int = 0) -> Record:
    return Record("t", partition, offset, None, [], b"%d" % offset if raw is None else raw, None)


def test_the_second_reader_finds_what_the_first_made() -> None:
    parse = Shared(Schema)
    assert [parse(record(at)) for at in (1, 2, 3)] == [parse(record(at)) for at in (1, 2, 3)] == [1, 2, 3] == PARSED
    # Told again, as after a kill: parsed again, once.
    assert parse(record(2)) == parse(record(2)) == 2 and PARSED == [1, 2, 3, 2]


def test_another_record_is_not_mistaken_for_it() -> None:
    parse = Shared(Schema)
    assert [parse(record(1)), parse(record(1, partition=1, raw=b"5")), parse(record(1, raw=b"7"))] == [1, 5, 7]


def test_what_fits_no_schema_is_refused_to_both() -> None:
    parse = Shared(Schema)
    for _ in range(2):
        with pytest.raises(ValidationError):
            parse(record(1, raw=b"{"))


def test_no_more_is_held_than_a_reader_may_be_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "HELD_BYTES", 3)
    parse = Shared(Schema)
    for at in range(1, 6):
        parse(record(at))
    assert [parse(record(at)) for at in (5, 4, 3, 1)] == [5, 4, 3, 1] and PARSED == [1, 2, 3, 4, 5, 1]


def test_two_threads_parse_each_value_once() -> None:
    parse, found = Shared(Schema), [list[Any](), list[Any]()]
    threads = [
        threading.Thread(target=lambda mine=mine: mine.extend(parse(record(at)) for at in range(2_000)))
        for mine in found
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [list(range(2_000))] * 2 and sorted(PARSED) == list(range(2_000))


def test_only_agents_of_one_topic_share() -> None:
    agents = [agent for worker in app.WORKERS.values() for agent in worker.agents() if app._streamed(agent)]
    parsers = shared(agents)
    assert parsers["mev"] is parsers["blocks"] and isinstance(parsers["mev"], Shared)
    assert all(not isinstance(parse, Shared) for name, parse in parsers.items() if name not in ("mev", "blocks"))
