"""Pending swaps of a real chain become swap requests, each once."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from base.settings import Settings
from console.bench.chain import ETHER, GWEI, Chain
from console.bench.uniswap import Uniswap
from tests.chain.watch import Events, ingesting, logged
from tests.conftest import wait_for
from topics.clients import consumer, headers_of
from topics.headers import get
from topics.schemas.risk import REQUEST, SwapRequest

pytestmark = pytest.mark.pipeline
ELSE = {"timestamp", "gas_price"}


def test_pending_swaps_are_asked_about(settings: Settings, tmp_path: Path, chain: Chain, events: Events) -> None:
    uniswap = Uniswap(chain, 2)
    one, other = uniswap.tokens
    uniswap.add_ether(one, 10**24, 1000 * ETHER)
    uniswap.open3(one, other)
    chain.mining(False)
    reader = Consumer(consumer(settings, f"pending-{uuid.uuid4().hex}"))
    reader.assign([TopicPartition("swap.requests", part, OFFSET_BEGINNING) for part in range(settings.partitions)])
    found: dict[bytes, SwapRequest] = {}

    def read() -> int:
        for message in reader.consume(100, timeout=0.05):
            assert message.error() is None, message.error()
            id = get(headers_of(message), "request_id") or b""
            if id.startswith(f"pending:{chain.chain_id}:".encode()):
                request = REQUEST.validate_json(message.value() or b"")
                assert isinstance(request, SwapRequest) and id not in found
                found[id] = request
        return len(found)

    with (
        contextlib.closing(reader),
        ingesting(settings, tmp_path / "log", "--rpc", chain.url, "--ws", chain.ws, "--pending"),
    ):
        wait_for(lambda: logged(tmp_path / "log", "subscribed over the websocket"))
        first = uniswap.buy(chain.accounts[1], 3 * ETHER, [one], tip=2 * GWEI)
        uniswap.give(one, chain.accounts[2], 5)
        second = uniswap.swap3(chain.accounts[0], one, other, 7 * 10**17)
        wait_for(lambda: read() == 2)
        assert chain.rpc("eth_getTransactionReceipt", first) is None, "it is in a block already"

    def told(hash: str) -> dict[str, Any]:
        return found[f"pending:{chain.chain_id}:{hash}".encode()].model_dump(by_alias=False, exclude=ELSE)

    wanted = {"chain_id": chain.chain_id, "contract_interaction": True, "route_length": 1, "slippage": None}
    assert told(first) == {
        **wanted,
        "tx_hash": first,
        "from_address": chain.accounts[1],
        "to_address": uniswap.router,
        "amount": "3",
        "token_pair": f"{uniswap.weth}/{one}",
    }
    assert told(second) == {
        **wanted,
        "tx_hash": second,
        "from_address": chain.accounts[0],
        "to_address": uniswap.router3,
        "amount": "0.7",
        "token_pair": f"{one}/{other}",
    }
    assert found[f"pending:{chain.chain_id}:{first}".encode()].gas_price == "102"
