"""What is asked while things are killed: swap requests and questions about MEV, each under an id of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle, islice
from typing import NamedTuple

import orjson
from confluent_kafka import Producer

from base.settings import ROOT
from topics.headers import REPLY_TO, REQUEST_ID
from topics.registry import REQUESTS_CHAIN, SWAP_REQUESTS
from topics.schemas.mev_question import DetectMev

REQUESTS = ROOT / "samples" / "fraud" / "requests.jsonl"
WHO = b"replies:chaos"


class Asked(NamedTuple):
    """A record of a topic of questions. The chain's id is a part of the request's."""

    topic: str
    id: str
    key: str
    value: bytes


def swaps(chain_id: int, many: int, wallets: Sequence[str] = ()) -> list[Asked]:
    """Swap requests between wallets of real payments, which this chain never saw; a third are sent by one of `wallets`."""
    made = []
    senders = cycle(wallets or [""])
    for number, line in enumerate(islice(REQUESTS.read_bytes().splitlines(), many)):
        told = {**orjson.loads(line), "chainId": chain_id}
        if number % 3 == 0 and (sender := next(senders)):
            told["fromAddress"] = sender
        made.append(Asked(SWAP_REQUESTS.name, f"swap-{chain_id}-{number}", told["fromAddress"], orjson.dumps(told)))
    return made


def questions(chain_id: int, many: int, known: Sequence[tuple[str, int]]) -> list[Asked]:
    """Questions that patterns answer, and every second one about a transaction of `known`: its hash and its block."""
    made = []
    places = cycle(known)
    for number in range(many):
        target: dict[str, str | int] = {"amount": 10 + number, "timestamp": 1_700_000_001}
        if number % 2:
            hash, block = next(places)
            target |= {"hash": hash, "blockNumber": block}
        around = [{"amount": 50, "timestamp": 1_700_000_000}, {"amount": 50.5, "timestamp": 1_700_000_002}]
        told = {"op": "detect_mev", "chain_id": chain_id, "target_tx": target, "surrounding_txs": around}
        value = DetectMev.model_validate(told).model_dump_json(exclude_none=True).encode()
        made.append(Asked(REQUESTS_CHAIN.name, f"mev-{chain_id}-{number}", f"asked-{number}", value))
    return made


def ask(client: Producer, asked: Iterable[Asked]) -> None:
    """Produce them, as the facade does."""
    for one in asked:
        client.produce(one.topic, one.value, one.key, headers=[(REQUEST_ID, one.id.encode()), (REPLY_TO, WHO)])
        client.poll(0)
