"""Pending swaps to swap.requests, to be assessed before they are made. Best effort: what is missed is in no block yet."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from base import metrics
from ingest.node.envelopes import Envelopes
from ingest.node.heads import Heads
from ingest.node.nodes import Nodes
from ingest.node.outlet import Outlet, Record
from ingest.node.rpc import Call, Endpoint
from ingest.parts import Address, Data, Hash, Quantity, lowered
from ingest.routers import Planned, planned
from ingest.tokens import DECIMALS, units
from topics.headers import CONTENT_TYPE, REQUEST_ID
from topics.registry import SWAP_REQUESTS
from topics.schemas.risk import SwapRequest

log = logging.getLogger("soba.ingest")

AT_ONCE = 100
GWEI_DECIMALS = 9


class Pending(BaseModel):
    """What is used of a pending transaction, as eth_getTransactionByHash gives it."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore")

    hash: Hash
    from_: Annotated[Address, Field(alias="from")]
    to: Address | None = None
    value: Quantity
    input: Data
    gas_price: Quantity | None = None
    max_fee_per_gas: Quantity | None = None


class Watch:
    """Turns the hashes that `Heads` hears of into swap requests, until cancelled."""

    def __init__(self, nodes: Nodes, heads: Heads, envelopes: Envelopes, outlet: Outlet) -> None:
        self._nodes, self._heads, self._envelopes, self._outlet = nodes, heads, envelopes, outlet

    async def run(self) -> None:
        """Raises KafkaGone when Kafka takes nothing for two minutes."""
        queue = self._heads.pending
        while True:
            hashes = [await queue.get()]
            while not queue.empty() and len(hashes) < AT_ONCE:
                hashes.append(queue.get_nowait())

            async def work(endpoint: Endpoint, hashes: list[str] = hashes) -> list[Record]:
                answers = await endpoint.ask([Call("eth_getTransactionByHash", [hash]) for hash in hashes])
                return await self._records(endpoint, answers)

            if records := await self._nodes.use(work):
                self._outlet.begin(records)
                await self._outlet.confirmed()

    async def _records(self, endpoint: Endpoint, answers: list[Any]) -> list[Record]:
        found: list[tuple[Pending, list[Planned]]] = []
        for answer in answers:
            try:
                one = Pending.model_validate(lowered(answer))
            except ValidationError:  # in a block already, or dropped
                metrics.INGEST_PENDING.labels("gone").inc()
                continue
            swaps = planned(one.input, int(one.value, 16)) if one.to else []
            metrics.INGEST_PENDING.labels("swap" if swaps else "other").inc()
            found.append((one, swaps))
        known = DECIMALS.get(self._envelopes.chain_id, {})
        sold = {swap.tokens[0] for _, swaps in found for swap in swaps} - known.keys()
        await self._envelopes.decimals(endpoint, sold)
        decimals = {**known, **self._envelopes.facts.decimals}
        return [record for one, swaps in found for record in self._requests(one, swaps, decimals)]

    def _requests(self, one: Pending, swaps: list[Planned], decimals: dict[str, int]) -> Iterator[Record]:
        price = one.max_fee_per_gas or one.gas_price
        for place, swap in enumerate(swaps):
            known = decimals.get(swap.tokens[0])
            if known is None:  # no amount can be told
                continue
            request = SwapRequest(
                tx_hash=one.hash,
                from_address=one.from_,
                to_address=one.to,
                amount=units(str(swap.amount), known),
                token_pair=f"{swap.tokens[0]}/{swap.tokens[-1]}",
                timestamp=int(time.time()),
                gas_price=None if price is None else units(str(int(price, 16)), GWEI_DECIMALS),
                route_length=len(swap.tokens) - 1,
                contract_interaction=True,
                chain_id=self._envelopes.chain_id,
            )
            # The same whoever sees it, and however often: then it is assessed once.
            id = f"pending:{self._envelopes.chain_id}:{one.hash}" + (f":{place}" if place else "")
            headers = [(CONTENT_TYPE, b"application/json"), (REQUEST_ID, id.encode())]
            value = request.model_dump_json(exclude_none=True).encode()
            yield Record(SWAP_REQUESTS.name, request.from_address.encode(), value, headers)
