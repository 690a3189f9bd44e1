"""A block as a node gave it to what chain.events takes: decoded, with what the node tells of pools and tokens when asked."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

import orjson

from ingest.decode import Decoded, assemble
from ingest.facts import Facts, Wanted
from ingest.node.blocks import Raw
from ingest.node.cursor import Link
from ingest.node.outlet import Record
from ingest.node.rpc import Call, Endpoint, NodeError, Refused, Slow
from ingest.protocols import learn, requests
from ingest.raw import Malformed, parse_value
from topics.codecs import encode
from topics.headers import CONTENT_TYPE
from topics.registry import CHAIN_EVENTS
from topics.schemas.chain import Block

T = TypeVar("T")

log = logging.getLogger("soba.ingest")

SEARCH = "eth_getLogs"
ASKED_AGAIN, LONGER = 2, 8
"""What a node could not tell is asked again so many blocks later, then each time after so many times as many: it may have been
behind, and the contract new."""
MOST_KEPT = 200_000
"""So many pools, tokens, and questions without an answer are remembered; of more, the older half is forgotten, and asked anew."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A block that can be sent."""

    link: Link
    records: list[Record]
    """One, the complete envelope; or, where that is larger than the topic takes, partial ones."""
    undecoded: Counter[str]
    size: int
    """Bytes of all records."""


@dataclass(slots=True)
class Envelopes:
    """Makes them for one chain, and remembers what nodes told of its pools and tokens, for a while also that they told nothing."""

    chain_id: int
    facts: Facts = field(default_factory=Facts)
    _untold: dict[Wanted, tuple[int, int]] = field(default_factory=dict)
    """What no node could tell → from which block on it is asked again, and how many blocks that was put off."""

    async def make(self, endpoint: Endpoint, raw: Raw) -> Ready:
        """Decode a block, asking `endpoint` for what it takes and is not known yet.

        Raises:
            NodeError: the block is not as JSON-RPC has it, or the node did not answer what it was asked.
        """
        for held in (self.facts.pools, self.facts.decimals, self._untold):
            forget_old(held)
        value = {"block": raw.block, "receipts": raw.receipts, "chain_id": self.chain_id}
        try:
            parsed = replace(parse_value(value, f"block {raw.number}"), facts=self.facts)
            decoded = assemble(parsed, f"block {raw.number}")
            missing = [one for one in decoded.wanted if self._untold.get(one, (0, 0))[0] <= raw.number]
            if missing and await self._learn(endpoint, missing, raw.number):
                decoded = assemble(parsed, f"block {raw.number}")
        except Malformed as error:
            raise NodeError(f"gave a block that cannot be read: {error}") from None
        records = [record_of(self.chain_id, value) for value in pieces(decoded)]
        link = Link(number=raw.number, hash=raw.hash, parent=raw.parent)
        return Ready(link, records, decoded.undecoded, sum(len(record.value) for record in records))

    def removal(self, link: Link) -> Record:
        """The envelope that takes a block back."""
        block = Block(
            chain_id=self.chain_id,
            number=link.number,
            hash=link.hash,
            parent_hash=link.parent,
            status="removed",
            events=[],
        )
        return record_of(self.chain_id, encode(block))

    async def decimals(self, endpoint: Endpoint, tokens: Iterable[str]) -> None:
        """Learn these tokens' decimals; those that no node could tell are left to the blocks they come in.

        Raises:
            NodeError: the node did not answer.
        """
        wanted = {Wanted("token", token, token) for token in tokens if token not in self.facts.decimals}
        await self._learn(endpoint, [one for one in wanted if one not in self._untold], 0)

    async def _learn(self, endpoint: Endpoint, wanted: list[Wanted], number: int) -> bool:
        """Ask for all of `wanted`, which came up in block `number`; whether anything was learnt."""
        asked = [(one, requests(one)) for one in wanted]
        calls = [Call(request.method, request.params) for _, each in asked for request in each]
        told = iter(await _answers(endpoint, calls))
        learnt = False
        for one, each in asked:
            if learn(self.facts, one, [next(told) for _ in each]):
                learnt = True
                self._untold.pop(one, None)
            else:
                later = LONGER * self._untold[one][1] if one in self._untold else ASKED_AGAIN
                self._untold[one] = (number + later, later)
        return learnt


async def _answers(endpoint: Endpoint, calls: list[Call]) -> list[Any]:
    """The result of each call; None where the node refused, or had no time to search its whole chain.

    A call that reverted is an answer: such a contract has no such function.
    """
    plain = iter(await endpoint.ask([call for call in calls if call.method != SEARCH]))
    found: list[Any] = []
    for call in calls:
        if call.method == SEARCH:
            try:
                found += await endpoint.ask([call])
            except Slow as error:
                log.warning("%s: %s to a search for a pool; it is asked again later", endpoint.name, error)
                found.append(None)
        else:
            found.append(next(plain))
    return [None if isinstance(one, Refused) else one for one in found]


def forget_old(held: dict[Any, Any], most: int = MOST_KEPT) -> None:
    """Drop the older half of what is `held` where that is more than `most`."""
    if len(held) > most:
        for key in list(islice(held, len(held) // 2)):
            del held[key]


def pieces(decoded: Decoded, limit: int = CHAIN_EVENTS.max_bytes) -> list[bytes]:
    """A block as it is sent; where that is larger than `limit` bytes, the partial envelopes that together say the same."""
    header = {name: told for name, told in decoded.header.__dict__.items() if told is not None}
    whole = orjson.dumps({**header, "transactions": decoded.transactions, "events": decoded.events})
    if len(whole) <= limit:
        return [whole]
    parts = len(whole) // (limit // 2) + 1
    return [
        orjson.dumps(
            {
                **header,
                "status": "partial",
                "transactions": _slice(decoded.transactions, part, parts),
                "events": _slice(decoded.events, part, parts),
            }
        )
        for part in range(parts)
    ]


def _slice(values: list[T], part: int, parts: int) -> list[T]:
    return values[len(values) * part // parts : len(values) * (part + 1) // parts]


def record_of(chain_id: int, envelope: bytes) -> Record:
    """An envelope as chain.events takes it."""
    return Record(CHAIN_EVENTS.name, str(chain_id).encode(), envelope, [(CONTENT_TYPE, b"application/json")])
