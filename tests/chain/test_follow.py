"""`soba ingest node` follows a real chain: every block once, in order, complete; what leaves the chain is taken back."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import pytest

from base.settings import Settings
from console.bench.chain import Chain
from console.bench.uniswap import Uniswap
from console.local.servers import LocalServers
from ingest.node.cursor import Cursor
from tests.chain.proxies import Answer, proxied, wired
from tests.chain.watch import Events, canonical, ended, ingesting, listening, logged, stop
from tests.conftest import wait_for
from tests.contract.facade import child, new_chain

pytestmark = pytest.mark.pipeline


def test_a_backfill_sends_each_block_once_and_in_order(
    settings: Settings, tmp_path: Path, chain: Chain, events: Events
) -> None:
    chain.mine(150)
    head = chain.head
    with ingesting(settings, tmp_path / "log", "--rpc", chain.url, "--from", "0", "--confirmations", "3"):
        events.upto(head - 3)
        chain.mine(5)
        events.upto(head + 2)
    assert events.told() == [("complete", number, chain.hash(number)) for number in range(head + 3)]
    assert {block.chain_id for block in events.blocks} == {chain.chain_id}
    links = zip(events.blocks, events.blocks[1:], strict=False)
    assert all(after.parent_hash == before.hash for before, after in links)


def test_a_reorganisation_takes_back_the_old_blocks_newest_first(
    settings: Settings, tmp_path: Path, chain: Chain, events: Events
) -> None:
    chain.mine(10)
    with ingesting(settings, tmp_path / "log", "--rpc", chain.url, "--ws", chain.ws, "--from", "1"):
        events.upto(chain.head)
        before, head = len(events.blocks), chain.head
        old = {number: chain.hash(number) for number in range(head - 2, head + 1)}
        chain.rpc("anvil_reorg", 3, [])
        chain.mine()
        events.upto(head + 1)
    told = events.told(before)
    assert told[:3] == [("removed", number, old[number]) for number in (head, head - 1, head - 2)]
    assert told[3:] == [("complete", number, chain.hash(number)) for number in range(head - 2, head + 2)]
    assert events.standing() == canonical(chain, 1, head + 1)


def test_killed_among_blocks_it_goes_on_without_a_gap(
    settings: Settings, tmp_path: Path, chain: Chain, events: Events
) -> None:
    reach = 0

    def few_and_slow(answer: Answer) -> None:
        answer.wait_s = 0.1
        if len(answer.calls) > 2:
            answer.status = 413
        elif answer.asks("eth_getBlockByNumber") and int(answer.calls[0]["params"][0], 16) > reach:
            answer.wait_s = 600  # however late the kill comes, there are blocks left

    chain.mine(400)
    head = chain.head
    with proxied(chain.url) as proxy:
        proxy.always = few_and_slow
        for round in range(2):
            reach += 150
            with ingesting(settings, tmp_path / f"log{round}", "--rpc", proxy.url, "--from", "1") as process:
                sent = len(events.read())
                wait_for(lambda sent=sent: len(events.read()) > sent + 20, every=0.001)  # type: ignore[misc]
                process.kill()
                process.wait()
    before = max(events.standing())
    assert before < head
    # While it is down, blocks leave the chain that it had sent, or may have.
    chain.rpc("anvil_reorg", head - before + 10, [])
    chain.mine()
    with ingesting(settings, tmp_path / "log", "--rpc", chain.url, "--from", "1"):
        events.upto(head + 1)
    assert events.standing() == canonical(chain, 1, head + 1)
    told: dict[tuple[str, int, str | None], bytes] = {}
    for block, value in zip(events.blocks, events.values, strict=True):
        assert told.setdefault((block.status, block.number, block.hash), value) == value, "sent again, not the same"
    numbers = [block.number for block in events.blocks if block.status == "complete"]
    firsts = [number for place, number in enumerate(numbers) if number not in numbers[:place]]
    assert firsts == list(range(1, head + 2))


@pytest.mark.parametrize("when", ["unsent", "sent"])
def test_killed_with_blocks_in_hand_it_takes_back_those_that_left_the_chain(
    settings: Settings, tmp_path: Path, chain: Chain, events: Events, when: str
) -> None:
    chain.mine(20)
    argv = ["-m", "tests.chain.killed_ingest", when, "ingest", "node", "--rpc", chain.url, "--from", "1"]
    with child(argv, settings, tmp_path / "log") as process:
        assert ended(process) == -signal.SIGKILL
    events.upto(4 if when == "unsent" else 8)  # groups of four
    sent = len(events.blocks)
    old = {number: chain.hash(number) for number in range(1, 21)}
    chain.rpc("anvil_reorg", 18, [])
    with ingesting(settings, tmp_path / "log2", "--rpc", chain.url, "--from", "1"):
        events.upto(20)
    told = events.told(sent)
    removed = [(number, hash) for status, number, hash in told if status == "removed"]
    # Those that were never sent are taken back too: nobody can know, and it does no harm.
    assert removed == [(number, old[number]) for number in range(8, 2, -1)]
    assert told[len(removed) :] == [("complete", number, chain.hash(number)) for number in range(3, 21)]
    assert events.standing() == canonical(chain, 1, 20)


def test_killed_while_it_takes_back_what_the_chain_has_again_it_sends_that_again(
    settings: Settings, tmp_path: Path, chain: Chain, events: Events
) -> None:
    uniswap = Uniswap(chain, 1)
    hash = uniswap.give(uniswap.tokens[0], chain.accounts[1], 5)
    chain.mine(2)
    start, head = chain.head - 3, chain.head
    with wired(chain.ws) as wire:
        argv = ["ingest", "node", "--rpc", chain.url, "--ws", wire.url, "--from", str(start)]
        with child(["-m", "tests.chain.killed_ingest", "removed", *argv], settings, tmp_path / "log") as process:
            events.upto(head)
            wait_for(lambda: wire.logs)
            wire.take_back(chain.receipt(hash)["logs"][0])
            assert ended(process) == -signal.SIGKILL
    wait_for(
        lambda: events.told(head - start + 1) == [("removed", at, chain.hash(at)) for at in (head, head - 1, head - 2)]
    )
    with ingesting(settings, tmp_path / "log2", "--rpc", chain.url, "--from", "1"):
        events.upto(head)
    assert events.standing() == canonical(chain, start, head)


def test_the_first_block_of_all_may_leave_the_chain(
    settings: Settings, tmp_path: Path, chain: Chain, events: Events
) -> None:
    chain.mine(5)
    old = chain.hash(5)
    with ingesting(settings, tmp_path / "log", "--rpc", chain.url):
        events.upto(5)
        chain.rpc("anvil_reorg", 1, [])
        chain.mine()
        events.upto(6)
    assert events.told(1) == [("removed", 5, old), ("complete", 5, chain.hash(5)), ("complete", 6, chain.hash(6))]


def test_it_stops_at_once_and_goes_on_where_it_was(
    settings: Settings, tmp_path: Path, chain: Chain, events: Events
) -> None:
    chain.mine(3)
    with ingesting(settings, tmp_path / "log", "--rpc", chain.url) as process:
        events.upto(3)
        stop(process)
    chain.mine(4)
    with ingesting(settings, tmp_path / "log2", "--rpc", chain.url) as process:
        events.upto(7)
        with ingesting(settings, tmp_path / "log3", "--rpc", chain.url) as second:
            assert ended(second) == 72
        assert logged(tmp_path / "log3", "another `bin/soba ingest node` follows this chain")
    # `latest`: from the newest block there was; then without a gap.
    assert events.told() == [("complete", number, chain.hash(number)) for number in range(3, 8)]


def test_while_kafka_stands_still_it_waits_and_stops_all_the_same(
    settings: Settings, servers: LocalServers, tmp_path: Path, chain: Chain, events: Events
) -> None:
    chain.mine(3)
    with ingesting(settings, tmp_path / "log", "--rpc", chain.url, "--from", "1") as process:
        events.upto(3)
        path = next((settings.data_dir / "ingest").glob(f"*-{chain.chain_id}.json"))

        def cursor() -> Cursor:
            return Cursor.model_validate_json(path.read_bytes())

        wait_for(lambda: cursor().confirmed == 3)  # a block can be read before its producer hears that it is there
        servers.kafka.pause()
        try:
            chain.mine(4)
            wait_for(lambda: cursor().blocks[-1].number == 7)
            stop(process)
        finally:
            servers.kafka.resume()
    assert cursor().confirmed == 3
    with ingesting(settings, tmp_path / "log2", "--rpc", chain.url):
        events.upto(7)
    assert events.standing() == canonical(chain, 1, 7)


def test_a_websocket_that_drops_costs_no_block(
    settings: Settings, tmp_path: Path, chain: Chain, events: Events
) -> None:
    uniswap = Uniswap(chain, 1)
    start = chain.head
    with (
        wired(chain.ws) as wire,
        listening(settings, tmp_path / "log", "--rpc", chain.url, "--ws", wire.url) as process,
    ):
        events.upto(start)
        wait_for(lambda: wire.logs)
        chain.mine()
        events.upto(start + 1)
        wire.drop()
        chain.mine(7)
        events.upto(start + 8)
        wait_for(lambda: wire.connections >= 2)
        # A log that the node takes back, while it still has the block: both are believed.
        wait_for(lambda: logged(tmp_path / "log", "subscribed over the websocket") >= 2)
        hash = uniswap.give(uniswap.tokens[0], chain.accounts[1], 5)
        events.upto(start + 9)
        (log,) = chain.receipt(hash)["logs"]
        wire.take_back(log)
        wait_for(lambda: len(events.read()) == 12)
        assert process.poll() is None
    last = chain.hash(start + 9)
    assert events.told(9) == [(status, start + 9, last) for status in ("complete", "removed", "complete")]
    assert events.standing() == canonical(chain, start, start + 9)


def test_where_a_websocket_is_gone_the_next_one_of_the_chain_is_listened_to(
    settings: Settings, tmp_path: Path, chain: Chain, events: Events
) -> None:
    start, log = chain.head, tmp_path / "log"
    with contextlib.ExitStack() as node, Chain(new_chain()) as other, wired(chain.ws) as last:
        first = node.enter_context(wired(chain.ws))
        several = ("--ws", first.url, "--ws", other.ws, "--ws", last.url)
        with listening(settings, log, "--rpc", chain.url, *several) as process:
            events.upto(start)
            wait_for(lambda: logged(log, "subscribed over the websocket") == 1)
            assert (first.connections, last.connections) == (1, 0)
            node.close()
            wait_for(lambda: logged(log, "subscribed over the websocket") == 2)
            assert logged(log, f"{other.ws} is on chain {other.chain_id}, not {chain.chain_id}")
            chain.mine()
            events.upto(start + 1)  # it was told: it does not look by itself
            last.drop()  # the others are gone, or of another chain: it is opened anew
            wait_for(lambda: logged(log, "subscribed over the websocket") == 3)
            assert last.connections == 2 and process.poll() is None
        with ingesting(settings, tmp_path / "log2", "--rpc", chain.url, "--ws", other.ws) as process:
            assert ended(process) == 72


def test_a_node_that_restarts_is_waited_for(settings: Settings, tmp_path: Path, chain: Chain, events: Events) -> None:
    chain.mine(5)
    with ingesting(settings, tmp_path / "log", "--rpc", chain.url, "--from", "1", "--ws", chain.ws):
        events.upto(5)
        chain.stop()
        wait_for(lambda: logged(tmp_path / "log", "asked again in"))
        chain.start()
        chain.mine(5)
        events.upto(10)
    assert events.told() == [("complete", number, chain.hash(number)) for number in range(1, 11)]
