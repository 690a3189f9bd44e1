"""The promises of docs/delivery.md, each against real Kafka, Redis and workers that are killed, paused and failed on purpose.

Every test produces the same events under a chain id of its own, disturbs, and waits until the last state of each id equals that
of a run nobody disturbed. `test_the_naive_version_breaks_its_promise` shows that the comparison can fail.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
import redis
from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka import Producer

from agents.app import WORKERS
from base.exits import EXIT_DEAD_LETTERS, EXIT_FAILING, GRACE_S
from base.settings import Settings
from console.local.servers import LocalServers
from tables.registry import ALERTS_BY_CHAIN, answer_key, redis_key
from tests.chaos.asked import Asked, ask, questions, swaps
from tests.chaos.compare import check_calm, explain, still, told_of
from tests.chaos.crew import IN_TIME_S, NAMES, Crew, prepare
from tests.chaos.events import CHANGES, records, sandwich
from tests.chaos.faulty import FIRED, KAFKA, POISON, SESSION_TIMEOUT_S
from tests.chaos.witness import Witness, clean
from tests.conftest import wait_for
from topics.admin import create
from topics.clients import aiokafka, producer
from topics.partition import partition

pytestmark = pytest.mark.chaos
CHAINS = itertools.count(9_100_001)


@dataclass
class Arena:
    """One Kafka, one Redis, a witness, and what an undisturbed run amounts to."""

    servers: LocalServers
    settings: Settings
    witness: Witness
    env: dict[str, str]
    logs: Path
    calm: dict[str, Any]
    settled: list[int]

    def crew(self) -> Crew:
        return Crew({**self.env, KAFKA: str(self.servers.kafka.pid)}, self.logs)

    def fired(self) -> list[str]:
        """The faults that have happened, each as `worker place:count:what`."""
        notes = self.logs / FIRED
        return notes.read_text().splitlines() if notes.exists() else []

    def forget_fired(self) -> None:
        """Begin to note faults anew."""
        (self.logs / FIRED).unlink(missing_ok=True)

    def wait_joined(self, group: str) -> None:
        """Wait until a consumer group has its partitions."""

        async def state() -> str:
            admin = AIOKafkaAdminClient(**aiokafka(self.settings))
            await admin.start()
            try:
                (answer,) = await admin.describe_consumer_groups([group])
                return str(answer.groups[0][2])
            finally:
                await admin.close()

        wait_for(lambda: asyncio.run(state()) == "Stable", 120, every=0.1)

    def produce(self, chain_id: int, part: slice = slice(None)) -> None:
        """Produce the chain's records; the first goes to a wrong partition on purpose."""
        # A broker that stood still may take longer than our own patience to take records again on a busy machine.
        client = Producer({**producer(self.settings), "delivery.timeout.ms": 120_000})
        failed: list[Any] = []
        key = str(chain_id).encode()
        right = partition(key, self.settings.partitions)
        for place, value in list(enumerate(records(chain_id)))[part]:
            where = right if place else (right + 1) % self.settings.partitions
            client.produce("chain.events", value, key, where, lambda error, _: failed.append(error))
        assert client.flush(120) == 0 and not any(failed)

    def settle(self, crew: Crew, chain_id: int, timeout: float = 120, zombies: bool = False) -> None:
        """Wait until the chain's state is that of the undisturbed run, workers being started again as they end.

        What was said on the way there may repeat itself, but a revision always says the same, and only a zombie tells an older
        one for the first time.
        """
        try:
            wait_for(lambda: crew.keep() or self.witness.shows(chain_id, self.calm), timeout, every=0.05)
        except AssertionError:
            explain(self.calm, self.witness.state(chain_id))
            crew.show()
            raise
        chain = self.witness.chain(chain_id)
        assert not chain.contradictions
        assert zombies or not chain.falls
        self.settled.append(chain_id)


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    prepare()
    folder = tmp_path_factory.mktemp("chaos")
    with LocalServers(folder, Settings(_env_file=None)) as servers:
        settings = Settings(
            _env_file=None, brokers=servers.brokers, redis_url=servers.redis_url, data_dir=folder, worker_port=0
        )
        create(settings)
        witness = Witness(settings)
        env = settings.environment(
            brokers=settings.brokers, redis_url=settings.redis_url, data_dir=folder, worker_port=0
        )
        arena = Arena(servers, settings, witness, env, folder, {}, [])
        crew, chain_id = arena.crew(), next(CHAINS)
        try:
            for name in NAMES:
                crew.start(name)
            # The removals come once their blocks are told of: validate, quick as it is, may else say nothing but the end.
            arena.produce(chain_id, slice(0, -CHANGES))
            wait_for(lambda: told_of(witness.chain(chain_id)), 120)
            arena.produce(chain_id, slice(-CHANGES, None))
            arena.calm = still(witness, chain_id, crew.keep)
            assert not crew.ends
        finally:
            crew.close()
        check_calm(arena.calm)
        assert told_of(witness.chain(chain_id), retracted=True)
        assert {one["risk_level"] for one in arena.calm["risk.scores"].values()} == {"medium", "high", "critical"}
        yield arena
        witness.close()


@pytest.fixture
def crew(arena: Arena) -> Iterator[Crew]:
    arena.forget_fired()
    crew = arena.crew()
    yield crew
    crew.close()


# One column a worker; the faults of a row happen in one run.
FAULTS = [
    # kill -9 before the dead letters, the blocks and the views of a batch; between output, rows and commit
    ("produce:1:kill", "produce:2:kill", "produce:2:kill", "produce:1:kill"),
    ("produce:2:kill", "write:1:kill", "write:1:kill", "write:1:kill"),
    ("produce:3:kill", "write:1:after", "write:1:after", "write:1:after"),
    ("produce:3:after", "finish:1:after", "finish:1:after", "finish:1:after"),
    ("commit:1:kill", "read:1:kill", "", "read:1:kill"),
    ("restore:1:after", "parse:1:kill", "", ""),
    # Kafka or Redis gone at that very moment
    (
        "produce:1:lost produce:3:lost produce:5:lost",
        "write:1:lost produce:1:lost",
        "write:1:lost produce:1:lost",
        "write:1:lost produce:1:lost",
    ),
    # an exception that nobody foresees
    ("produce:3:odd", "read:1:odd", "give:1:odd", ""),
    ("commit:1:odd", "produce:2:odd", "write:1:odd", "write:1:odd"),
    ("batch:1:odd", "write:1:odd", "", ""),
    ("restore:1:odd", "parse:1:odd", "", ""),
]


def test_faults_everywhere_change_nothing(arena: Arena, crew: Crew) -> None:
    """Each fault hits a fresh worker while a chain of its own flows; all chains end as the undisturbed one."""
    for name in NAMES:
        crew.start(name)
    chains: list[int] = []
    for row in FAULTS:
        print(row)
        victims = {name: fault for name, fault in zip(NAMES, row, strict=True) if fault}
        crew.leave(*victims)
        for name, fault in victims.items():
            crew.start(name, fault)
        chains.append(next(CHAINS))
        ended = len(crew.ends)
        arena.produce(chains[-1])
        # A fault may hit when the chain is as it should be already, and what it ends is not at its end at once.
        hit = {f"{name} {fault}" for name, faults in victims.items() for fault in faults.split()}
        deadly = {name for name, faults in victims.items() if "lost" not in faults}
        wait_for(lambda hit=hit: crew.keep() or set(arena.fired()) == hit, 120)  # type: ignore[misc]
        wait_for(lambda deadly=deadly, at=ended: crew.keep() or {name for name, _ in crew.ends[at:]} >= deadly)  # type: ignore[misc]
        arena.settle(crew, chains[-1])
        assert set(arena.fired()) == hit
        arena.forget_fired()
    for chain_id in chains:
        arena.settle(crew, chain_id)
    assert {code for _, code in crew.ends} == {-signal.SIGKILL, EXIT_FAILING}


def test_sigterm_in_mid_batch_with_redis_away(arena: Arena, crew: Crew) -> None:
    """A stop asked for while a batch cannot finish acknowledges nothing of it."""
    for name in NAMES:
        crew.start(name)
    chain_id = next(CHAINS)
    arena.produce(chain_id, slice(0, 2))
    wait_for(lambda: len(arena.witness.part(chain_id, "table mev")) >= 1, 120)
    arena.servers.redis.pause()
    try:
        arena.produce(chain_id, slice(2, None))
        wait_for(lambda: len(arena.witness.chain(chain_id).states["chain.blocks"]) == 9, 120)
        crew.leave(*NAMES[1:])
    finally:
        arena.servers.redis.resume()
    for name in NAMES[1:]:
        crew.start(name)
    arena.settle(crew, chain_id)


def test_sigterm_in_mid_batch_with_kafka_stuck(arena: Arena, crew: Crew) -> None:
    """validate is told to stop while the broker takes its blocks and does not answer: it ends in time, and nothing is lost."""
    stalled = "produce:3:stall"
    crew.start("validate", stalled)
    arena.wait_joined(f"{WORKERS['validate'].app_id}.validate")
    chain_id = next(CHAINS)
    arena.produce(chain_id)
    try:
        wait_for(lambda: arena.fired() == [f"validate {stalled}"], 120)
        began = time.monotonic()
        crew.signal("validate", signal.SIGTERM)
        assert crew.wait("validate") == 0
        assert GRACE_S / 2 < time.monotonic() - began < IN_TIME_S  # it did wait for its batch
    finally:
        arena.servers.kafka.resume()
    for name in NAMES:
        crew.start(name)
    arena.settle(crew, chain_id)


def test_a_batch_that_outlives_its_session(arena: Arena, crew: Crew) -> None:
    """The broker stands still in mid-batch, and when it goes on, the group has forgotten its members: what is in hand does no harm.

    A second worker has come meanwhile, so that partitions may go to another one than had them.
    """
    stalled = "produce:3:stall"
    crew.start("validate", stalled)
    arena.wait_joined(f"{WORKERS['validate'].app_id}.validate")
    parts = arena.settings.partitions
    chains = [next(one for one in CHAINS if partition(b"%d" % one, parts) == part) for part in range(parts)]
    arena.produce(chains[0], slice(0, 40))
    try:
        wait_for(lambda: arena.fired() == [f"validate {stalled}"], 120)
        crew.start("validate#2")
        woken_at = time.monotonic() + 2 * SESSION_TIMEOUT_S
        wait_for(lambda: time.monotonic() > woken_at)
    finally:
        arena.servers.kafka.resume()
    arena.produce(chains[0], slice(40, None))
    for chain_id in chains[1:]:
        arena.produce(chain_id)
    for name in NAMES[1:]:
        crew.start(name)
    for chain_id in chains:
        arena.settle(crew, chain_id, zombies=True)


def test_the_naive_version_breaks_its_promise(arena: Arena, crew: Crew) -> None:
    """Redis gone for a moment under a worker that uses `take`: findings are lost, so what the tests above see is the runtime."""
    for name in NAMES:
        crew.start(name, naively=name == "chain")
    chain_id = next(CHAINS)
    # The three blocks that later ones of the same number replace or take back: what is lost of the fourth stays so.
    arena.produce(chain_id, slice(0, 3))
    changing = {f"C:{number}" for number in range(1_001, 1_004)}
    wait_for(lambda: arena.witness.part(chain_id, "table mev").keys() >= changing, 120)
    log = arena.logs / "chain.log"
    before = log.stat().st_size
    arena.servers.redis.kill()
    try:
        arena.produce(chain_id, slice(3, None))
        wait_for(lambda: len(arena.witness.chain(chain_id).states["chain.blocks"]) == 9, 120)
        wait_for(lambda: b"ConnectionError" in log.read_bytes()[before:], 120)
    finally:
        arena.servers.redis.restart()
    crew.signal("chain", signal.SIGTERM)
    crew.wait("chain")
    crew.start("chain", naively=True)
    # A chain of the same partition, produced later: when it is through, the first has had its turn.
    parts = arena.settings.partitions
    marker = next(one for one in CHAINS if partition(b"%d" % one, parts) == partition(b"%d" % chain_id, parts))
    arena.produce(marker, slice(0, 2))
    wait_for(lambda: len(arena.witness.part(marker, "table mev")) >= 1, 120)
    assert arena.witness.part(chain_id, "table mev") != arena.calm["table mev"]


def test_kill_while_blocks_are_open(arena: Arena, crew: Crew) -> None:
    """validate dies with blocks half assembled: they are assembled anew, their revisions go on."""
    crew.start("validate")
    chain_id = next(CHAINS)
    for cut in (slice(0, 20), slice(20, 30), slice(30, 40)):
        arena.produce(chain_id, cut)
        wait_for(lambda: arena.witness.part(chain_id, "chain.blocks"), 120)
        crew.signal("validate", signal.SIGKILL)
        crew.wait("validate")
        crew.start("validate")
    arena.produce(chain_id, slice(40, None))
    for name in NAMES[1:]:
        crew.start(name)
    arena.settle(crew, chain_id)


def test_zombies_do_no_harm(arena: Arena, crew: Crew) -> None:
    """Workers stopped beyond their session time-out wake up and go on: what they say late does not win."""
    for name in NAMES:
        crew.start(name)
    first = next(CHAINS)
    arena.produce(first)
    wait_for(lambda: arena.witness.part(first, "chain.blocks"), 120)
    for name in NAMES:
        crew.signal(name, signal.SIGSTOP)
    chain_id = next(CHAINS)
    arena.produce(chain_id)
    for name in NAMES:
        crew.start(f"{name}#2")
    arena.settle(crew, chain_id, zombies=True)  # the stopped ones' partitions moved only after their session timed out
    for name in NAMES:
        crew.signal(name, signal.SIGCONT)
    last = next(CHAINS)
    arena.produce(last)
    for chain in (last, chain_id, first):
        arena.settle(crew, chain, zombies=True)


@pytest.mark.parametrize("server", ["redis", "kafka"])
def test_a_server_killed_and_back(arena: Arena, crew: Crew, server: str) -> None:
    """kill -9 of Redis or Kafka in the middle of a chain: nothing acknowledged is lost, work resumes by itself."""
    for name in NAMES:
        crew.start(name)
    chain_id = next(CHAINS)
    arena.produce(chain_id, slice(0, 30))
    wait_for(lambda: arena.witness.part(chain_id, "chain.blocks"), 120)
    child = getattr(arena.servers, server)
    child.kill()
    child.restart()
    arena.produce(chain_id, slice(30, None))
    arena.settle(crew, chain_id)


def test_a_poisoned_record_stands_alone(arena: Arena, crew: Crew) -> None:
    """A record on which our code raises becomes a dead letter, and it alone; ten in a row end the worker for good."""
    crew.start("validate", "poison")
    chain_id = next(CHAINS)
    client, key = Producer(producer(arena.settings)), str(chain_id).encode()
    values = records(chain_id)
    bad = values[0].replace(b'"from_address":"0x', f'"from_address":"{POISON}","sender":"0x'.encode(), 1)
    for value in (*values[:3], bad, *values[3:]):
        client.produce("chain.events", value, key)
    assert client.flush(30) == 0
    for name in NAMES[1:]:
        crew.start(name)
    wait_for(lambda: _errors(arena, chain_id) == 1, 120)
    crew.leave("validate")
    crew.start("validate", "poison")
    for _ in range(12):
        client.produce("chain.events", bad, key)
    assert client.flush(30) == 0
    assert crew.wait("validate") == EXIT_DEAD_LETTERS
    crew.start("validate")
    wait_for(lambda: crew.keep() or len(arena.witness.part(chain_id, "chain.blocks")) == 9, 120)


def test_sigterm_under_load(arena: Arena, crew: Crew) -> None:
    """Blocks come and come when all workers are told to stop: each ends in time by itself, and in the end nothing is missing."""
    for name in NAMES:
        crew.start(name)
    chain_id, over, produced = next(CHAINS), threading.Event(), 0

    def flow() -> None:
        nonlocal produced
        client, key = Producer(producer(arena.settings)), str(chain_id).encode()
        while not over.wait(0.02):
            for number in range(produced + 1, produced + 6):
                client.produce("chain.events", sandwich(chain_id, number), key)
            produced += 5
            client.poll(0)
        assert client.flush(60) == 0

    def missing() -> int:
        """How many blocks are not through yet: in their topic, in the tables, and told of by an alert."""
        arena.witness.look()
        seen = arena.witness.seen(chain_id)
        return produced - min(len(seen[name]) for name in ("chain.blocks", "table blocks", "table alerts"))

    with ThreadPoolExecutor(1) as pool, redis.Redis.from_url(arena.settings.redis_url) as client:
        flowing, alerts = pool.submit(flow), redis_key(ALERTS_BY_CHAIN.name, str(chain_id))
        try:
            wait_for(lambda: cast(int, client.zcard(alerts)) >= 20, 120)
            # Of fraud no alert needs anything: it must listen for the signal too.
            wait_for(lambda: arena.witness.part(chain_id, "table profiles"), 120)
            began = time.monotonic()
            for name in NAMES:
                crew.signal(name, signal.SIGTERM)
            ends = {name: (crew.wait(name), round(time.monotonic() - began, 2)) for name in NAMES}
            wait_for(lambda at=produced: produced > at)  # type: ignore[misc]
        finally:
            over.set()
        flowing.result()
    waited = missing()
    print(f"{ends}; {waited} of {produced} blocks waited")
    assert all(code == 0 and seconds < IN_TIME_S for code, seconds in ends.values()), ends
    assert waited > 0
    crew.ends.clear()
    for name in NAMES:
        crew.start(name)
    wait_for(lambda: crew.keep() or missing() == 0, 120, every=0.1)
    assert not crew.ends and not arena.witness.chain(chain_id).contradictions


def test_every_request_is_answered_once_whatever_is_killed(arena: Arena, crew: Crew) -> None:
    """Swap requests and questions about MEV, with the workers that answer killed by -9 at random moments among them.

    Each is answered, what is said of one twice is the same, and it is what an undisturbed run says with profiles at rest.
    """
    for name in NAMES:
        crew.start(name)
    said: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for rng in (None, random.Random(7)):
        chain_id = next(CHAINS)
        arena.produce(chain_id)
        arena.settle(crew, chain_id)
        arena.settled.remove(chain_id)  # what is asked now comes on top
        wanted = _asked(arena, chain_id)
        heard = _answers(arena, crew, chain_id, wanted, rng)
        state = still(arena.witness, chain_id, crew.keep)
        scored = {one.id for one in wanted if one.topic == "swap.requests"}
        scores = arena.witness.chain(chain_id).told("risk.scores")
        assert {id for id, one in scores.items() if one["kind"] == "request"} == scored
        assert len(state["table risk"]) == len(scored)
        assert not arena.witness.chain(chain_id).contradictions
        said.append((state, heard))
    if said[0][0] != said[1][0]:
        explain(said[0][0], said[1][0])
    assert said[0] == said[1]
    assert [code for _, code in crew.ends] == [-signal.SIGKILL] * 4


def _answers(arena: Arena, crew: Crew, chain_id: int, wanted: list[Asked], rng: random.Random | None) -> dict[str, Any]:
    """The answer to each; with `rng`, who answers is killed twice among them."""
    client, heard, kills = Producer(producer(arena.settings)), dict[str, Any](), 0
    for at in range(0, len(wanted), PORTION):
        _heard(arena, chain_id, wanted, heard)  # before the first are forgotten, should all this take long
        ask(client, wanted[at : at + PORTION])
        assert client.flush(30) == 0
        if rng is None or at not in (PORTION, 3 * PORTION):
            continue
        moment, kills = time.monotonic() + rng.uniform(0, 0.05), kills + 2
        wait_for(lambda moment=moment: time.monotonic() > moment, every=0.001)  # type: ignore[misc]
        for name in ("fraud", "chain"):
            crew.signal(name, signal.SIGKILL)
        wait_for(lambda kills=kills: crew.keep() or len(crew.ends) == kills, every=0.01)  # type: ignore[misc]
    wait_for(lambda: crew.keep() or _heard(arena, chain_id, wanted, heard), 120, every=0.05)
    return heard


PORTION = 40


def _asked(arena: Arena, chain_id: int) -> list[Asked]:
    """Requests of wallets that the chain knows and of others, and questions about findings in it, mixed."""
    wallets = [key.partition(":")[2] for key in sorted(arena.witness.part(chain_id, "table profiles"))]
    found = arena.witness.chain(chain_id).told("mev.findings")
    known = [
        (hash, one["block_number"])
        for _, one in sorted(found.items())
        if one["status"] != "retracted"
        for part in ("transactions", "front", "victims", "back")
        for hash in one.get(part, ())
    ]
    asked = [
        *swaps(chain_id, 4 * PORTION, wallets[:: max(1, len(wallets) // 60)]),
        *questions(chain_id, PORTION, known),
    ]
    random.Random(3).shuffle(asked)
    return asked


def _heard(arena: Arena, chain_id: int, wanted: list[Asked], heard: dict[str, Any]) -> bool:
    """Whether each has its answer, noting those that are there: they stay for a minute only. The same id, the same answer."""
    with redis.Redis.from_url(arena.settings.redis_url) as store:
        rows = cast(list[bytes | None], store.mget([answer_key(one.id) for one in wanted]))
    for one, row in zip(wanted, rows, strict=True):
        if row is not None:
            told = clean(orjson.loads(row), chain_id)
            told.pop("repeated", None)
            assert heard.setdefault(one.id.replace(str(chain_id), "C"), told) == told
    return len(heard) == len(wanted)


def test_what_has_settled_stays_so(arena: Arena) -> None:
    """Nothing that any worker of the tests above said late has changed a chain since."""
    arena.witness.look()
    for chain_id in arena.settled:
        assert arena.witness.seen(chain_id) == arena.calm, chain_id
        assert not arena.witness.chain(chain_id).contradictions


def _errors(arena: Arena, chain_id: int) -> int:
    letters = arena.witness.part(chain_id, "chain.events.dlq")
    return sum(reason == "handler_error" for reason, _ in letters)
