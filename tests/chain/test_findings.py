"""From a real chain to findings: what was done on it is known, so what is found must be exactly that."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from base.settings import Settings
from console.bench.chain import ETHER, GWEI, Chain, calldata
from console.bench.uniswap import Uniswap, path
from tests.chain.watch import Events, ingesting
from tests.conftest import wait_for
from tests.contract.facade import working
from topics.clients import consumer
from topics.schemas.mev import Finding

pytestmark = pytest.mark.pipeline


@dataclass(frozen=True)
class Done:
    """What somebody did in one block."""

    number: int
    front: list[str]
    victims: list[str]
    back: list[str]
    pool: str


def sold_for(amount: int, reserve_in: int, reserve_out: int) -> int:
    """What a V2 pair pays for `amount` (UniswapV2Library.getAmountOut)."""
    paid = amount * 997
    return paid * reserve_out // (reserve_in * 1000 + paid)


def sandwich(uniswap: Uniswap, pair: str) -> Done:
    """Buy before somebody who buys, sell behind: in one block, ordered by what each tips."""
    chain, token = uniswap.chain, uniswap.tokens[0]
    attacker, victim = chain.accounts[2], chain.accounts[3]
    uniswap.approve(attacker, token, uniswap.router)
    bought = sold_for(20 * ETHER, *reserves(uniswap, pair))
    nonce = int(chain.rpc("eth_getTransactionCount", attacker, "latest"), 16)
    chain.mining(False)
    hurt = uniswap.buy(victim, 10 * ETHER, [token], tip=2 * GWEI)
    front = uniswap.buy(attacker, 20 * ETHER, [token], tip=5 * GWEI, nonce=nonce)
    back = uniswap.sell(attacker, bought, token, tip=GWEI, nonce=nonce + 1)
    chain.mine()
    chain.mining(True)
    return Done(chain.head, [front], [hurt], [back], pair)


def held(uniswap: Uniswap, pair: str) -> Done:
    """Buy in one block; in the next somebody else buys, and one sells behind."""
    chain, token = uniswap.chain, uniswap.tokens[0]
    attacker, victim = chain.accounts[6], chain.accounts[7]
    uniswap.approve(attacker, token, uniswap.router)
    bought = sold_for(20 * ETHER, *reserves(uniswap, pair))
    chain.mining(False)
    front = uniswap.buy(attacker, 20 * ETHER, [token], tip=GWEI)
    chain.mine()
    hurt = uniswap.buy(victim, 10 * ETHER, [token], tip=5 * GWEI)
    back = uniswap.sell(attacker, bought, token, tip=GWEI)
    chain.mine()
    chain.mining(True)
    return Done(chain.head, [front], [hurt], [back], pair)


def reserves(uniswap: Uniswap, pair: str) -> tuple[int, int]:
    """What a pair holds of ether and of the first token."""
    told = uniswap.chain.rpc("eth_call", {"to": pair, "data": calldata("getReserves()")}, "latest")[2:]
    first, second = int(told[:64], 16), int(told[64:128], 16)
    return (first, second) if uniswap.weth < uniswap.tokens[0] else (second, first)


def jit(uniswap: Uniswap, pool: str) -> Done:
    """Liquidity for the length of somebody's swap."""
    chain, (one, other) = uniswap.chain, uniswap.tokens[:2]
    provider, trader = chain.accounts[0], chain.accounts[4]
    uniswap.give(one, trader, 10**24)
    uniswap.approve(trader, one, uniswap.router3)
    nonce = int(chain.rpc("eth_getTransactionCount", provider, "latest"), 16)
    amount, ticks = 10**22, 600
    words: tuple[int | str, ...] = (*sorted((one, other)), 3000, -ticks, ticks, amount, amount, 0, 0, provider, 2**40)
    signature = "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))"
    tried = chain.rpc(
        "eth_call", {"from": provider, "to": uniswap.manager, "data": calldata(signature, *words)}, "latest"
    )
    position, liquidity = int(tried[2:66], 16), int(tried[66:130], 16)
    chain.mining(False)
    swap = uniswap.swap3(trader, one, other, 10**20, tip=3 * GWEI)
    front = uniswap.mint3(provider, one, other, amount, ticks, tip=5 * GWEI, nonce=nonce)
    back = uniswap.burn3(provider, position, liquidity, tip=GWEI, nonce=nonce + 1)
    chain.mine()
    chain.mining(True)
    return Done(chain.head, [front], [swap], [back], pool)


def arbitrage(uniswap: Uniswap) -> Done:
    """Round three pairs of which one is priced otherwise, in one transaction, with a gain."""
    chain, sender = uniswap.chain, uniswap.chain.accounts[5]
    _, one, other = uniswap.tokens
    uniswap.add_ether(one, 10**24, 1000 * ETHER)
    uniswap.add_ether(other, 10**24, 1000 * ETHER)
    pair = uniswap.add(one, other, 10**24, 2 * 10**24)
    route = path(uniswap.weth, one, other, uniswap.weth)
    words = (5 * ETHER, 0x80, sender, 2**40, *route)
    data = calldata("swapExactETHForTokens(uint256,address[],address,uint256)", *words)
    hash = chain.send(sender, uniswap.router, data, 5 * ETHER)
    assert chain.receipt(hash)["status"] == "0x1"
    return Done(chain.head, [hash], [], [], pair)


class Findings:
    """The findings of one chain, each as it stands."""

    def __init__(self, settings: Settings, chain_id: int) -> None:
        self._reader = Consumer(consumer(settings, f"found-{uuid.uuid4().hex}"))
        parts = range(settings.partitions)
        self._reader.assign([TopicPartition("mev.findings", part, OFFSET_BEGINNING) for part in parts])
        self._chain_id = chain_id
        self._stands: dict[str, Finding] = {}

    def read(self) -> list[Finding]:
        for message in self._reader.consume(500, timeout=0.05):
            assert message.error() is None, message.error()
            one = Finding.model_validate_json(message.value() or b"")
            if one.chain_id == self._chain_id:
                self._stands[one.id] = one
        return list(self._stands.values())

    def of(self, kind: str, status: str = "final") -> list[Finding]:
        return [one for one in self.read() if one.kind == kind and one.status == status]

    def close(self) -> None:
        self._reader.close()


@pytest.fixture
def findings(settings: Settings, chain: Chain, events: Events) -> Iterator[Findings]:
    with contextlib.closing(Findings(settings, chain.chain_id)) as reading:
        yield reading


def test_what_was_done_on_a_chain_is_found_and_taken_back_with_its_block(
    settings: Settings, tmp_path: Path, chain: Chain, events: Events, findings: Findings
) -> None:
    uniswap = Uniswap(chain, 3)
    pair = uniswap.add_ether(uniswap.tokens[0], 10**24, 1000 * ETHER)
    pool = uniswap.open3(uniswap.tokens[0], uniswap.tokens[1])
    uniswap.mint3(chain.accounts[0], uniswap.tokens[0], uniswap.tokens[1], 10**21, 600)
    start = chain.head + 1
    with (
        working("validate", settings, tmp_path / "validate"),
        working("chain", settings, tmp_path / "chain"),
        ingesting(settings, tmp_path / "log", "--rpc", chain.url, "--ws", chain.ws, "--from", str(start)),
    ):
        round_trip, provided, attack = arbitrage(uniswap), jit(uniswap, pool), sandwich(uniswap, pair)
        over_two = held(uniswap, pair)
        events.upto(over_two.number)
        wait_for(lambda: len(findings.of("sandwich")) == 2)
        wait_for(lambda: findings.of("jit") and findings.of("arbitrage"))
        found, over = sorted(findings.of("sandwich"), key=lambda one: one.block_number)
        assert (found.block_number, found.front, found.victims, found.back, found.pools) == (
            attack.number, attack.front, attack.victims, attack.back, [pair],
        )  # fmt: skip
        assert found.block_hash == chain.hash(attack.number)
        (just,) = findings.of("jit")
        assert (just.block_number, just.front, just.victims, just.back, just.pools) == (
            provided.number, provided.front, provided.victims, provided.back, [pool],
        )  # fmt: skip
        (cycle,) = findings.of("arbitrage")
        assert cycle.block_number == round_trip.number and cycle.transactions == round_trip.front
        assert len(cycle.pools) == 3 and round_trip.pool in cycle.pools
        gains = {one.token: int(one.amount_raw) for one in cycle.profit}
        assert gains[uniswap.weth] > 0
        assert (over.blocks, over.front, over.victims, over.back, over.pools) == (
            [over_two.number - 1, over_two.number], over_two.front, over_two.victims, over_two.back, [pair],
        )  # fmt: skip
        assert over.block_hash == chain.hash(over_two.number) and over.confidence < found.confidence
        assert int(over.profit[0].amount_raw) > 0 and len(over.losses) == 1 and int(over.gas_cost_wei or 0) > 0
        # The chain changes its mind about the last block, where one sandwich ends that began in the block before.
        chain.rpc("anvil_reorg", 1, [])
        chain.mine()
        events.upto(over_two.number + 1)
        wait_for(lambda: findings.of("sandwich", "retracted"))
        assert [one.id for one in findings.of("sandwich", "retracted")] == [over.id]
        # And about the block of the other one, and those behind it.
        chain.rpc("anvil_reorg", over_two.number + 2 - attack.number, [])
        chain.mine()
        events.upto(over_two.number + 2)
        wait_for(lambda: len(findings.of("sandwich", "retracted")) == 2)
    standing = {(one.kind, one.status) for one in findings.read()}
    assert standing == {("sandwich", "retracted"), ("jit", "final"), ("arbitrage", "final")}
    block = next(one for one in events.blocks if one.hash == found.block_hash)
    # Whatever decimals or tokens no event told, the node was asked for, once.
    swaps = [event for event in block.events if event.event_type == "swap"]
    assert len(swaps) == 3 and all(event.amount_in and event.amount_out for event in swaps)
