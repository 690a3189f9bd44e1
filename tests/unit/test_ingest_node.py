"""Following a chain, the parts that need none: what went wrong with a node, blocks too large for a record, the cursor's file."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from ingest.decode import Decoded
from ingest.node import cursor
from ingest.node.blocks import Raw
from ingest.node.cursor import Cursor, Link, Unusable
from ingest.node.envelopes import Envelopes, Ready, forget_old, pieces
from ingest.node.lasting import Lasting
from ingest.node.rpc import AT_ONCE, Call, Endpoint, NodeError, RateLimited, Refused, Slow, TooLarge
from tests.unit.raw_logs import ALICE, BOB, TX, log, transfer_of
from tests.unit.test_ingest_protocols import V4_SWAP
from topics.codecs import encode
from topics.schemas.chain import Block, Header, Transfer


class Said(Endpoint):
    """An endpoint that got this answer."""

    async def _post(self, body: bytes) -> Any:
        return self.said

    said: Any = None


def ask(answer: Any, calls: int = 1) -> list[Any]:
    async def asked() -> list[Any]:
        async with aiohttp.ClientSession() as session:
            endpoint = Said("http://user:secret@node.example:8545/v2/key", session)
            endpoint.said = answer
            assert endpoint.name == "http://node.example:8545"
            return await endpoint.ask([Call("eth_blockNumber", [])] * calls)

    return asyncio.run(asked())


def hash_of(number: int) -> str:
    return f"0x{number:064x}"


def error(code: int, message: str) -> dict[str, Any]:
    return {"id": 0, "error": {"code": code, "message": message}}


@pytest.mark.parametrize(
    "answer, kind",
    [
        (error(-32005, "limit exceeded"), RateLimited),
        (error(-32000, "Too Many Requests"), RateLimited),
        (error(-32016, "rate limit reached, slow down"), RateLimited),
        (error(429, "your app has exceeded its compute units per second capacity"), RateLimited),
        (error(-32600, "batch size too large"), TooLarge),
        (error(-32000, "response size is too large"), TooLarge),
        ({"id": 0}, NodeError),
        ("pong", NodeError),
        ([], NodeError),
    ],
)
def test_what_a_node_says_is_told_apart(answer: Any, kind: type[NodeError]) -> None:
    with pytest.raises(NodeError) as told:
        ask(answer)
    assert type(told.value) is kind


def test_a_refused_call_is_an_answer_and_batches_come_in_any_order() -> None:
    (refused,) = ask(error(-32601, "the method eth_getBlockReceipts does not exist/is not available"))
    assert isinstance(refused, Refused) and refused.unknown_method
    (reverted,) = ask(error(3, "execution reverted"))
    assert isinstance(reverted, Refused) and not reverted.unknown_method
    assert ask([{"id": 1, "result": "b"}, {"id": 0, "result": "a"}], 2) == ["a", "b"]
    with pytest.raises(NodeError, match="left out 1 of 2"):
        ask([{"id": 1, "result": "b"}], 2)


def test_how_long_it_asked_to_wait() -> None:
    limited = {"id": 0, "error": {"code": -32005, "message": "rate limited", "data": {"backoff_seconds": 7}}}
    with pytest.raises(RateLimited) as told:
        ask(limited)
    assert told.value.wait_s == 7


def test_a_block_too_large_for_a_record_comes_in_parts_that_say_the_same() -> None:
    swap = {"event_type": "sync", "pool": "0x" + "a" * 40, "reserve0_raw": "1", "reserve1_raw": "2"}
    events = [
        {**swap, "transaction_hash": f"0x{at:064x}", "transaction_index": at, "log_index": at} for at in range(300)
    ]
    transactions = [{"hash": f"0x{at:064x}", "index": at} for at in range(300)]
    head = {"chain_id": 1, "number": 5, "status": "complete", "hash": "0x" + "b" * 64}
    block = Block.model_validate({**head, "events": events, "transactions": transactions})
    decoded = Decoded(Header.model_validate(head), transactions, events)
    (whole,) = pieces(decoded)
    assert orjson.loads(whole) == orjson.loads(encode(block))
    told = pieces(decoded, 20_000)
    parts = [Block.model_validate_json(value) for value in told]
    assert len(parts) > 2 and all(len(value) <= 20_000 for value in told)
    assert {part.status for part in parts} == {"partial"}
    assert [event for part in parts for event in part.events] == block.events
    assert [one for part in parts for one in part.transactions] == block.transactions
    assert {(part.hash, part.number) for part in parts} == {(block.hash, 5)}


class Few(Endpoint):
    """An endpoint that answers so many calls in time, and no more."""

    async def _post(self, body: bytes) -> Any:
        calls = orjson.loads(body)
        if not isinstance(calls, list):
            return {"id": 0, "result": "a"}
        if len(calls) > 20:
            raise Slow("no answer within 30 s")
        return [{"id": call["id"], "result": "a"} for call in calls]


def test_a_node_that_cannot_send_so_much_in_time_is_asked_for_less() -> None:
    async def asked() -> list[int]:
        async with aiohttp.ClientSession() as session:
            endpoint, sizes = Few("http://node.example", session), []
            for _ in range(4):
                with contextlib.suppress(Slow):
                    assert await endpoint.ask([Call("eth_blockNumber", [])] * 64) == ["a"] * 64
                sizes.append(endpoint.in_time)
            return sizes

    # 64 calls; 32; in batches of 16, 17, 18 and the rest; of 19, 20, and 21.
    assert asyncio.run(asked()) == [32, 16, 19, 10]


class Tells(Endpoint):
    """An endpoint that knows what `told` says of every token, and counts how often it was asked."""

    async def ask(self, calls: Sequence[Call]) -> list[Any]:
        self.asked += 1
        return [self.told for _ in calls]

    told: str = "0x"
    asked: int = 0


def test_what_a_node_behind_could_not_tell_is_asked_again() -> None:
    def raw(number: int) -> Raw:
        block = {
            "number": hex(number),
            "hash": hash_of(number),
            "parentHash": hash_of(number - 1),
            "transactions": [TX],
        }
        receipt = {"transactionHash": TX, "transactionIndex": "0x3", "logs": [transfer_of(ALICE, ALICE, BOB, 15)]}
        return Raw(number, hash_of(number), hash_of(number - 1), block, [receipt])

    async def made() -> list[tuple[int, str | None]]:
        async with aiohttp.ClientSession() as session:
            endpoint, envelopes = Tells("http://node.example", session), Envelopes(31337)
            found = []
            for number in (10, 11, 12, 27, 28, 29):
                endpoint.told = "0x" if number < 28 else f"0x{1:064x}"
                (record,) = (await envelopes.make(endpoint, raw(number))).records
                (event,) = Block.model_validate_json(record.value).events
                assert isinstance(event, Transfer)
                found.append((endpoint.asked, event.amount_in))
            return found

    assert asyncio.run(made()) == [(1, None), (1, None), (2, None), (2, None), (3, "1.5"), (3, "1.5")]


class Searches(Endpoint):
    """An endpoint without an index of logs: it has no time to search them."""

    async def _post(self, body: bytes) -> Any:
        calls = orjson.loads(body)
        if isinstance(calls, dict) and calls["method"] == "eth_getLogs":
            raise Slow("no answer within 30 s")
        return [{"id": call["id"], "result": "0x"} for call in calls] if isinstance(calls, list) else {"result": "0x"}


def test_a_search_that_takes_too_long_holds_no_block_up() -> None:
    swap = log(BOB, V4_SWAP, [7, BOB], [7, -3, 1, 1, 1, 3000])
    block = {"number": "0x5", "hash": hash_of(5), "parentHash": hash_of(4), "transactions": [TX]}
    receipt = {"transactionHash": TX, "transactionIndex": "0x3", "logs": [swap]}

    async def made() -> tuple[Ready, int]:
        async with aiohttp.ClientSession() as session:
            endpoint = Searches("http://node.example", session)
            raw = Raw(5, hash_of(5), hash_of(4), block, [receipt])
            return await Envelopes(31337).make(endpoint, raw), endpoint.in_time

    ready, in_time = asyncio.run(made())
    assert (ready.undecoded, in_time) == ({"unknown_pool": 1}, AT_ONCE)


def test_what_lasts_is_told_and_what_passes_is_not() -> None:
    """A node that is a block behind for moments is no chain that began anew."""
    shorter = Lasting(30.0)
    looks = [
        (0, True),
        (29, True),
        (29.5, False),
        (40, True),
        (69, True),
        (70, True),
        (71, True),
        (99, True),
        (100, True),
    ]
    assert [at for at, so in looks if shorter.due(so, at)] == [70, 100]


def test_no_more_is_remembered_than_there_is_room_for() -> None:
    held = dict.fromkeys(range(10))
    forget_old(held, 10)
    assert len(held) == 10
    forget_old(held, 9)
    assert list(held) == [5, 6, 7, 8, 9]


def test_a_cursor_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "cursor.json"
    assert cursor.load(path, 7) == Cursor(chain_id=7)
    link = Link(number=5, hash="0x" + "b" * 64, parent="0x" + "c" * 64)
    written = Cursor(chain_id=7, confirmed=4, blocks=[link])
    written.save(path)
    assert cursor.load(path, 7) == written
    with pytest.raises(Unusable, match="is of chain 7, not 8"):
        cursor.load(path, 8)
    path.write_text("{")
    with pytest.raises(Unusable, match=r"cannot be read \(.*\); delete it"):
        cursor.load(path, 7)
