"""Blocks in, rows of wallets out: validate and the worker fraud on a real Kafka and Redis, killed and fed again."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from confluent_kafka import Producer

from base.settings import ROOT, Settings
from console import records
from models.fraud import kept
from models.fraud.features import of_profile
from models.fraud.wallet import current
from tables.registry import PROFILES, ProfileRow
from tables.rows import parse
from tests import fraud
from tests.conftest import wait_for
from tests.contract.facade import new_chain, validating
from tests.unit.wire import ALICE, BOB, TIME, transaction
from topics.admin import create
from topics.clients import producer
from topics.partition import partition
from topics.schemas.wallet import WalletRisk

pytestmark = pytest.mark.pipeline
BLOCKS = 12
LAST = "0x" + "1a" * 20
"""A wallet that the last block alone names."""


def blocks(chain: int) -> list[bytes]:
    """In each, Alice pays two: Bob and another; the fifth is taken back, and the seventh is told anew, with less."""
    out: list[dict[str, Any]] = []
    for number in range(1, BLOCKS + 1):
        peers = [BOB, f"0x{number:040x}"] if number < BLOCKS else [LAST]
        paid = [
            transaction(n, to_address=peer, hash=f"0x{chain:032x}{number * 8 + n:032x}") for n, peer in enumerate(peers)
        ]
        head = {"chain_id": chain, "number": number, "status": "complete", "timestamp": TIME + 12 * number}
        out.append({**head, "hash": f"0x{number:064x}", "transactions": paid, "events": []})
    fifth, seventh = out[4], out[6]
    gone = {**fifth, "status": "removed", "transactions": [], "events": []}
    fewer = {**seventh, "transactions": seventh["transactions"][:1]}
    return [orjson.dumps(one) for one in [*out[:-1], gone, fewer, out[-1]]]


def chain_apart(settings: Settings, beside: int | None = None) -> int:
    """A new chain on which Alice and the last wallet lie in two partitions: both through, all is through.

    Its blocks come in order with those of the chain `beside`: they lie in the same partition.
    """

    def where(key: str) -> int:
        return partition(key.encode(), settings.partitions)

    while True:
        chain = new_chain()
        apart = settings.partitions == 1 or where(f"{chain}:{ALICE}") != where(f"{chain}:{LAST}")
        if apart and (beside is None or where(str(chain)) == where(str(beside))):
            return chain


def send(settings: Settings, chain: int, values: list[bytes]) -> None:
    client = Producer(producer(settings))
    for value in values:
        client.produce("chain.events", value, b"%d" % chain)
    assert client.flush(60) == 0


class Fraud:
    """The worker, and what it has written of a chain."""

    def __init__(self, settings: Settings, env: dict[str, str], folder: Path) -> None:
        self._settings = settings
        self._argv = [sys.executable, "-m", "tests.pipeline.fraud_worker", str(folder)]
        self._env, self._log = env, folder / "fraud.log"
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._argv, env=self._env, cwd=ROOT, stdout=log, stderr=log)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def row(self, chain: int, address: str) -> ProfileRow | None:
        with redis.Redis.from_url(self._settings.redis_url) as store:
            stored = store.get(PROFILES.row_key(f"{chain}:{address}"))
            assert not isinstance(stored, str)
            return parse(ProfileRow, stored)

    def done(self, chain: int) -> bool:
        """Whether both ends of the last payment have their rows, which lie in partitions of their own."""
        alice = self.row(chain, ALICE)
        return self.row(chain, LAST) is not None and alice is not None and alice.number == BLOCKS

    def levels(self, chain: int) -> dict[str, list[tuple[str, str, int]]]:
        """What risk.scores says of a chain's wallets: status, level and revision in order, repeats left out."""
        found = dict[str, list[tuple[str, str, int]]]()
        held = records.spans(self._settings, {"risk.scores": self._settings.partitions})["risk.scores"]
        start, stop = ({number: span[side] for number, span in held.items()} for side in (0, 1))
        for record in records.read(self._settings, "risk.scores", start, stop):
            if b'"kind":"wallet"' not in record.value:
                continue
            one = WalletRisk.model_validate_json(record.value)
            said = found.setdefault(one.address, [])
            if one.chain_id == chain and (told := (one.status, one.risk_level, one.revision)) not in said:
                said.append(told)
        return {address: said for address, said in found.items() if said}

    def state(self, chain: int) -> dict[str, str]:
        """The last level of each wallet of a chain that is told of, but for those that were taken back."""
        last = {address: said[-1] for address, said in self.levels(chain).items()}
        return {address: level for address, (status, level, _) in last.items() if status != "retracted"}


def plain(row: ProfileRow | None) -> dict[str, Any] | None:
    """What a row says, without chain and revisions; None where it knows no move: a wallet that was never named has no row."""
    if row is None or not row.moves:
        return None
    said = [(kept.head(one)._replace(revision=0), kept.moves(one)) for one in row.kept if kept.moves(one)]
    return {**row.model_dump(exclude={"revision", "chain_id"}), "kept": said}


@pytest.fixture
def worker(settings: Settings, child_env: dict[str, str], tmp_path: Path) -> Iterator[Fraud]:
    create(settings)
    with validating(settings, tmp_path / "validate.log"):
        running = Fraud(settings, child_env, tmp_path)
        with contextlib.ExitStack() as stack:
            stack.callback(running.kill)
            yield running


def test_blocks_become_profiles_and_a_kill_and_a_second_telling_change_nothing(
    settings: Settings, worker: Fraud
) -> None:
    calm, killed = chain_apart(settings), chain_apart(settings)
    send(settings, calm, blocks(calm))
    wait_for(lambda: worker.done(calm), 120)
    alice = worker.row(calm, ALICE)
    assert alice is not None
    # Eleven blocks of two, without the fifth, the seventh with one, and the last with one.
    assert (alice.moves, alice.level, alice.number) == (2 * 11 - 2 - 1 + 1, "critical", BLOCKS)
    profile = current(alice)
    assert profile is not None and profile.went.moves == alice.moves
    assert fraud.model().loaded.score([of_profile(profile)]).levels == [alice.level]
    bob = worker.row(calm, BOB)
    assert bob is not None and (bob.moves, bob.level) == (10, "critical")
    assert plain(worker.row(calm, f"0x{5:040x}")) is None
    assert [level for _, level, _ in worker.levels(calm)[ALICE]] == ["medium", "high", "critical"]

    values = blocks(killed)
    for start in range(0, len(values), 7):
        send(settings, killed, values[start : start + 7])
        worker.kill()
        worker.start()
    wait_for(lambda: worker.done(killed), 120)
    addresses = [ALICE, BOB, LAST, *(f"0x{number:040x}" for number in range(1, BLOCKS))]
    wanted = {address: plain(worker.row(calm, address)) for address in addresses}
    assert {address: plain(worker.row(killed, address)) for address in addresses} == wanted
    assert worker.state(killed) == worker.state(calm) == {ALICE: "critical", BOB: "critical"}
    # Told again, the fifth block is back for a moment; a chain that comes after it shows when all is through.
    send(settings, killed, values)
    marker = chain_apart(settings, beside=killed)
    send(settings, marker, blocks(marker))
    wait_for(lambda: worker.done(marker), 120)
    wait_for(lambda: {address: plain(worker.row(killed, address)) for address in addresses} == wanted, 60)
    assert worker.state(killed) == worker.state(calm)
