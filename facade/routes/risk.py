"""The risk of swap requests: ask for it, and look up what was said."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from base.wording import Wording
from facade.answers import Assessed, TransactionRisk, WalletRisk, answers, looked_up
from facade.context import Context, Here
from facade.errors import refused, success
from facade.gate import needs
from facade.requests import Body, Lookup, Traced, awaited, body, documented, parameters, query, tagged
from facade.routes.paths import Address, Hash
from tables import readers
from tables.registry import PROFILES, RISK_BY_TRANSACTION, RISK_BY_WALLET, Index, ProfileRow
from topics.registry import SWAP_REQUESTS
from topics.schemas.requests import Fault
from topics.schemas.risk import Assessment, RiskAnswer, SwapRequest

router = APIRouter(tags=["FRAUD_DETECTION"], dependencies=[needs("read")])

MOST = 100
EXAMPLE = {
    "txHash": "0x123...abc",
    "fromAddress": "0x123...abc",
    "toAddress": "0x456...def",
    "amount": 100000,
    "tokenPair": "ETH/USDC",
    "timestamp": "2024-01-15T10:30:00Z",
    "gasPrice": 50,
    "slippage": 0.005,
    "routeLength": 3,
    "contractInteraction": True,
}


class OneSwap(Body):
    """A question about one swap."""

    transaction: SwapRequest


@router.post(
    "/api/python/fraud/assess-risk",
    responses=answers(Assessed, "The assessment"),
    openapi_extra=documented(OneSwap, {"transaction": EXAMPLE}),
    summary="Assess the risk of a swap before it is made",
)
async def assess_risk(told: Annotated[OneSwap, Depends(body(OneSwap))], here: Here, trace: Traced) -> Response:
    """Only `fromAddress` and `amount` are required; `unknown` says what is not known, and what that means."""
    began = time.perf_counter()
    swap = told.transaction
    question = swap.model_dump_json(exclude_none=True).encode()
    key = swap.from_address.lower().encode()
    raw = await here.questions.ask(SWAP_REQUESTS.name, question, trace.question_id(question), trace.context, key)
    answer = RiskAnswer.model_validate_json(raw)
    if answer.assessment is None:
        raise refused([_worded(fault) for fault in answer.errors])
    data = answer.assessment.model_dump(mode="json", exclude_none=True)
    source = "cached" if answer.repeated else "fresh"
    return success({**data, "source": source, "latency_ms": round((time.perf_counter() - began) * 1000, 3)})


def _worded(one: Fault) -> Wording:
    """What a rule says, as the failures of HTTP do: its fault, and what to give."""
    fault, _, fix = one.message.partition("; give ")
    return Wording(f"transaction.{one.field}" if one.field else "transaction", fault, fix, one.code)


@router.get(
    "/api/risk/transactions/{hash}",
    responses=looked_up(TransactionRisk),
    openapi_extra=parameters(Lookup),
    summary="The assessments of requests that name a transaction",
)
async def of_transaction(
    request: Request, hash: Hash, told: Annotated[Lookup, Depends(query(Lookup))], here: Here
) -> Response:
    """404 when no assessed request names the transaction."""

    async def read() -> list[Assessment] | None:
        return await _assessments(here, RISK_BY_TRANSACTION, f"{told.chain_id}:{hash}") or None

    found = await awaited(read, told, f"no assessed request names transaction {hash} of chain {told.chain_id}")
    data = {"chain_id": told.chain_id, "transaction_hash": hash, "assessments": _dumped(found)}
    return tagged(request, data)


@router.get(
    "/api/risk/wallets/{address}",
    responses=looked_up(WalletRisk),
    openapi_extra=parameters(Lookup),
    summary="How a wallet was judged, and the requests that it was part of",
)
async def of_wallet(
    request: Request,
    address: Annotated[Address, Path(description="A wallet's address, in any case")],
    told: Annotated[Lookup, Depends(query(Lookup))],
    here: Here,
) -> Response:
    """404 when neither a move of it was seen nor a request assessed: this reads what was judged, and asks no list anew."""
    key = f"{told.chain_id}:{address}"

    async def read() -> tuple[ProfileRow | None, list[Assessment]] | None:
        row = await readers.row(here.redis, PROFILES, ProfileRow, key)
        found = await _assessments(here, RISK_BY_WALLET, key)
        return (row, found) if row is not None or found else None

    missing = (
        f"no move of wallet {address} on chain {told.chain_id} was seen, and no request assessed; "
        "whether a list names it, POST /api/python/fraud/assess-risk says"
    )
    row, found = await awaited(read, told, missing)
    data = {"chain_id": told.chain_id, "address": address, "profile": _profile(row), "assessments": _dumped(found)}
    return tagged(request, data)


async def _assessments(here: Context, index: Index, key: str) -> list[Assessment]:
    page = await readers.page(here.redis, index, key, Assessment, lambda row: [row], MOST, None)
    return page.items


def _profile(row: ProfileRow | None) -> dict[str, Any] | None:
    if row is None:
        return None
    told = row.model_dump(
        mode="json",
        include={"moves", "known", "probability", "anomaly", "model", "alerts", "exposure"},
        exclude_none=True,
    )
    return {**told, "block_number": row.number, "risk_level": row.level}


def _dumped(found: list[Assessment]) -> list[dict[str, Any]]:
    return [one.model_dump(mode="json", exclude_none=True) for one in found]
