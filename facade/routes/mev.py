"""MEV: ask about a transaction; findings of one transaction, of one block, and the latest."""

from __future__ import annotations

import re
import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field
from starlette.responses import Response

from facade.answers import DetectedMev, Findings, TransactionFindings, answers, looked_up
from facade.context import Context, Here
from facade.errors import success
from facade.gate import needs
from facade.requests import (
    Body,
    Listing,
    Lookup,
    Moment,
    Traced,
    awaited,
    body,
    documented,
    is_since,
    listed,
    parameters,
    query,
    tagged,
)
from facade.routes.paths import Address, BlockNumber, Hash, PoolId
from tables import readers
from tables.registry import MEV, MEV_BY_ADDRESS, MEV_BY_CHAIN, MEV_BY_POOL, MEV_BY_TRANSACTION, Index, MevRow, mev_keys
from topics.registry import REQUESTS_CHAIN
from topics.schemas.fields import Uint64
from topics.schemas.mev import Finding, Kind
from topics.schemas.mev_question import MOST_TRANSACTIONS, AskedTransaction, DetectMev, MevAnswer

router = APIRouter(tags=["BLOCKCHAIN_INTELLIGENCE"], dependencies=[needs("read")])

EXAMPLE = {
    "targetTx": {"amount": 10, "gas_price": 40, "timestamp": 1705314601},
    "surroundingTxs": [
        {"amount": 50, "gas_price": 45, "timestamp": 1705314600},
        {"amount": 50.4, "gas_price": 40, "timestamp": 1705314602},
    ],
}
MOST_BLOCKS = 100
"""Blocks whose findings may name one hash: forks, and chains that share their transactions."""
_is_hash = re.compile(r"0x[0-9a-fA-F]{64}").fullmatch


class MevQuestion(Body):
    """A question about one transaction among those around it."""

    target_tx: AskedTransaction
    surrounding_txs: Annotated[list[AskedTransaction], Field(default_factory=list, max_length=MOST_TRANSACTIONS)]
    chain_id: Uint64 = 1


class Filters(Listing):
    """Filters of the latest findings; together they narrow."""

    kind: Annotated[Kind | None, Field(description="Only findings of this kind")] = None
    address: Annotated[Address | None, Field(description="An attacker, a victim or a borrower, in any case")] = None
    pool: Annotated[PoolId | None, Field(description="A pool's address or id, in any case")] = None
    since: Annotated[Moment | None, Field(description="Blocks from this time on: RFC 3339 or unix")] = None


@router.post(
    "/api/python/blockchain/detect-mev",
    responses=answers(DetectedMev, "What can be said"),
    openapi_extra=documented(MevQuestion, EXAMPLE),
    summary="Say whether a transaction is part of MEV, from what is told of it",
)
async def detect_mev(told: Annotated[MevQuestion, Depends(body(MevQuestion))], here: Here, trace: Traced) -> Response:
    """200 however little is told: `confidence` and `unknown` say what the answer is worth."""
    began = time.perf_counter()
    known = await _blocks_of(here, told.chain_id, told.target_tx.hash)
    question = DetectMev(op="detect_mev", known_blocks=known, **dict(told)).model_dump_json(exclude_none=True).encode()
    raw = await here.questions.ask(REQUESTS_CHAIN.name, question, trace.question_id(question), trace.context)
    told_of = MevAnswer.model_validate_json(raw).model_dump(mode="json", exclude_none=True)
    data = {"mev_type": None, "role": None, **told_of, "source": "fresh"}
    return success({**data, "latency_ms": round((time.perf_counter() - began) * 1000, 3)})


async def _blocks_of(here: Context, chain_id: int, hash: str | None) -> list[int]:
    """The blocks whose findings may name a transaction."""
    if hash is None or not _is_hash(hash):
        return []
    key = f"{chain_id}:{hash.lower()}"
    found = await readers.page(here.redis, MEV_BY_TRANSACTION, key, MevRow, lambda row: [row.number], MOST_BLOCKS, None)
    return found.items


@router.get(
    "/api/mev/transactions/{hash}",
    responses=looked_up(TransactionFindings),
    openapi_extra=parameters(Lookup),
    summary="The findings that a transaction is part of",
)
async def of_transaction(
    request: Request, hash: Hash, told: Annotated[Lookup, Depends(query(Lookup))], here: Here
) -> Response:
    """404 when no finding names the transaction."""

    def named(row: MevRow) -> list[Finding]:
        return [f for f in _standing(row) if hash in f.named()]

    async def read() -> list[Finding] | None:
        key = f"{told.chain_id}:{hash}"
        return (await readers.page(here.redis, MEV_BY_TRANSACTION, key, MevRow, named, 100, None)).items or None

    found = await awaited(read, told, f"no finding names transaction {hash} of chain {told.chain_id}")
    data = {"chain_id": told.chain_id, "transaction_hash": hash, "findings": _dumped(found)}
    return tagged(request, data)


@router.get(
    "/api/mev/blocks/{number}",
    responses=looked_up(MevRow),
    openapi_extra=parameters(Lookup),
    summary="The findings of a block, and those over it and a neighbour",
)
async def of_block(
    request: Request, number: BlockNumber, told: Annotated[Lookup, Depends(query(Lookup))], here: Here
) -> Response:
    """An empty list when the block was looked at and nothing was found; 404 when it was not."""

    async def read() -> MevRow | None:
        own, *pairs = await readers.rows(here.redis, MEV, MevRow, mev_keys(told.chain_id, number))
        if own is None:
            return None
        return own.model_copy(update={"findings": [one for row in (own, *pairs) if row for one in row.findings]})

    found = await awaited(read, told, f"block {number} of chain {told.chain_id} is not in the table")
    return tagged(request, found.model_dump(mode="json", exclude_none=True))


@router.get(
    "/api/mev",
    responses=looked_up(Findings),
    openapi_extra=parameters(Filters),
    summary="The latest findings, newest block first",
)
async def latest(request: Request, told: Annotated[Filters, Depends(query(Filters))], here: Here) -> Response:
    """Retracted findings are left out."""
    index, key = _index(told)

    def fitting(row: MevRow) -> list[Finding]:
        return [finding for finding in _standing(row) if _fits(finding, told)]

    found = await listed(here.redis, index, key, MevRow, fitting, told)
    return tagged(request, {"findings": _dumped(found.items), "count": len(found.items), "cursor": found.cursor})


def _index(told: Filters) -> tuple[Index, str]:
    """The index that narrows most, and the key in it."""
    if told.address:
        return MEV_BY_ADDRESS, f"{told.chain_id}:{told.address}"
    if told.pool:
        return MEV_BY_POOL, f"{told.chain_id}:{told.pool}"
    return MEV_BY_CHAIN, str(told.chain_id)


def _standing(row: MevRow) -> list[Finding]:
    return [finding for finding in row.findings if finding.status != "retracted"]


def _fits(finding: Finding, told: Filters) -> bool:
    return (
        (told.kind is None or finding.kind == told.kind)
        and (told.address is None or told.address in finding.parties())
        and (told.pool is None or told.pool in finding.pools)
        and is_since(finding.block_timestamp, told.since)
    )


def _dumped(findings: list[Finding]) -> list[dict[str, Any]]:
    return [finding.model_dump(mode="json", exclude_none=True) for finding in findings]
