"""Cases of mev-inspect-js: decoded swaps, liquidity and loans of real transactions, and what people expect to be found.

Each call of a case is one block by itself. What is compared: of a sandwich front, victims and back; of an arbitrage its swaps
and profit; of just-in-time liquidity both transactions, victims and what was gained; of a liquidation both amounts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from ingest.files import read
from models.mev import detect
from topics.schemas.chain import Block
from topics.schemas.mev import Finding, Kind

Json = dict[str, Any]


def calls(folder: Path) -> Iterator[tuple[str, Json]]:
    """Each call of each case in the files of `folder`, with the name of its case."""
    for file in sorted((*folder.glob("*.json"), *folder.glob("*.json.gz"))):
        for vector in orjson.loads(read(file))["vectors"]:
            for call in vector["calls"]:
                yield f"{vector['suite']}: {vector['test']}", call


def met(call: Json) -> bool:
    """Whether exactly what is expected of `call` is found, among the findings of its kind."""
    kind, told, wanted = SUITES[call["function"]]
    found = [told(one) for one in detect(block_of(call)) if one.kind == kind]
    return sorted(found) == sorted(wanted(one) for one in call["upstream_result"])


def block_of(call: Json) -> Block:
    """The block that holds what `call` is about."""
    swaps, first, second = [[], *call["args"]] if call["function"] == "getLiquidations" else _three(call)
    jit = call["function"] == "getJitSandwiches"
    events = [_swap(one) for one in swaps]
    if call["function"] == "getLiquidations":
        events += [_liquidation(*one) for one in zip(first, second, strict=True)]
    elif jit:
        events += [_liquidity("mint", one) for one in first]
        events += [_liquidity(type, one) for one in second for type in ("burn", "collect")]
    return Block.model_validate({"chain_id": 1, "number": 1, "status": "complete", "events": events})


def _three(call: Json) -> list[list[Json]]:
    """Swaps and two lists of liquidity; getSandwiches has the chain's id before them."""
    given = [one for one in call["args"] if isinstance(one, list)]
    return [*given, [], []][:3]


def _event(one: Json, type: str) -> Json:
    transaction = one["transaction"]
    return {
        "event_type": type,
        "transaction_hash": transaction["hash"],
        "transaction_index": transaction["index"],
        "log_index": one["event"]["logIndex"],
        "contract_address": one["event"]["address"],
        "pool": one["contract"]["address"],
        "from_address": transaction["from"],
    }


def _swap(one: Json) -> Json:
    return {
        **_event(one, "swap"),
        "sender": one["from"],
        "recipient": one["to"],
        "token_in": one["assetIn"]["address"],
        "token_out": one["assetOut"]["address"],
        "amount_in_raw": one["amountIn"],
        "amount_out_raw": one["amountOut"],
        "tick": one["metadata"].get("tick"),
    }


def _liquidity(type: str, one: Json) -> Json:
    """A removal is told with what was collected; as a burn its amounts are the same, and its place just before."""
    event = _event(one, type)
    return {
        **event,
        "log_index": event["log_index"] - (type == "burn"),
        "owner": one.get("depositor") or one.get("withdrawer"),
        "token0": one["assets"][0]["address"],
        "token1": one["assets"][1]["address"],
        "amount0_raw": one["amounts"][0],
        "amount1_raw": one["amounts"][1],
        "tick_lower": one["metadata"]["tickLower"],
        "tick_upper": one["metadata"]["tickUpper"],
    }


def _liquidation(repayment: Json, seizure: Json) -> Json:
    return {
        **_event(repayment, "liquidation"),
        "from_address": seizure["seizor"],
        "to_address": repayment["borrower"],
        "token_in": repayment["asset"]["address"],
        "token_out": seizure["asset"]["address"],
        "amount_in_raw": repayment["amount"],
        "amount_out_raw": seizure["amount"],
    }


def _gains(finding: Finding) -> dict[str, str]:
    return {one.token: one.amount_raw for one in finding.profit}


def _amounts(of: list[Json]) -> dict[str, str]:
    return {one["asset"]["address"]: one["amount"] for one in of}


SUITES: dict[str, tuple[Kind, Callable[[Finding], str], Callable[[Json], str]]] = {
    "getSandwiches": (
        "sandwich",
        lambda one: str((one.front[0], one.victims, one.back[0])),
        lambda one: str(
            (
                one["frontSwap"]["transaction"]["hash"],
                [victim["transaction"]["hash"] for victim in one["sandwiched"]],
                one["backSwap"]["transaction"]["hash"],
            )
        ),
    ),
    "getArbitrages": (
        "arbitrage",
        lambda one: str((one.transactions, [step.pool for step in one.path], _gains(one))),
        lambda one: str(
            (
                [one["swaps"][0]["transaction"]["hash"]],
                [swap["contract"]["address"] for swap in one["swaps"]],
                _amounts([one["profit"]]),
            )
        ),
    ),
    "getJitSandwiches": (
        "jit",
        lambda one: str((one.front, one.victims, one.back, _gains(one))),
        lambda one: str(
            (
                [one["deposit"]["transaction"]["hash"]],
                [swap["transaction"]["hash"] for swap in one["sandwiched"]],
                [one["withdrawal"]["transaction"]["hash"]],
                _amounts(one["deltas"]),
            )
        ),
    ),
    "getLiquidations": (
        "liquidation",
        lambda one: str((one.transactions, one.path[0].amount_in_raw, one.path[0].amount_out_raw)),
        lambda one: str(
            (
                [one["repayment"]["transaction"]["hash"]],
                one["repayment"]["amount"],
                one["seizure"]["amount"],
            )
        ),
    ),
}
"""Function of mev-inspect-js → kind, what a finding says of it, and what is expected."""
