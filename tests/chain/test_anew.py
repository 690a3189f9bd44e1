"""A chain that began anew, or another of the same id: `soba ingest node` ends, or says for what it waits."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from base.settings import Settings
from console.bench.chain import Chain
from tests.chain.watch import IN_TIME_S, Events, ended, ingesting, logged
from tests.conftest import wait_for
from tests.contract.facade import child

pytestmark = pytest.mark.pipeline

OTHER_TIME = ("--timestamp", "1700000000")
"""A chain of other blocks."""


@pytest.mark.parametrize("length", [2, 5], ids=["shorter", "longer"])
def test_another_chain_of_the_same_id_ends_it(
    settings: Settings, tmp_path: Path, chain: Chain, events: Events, length: int
) -> None:
    chain.mine(3)
    with ingesting(settings, tmp_path / "log", "--rpc", chain.url, "--from", "1"):
        events.upto(3)
    with Chain(chain.chain_id, *OTHER_TIME) as other:
        other.mine(length)
        with ingesting(settings, tmp_path / "log2", "--rpc", other.url) as process:
            assert ended(process) == 72
    assert logged(tmp_path / "log2", "delete")
    assert len(events.read()) == 3


def test_a_chain_that_began_anew_under_a_websocket_ends_it_however_much_is_told(
    settings: Settings, tmp_path: Path, chain: Chain, events: Events
) -> None:
    chain.mine(30)
    log = tmp_path / "log"
    argv = ["-m", "tests.chain.impatient_ingest", "ingest", "node", "--rpc", chain.url, "--ws", chain.ws, "--from", "1"]
    with child(argv, settings, log) as process:
        events.upto(30)
        chain.stop()
        with Chain(chain.chain_id, *OTHER_TIME, port=chain.port) as anew:
            wait_for(lambda: logged(log, "subscribed over the websocket") >= 2)
            wait_for(lambda: logged(log, "newest block is 0, and block 30 was sent already: it waits for block 31"))
            assert process.poll() is None
            anew.mine(800)  # more than a websocket's queues hold
            began = time.monotonic()
            assert ended(process) == 72
            assert time.monotonic() - began < IN_TIME_S
    assert logged(log, "none of the blocks 1 to 30 that were sent is on the nodes' chain")
    assert len(events.read()) == 30
