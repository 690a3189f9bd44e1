"""Nodes as they are: over their limit, slow, behind, wrong, gone. It costs time, and no block."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from base.settings import Settings
from console.bench.chain import ETHER, Chain
from console.bench.uniswap import Uniswap
from tests.chain.proxies import Answer, Fault, proxied
from tests.chain.watch import Events, ended, ingesting, lines, logged
from tests.conftest import wait_for
from tests.contract.facade import new_chain

pytestmark = pytest.mark.pipeline


def limited(answer: Answer) -> None:
    answer.status, answer.headers["Retry-After"] = 429, "0.5"
    answer.say({"error": "slow down"})


def over_quota(answer: Answer) -> None:
    answer.refuse(-32005, "daily request count exceeded, request rate limited")


def too_many(answer: Answer) -> None:
    answer.refuse(-32000, "Too Many Requests")


def broken(answer: Answer) -> None:
    answer.status, answer.body = 502, b"<html>bad gateway</html>"


def half(answer: Answer) -> None:
    answer.body = answer.body[: len(answer.body) // 2]


def behind(answer: Answer) -> None:
    answer.nulls()


def too_large(answer: Answer) -> None:
    if len(answer.calls) > 2:
        answer.status = 413


def other_receipts(answer: Answer) -> None:
    """Receipts of another fork's block under the same hash's question."""
    if answer.asks("eth_getBlockReceipts"):
        answer.body = re.sub(rb'"blockHash":"0x....', b'"blockHash":"0xdead', answer.body)


def well(_: Answer) -> None:
    """In between, it answers."""


FAULTS = (limited, over_quota, too_many, broken, half, behind, other_receipts)


def test_a_node_with_every_fault_costs_no_block(
    settings: Settings, tmp_path: Path, chain: Chain, events: Events
) -> None:
    chain.mine(40)
    # The first answer of each kind is the chain id's, the head's, or a block's: whatever comes.
    with proxied(chain.url) as proxy:
        proxy.faults = [one for fault in FAULTS for one in (well, fault)]
        with ingesting(settings, tmp_path / "log", "--rpc", proxy.url, "--from", "1"):
            events.upto(40)
            proxy.faults = [one for fault in FAULTS for one in (fault, well)]
            chain.mine(3)
            events.upto(43)
            retry = [line["message"] for line in lines(tmp_path / "log") if "HTTP 429" in line["message"]]
            assert retry and all("asked again in" in message for message in retry)
            # It also is asked less at a time when it says so, and from then on.
            proxy.always = too_large
            chain.mine(20)
            events.upto(63)
    assert events.told() == [("complete", number, chain.hash(number)) for number in range(1, 64)]


def test_a_node_that_hangs_is_left_for_the_next_and_come_back_to(
    settings: Settings, tmp_path: Path, chain: Chain, events: Events
) -> None:
    def hang(answer: Answer) -> None:
        answer.wait_s = 60

    chain.mine(5)
    log = tmp_path / "log"
    with (
        proxied(chain.url) as first,
        proxied(chain.url) as second,
        ingesting(settings, log, "--rpc", first.url, "--rpc", second.url, "--from", "1", "--timeout", "2"),
    ):
        events.upto(5)
        late = logged(log, f"{first.url}: no answer within 2 s")  # on a busy machine it may have been
        assert late or not [one for one in second.asked if one != ["eth_chainId"]]
        first.always = hang
        chain.mine(5)
        events.upto(10)
        assert ["eth_blockNumber"] in second.asked
        first.always = None
        asked = len(first.asked)
        wait_for(lambda: ["eth_blockNumber"] in first.asked[asked:])
        wait_for(lambda: logged(log, f"{first.url} answers again"))
    assert events.told() == [("complete", number, chain.hash(number)) for number in range(1, 11)]


def old(answer: Answer) -> None:
    if answer.asks("eth_getBlockReceipts"):
        answer.refuse(-32601, "the method eth_getBlockReceipts does not exist/is not available")


def by_number_only(answer: Answer) -> None:
    if answer.asks("eth_getBlockReceipts"):
        answer.refuse(-32602, "invalid argument 0: hex number > 64 bits")


def forgetful(answer: Answer) -> None:
    if answer.asks("eth_getBlockReceipts"):
        told = json.loads(answer.body)
        del told["result"][1:3]
        answer.say(told)


@pytest.mark.parametrize("fault", [old, by_number_only, forgetful])
def test_receipts_one_by_one_where_a_node_gives_them_no_other_way(
    settings: Settings, tmp_path: Path, chain: Chain, events: Events, fault: Fault
) -> None:
    uniswap = Uniswap(chain, 1)
    uniswap.add_ether(uniswap.tokens[0], 10**24, 1000 * ETHER)
    start = chain.head + 1
    chain.mining(False)
    hashes = [uniswap.buy(sender, ETHER, [uniswap.tokens[0]]) for sender in chain.accounts[1:6]]
    chain.mine()
    with proxied(chain.url) as proxy:
        proxy.always = fault
        with ingesting(settings, tmp_path / "log", "--rpc", proxy.url, "--from", str(start)):
            events.upto(start)
    (block,) = events.read()
    assert {one.hash for one in block.transactions} == set(hashes)
    assert all(one.status == 1 and one.gas_used for one in block.transactions)
    assert [event.event_type for event in block.events].count("swap") == 5


def test_nodes_of_two_chains_are_refused(settings: Settings, tmp_path: Path, chain: Chain, events: Events) -> None:
    with (
        Chain(new_chain()) as other,
        ingesting(settings, tmp_path / "log", "--rpc", chain.url, "--rpc", other.url) as process,
    ):
        assert ended(process) == 72
    assert logged(tmp_path / "log", f"is on chain {other.chain_id}, not {chain.chain_id}")
    with ingesting(settings, tmp_path / "log", "--rpc", chain.url, "--chain-id", "5") as process:
        assert ended(process) == 72
    assert logged(tmp_path / "log", f"is on chain {chain.chain_id}, not 5")
    assert events.read() == []


def test_where_no_node_is_it_says_so_once_and_waits_for_one(
    settings: Settings, tmp_path: Path, chain: Chain, events: Events
) -> None:
    chain.stop()
    log = tmp_path / "log"
    with ingesting(settings, log, "--rpc", chain.url, "--from", "0"):
        wait_for(lambda: logged(log, f"{chain.url}: nothing answers there") >= 2)
        assert logged(log, f"no node answers yet; one must run at {chain.url}") == 1
        chain.start()
        events.upto(0)
