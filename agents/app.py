"""The Faust apps: which worker runs which agents, and how one is run.

`soba worker NAME` runs one of `WORKERS` in this process; a worker is disposable, its launcher starts it anew.
"""

from __future__ import annotations

import asyncio
import faulthandler
import importlib
import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import faust
import mode.loop
from faust.app import BootStrategy

from agents.activity import Activity
from agents.agent import Agent, Partitioned
from agents.ahead import hold_few_bytes
from agents.consume import ConsumeFeed
from agents.fetching import look_sooner
from agents.lists import listing
from agents.outlet import Outlet
from agents.parsing import shared
from agents.pulse import Pulse
from agents.releases import serving
from agents.stream import BATCH, BATCH_BYTES, attach
from base import tracing
from base.exits import EXIT_FAILING, GRACE_S, end_now, end_within
from base.garbage import collect_rarely
from base.logs import log_name, setup_logging
from base.settings import Settings, chosen, get_settings
from base.version import version
from topics import clients
from topics.broken_pipes import mend
from topics.registry import DEAD_LETTER_ROOM

log = logging.getLogger("soba.worker")


@dataclass(frozen=True, slots=True)
class Worker:
    """One process: a Faust app and its agents, modules that hold an `AGENT`."""

    name: str
    service: str
    app_id: str
    port: int
    """Where it serves /health, /ready and /metrics; a further process of the service takes a free one."""
    modules: tuple[str, ...]

    def agents(self) -> list[Agent | Partitioned]:
        """Its agents, imported now."""
        return [importlib.import_module(module).AGENT for module in self.modules]


WORKERS: dict[str, Worker] = {
    worker.name: worker
    for worker in (
        Worker("validate", "DATA_PROCESSING", "DATA_PROCESSING.validate", 8004, ("agents.validate", "agents.verdicts")),
        Worker(
            "chain",
            "BLOCKCHAIN_INTELLIGENCE",
            "BLOCKCHAIN_INTELLIGENCE",
            8005,
            ("agents.mev", "agents.blocks", "agents.detections"),
        ),
        Worker(
            "fraud",
            "FRAUD_DETECTION",
            "FRAUD_DETECTION",
            8003,
            ("agents.profiles", "agents.assess"),
        ),
        Worker("language", "NLP_TRANSLATION", "NLP_TRANSLATION", 8002, ("agents.alerts", "agents.risk_alerts")),
    )
}


class _WithoutStreams(BootStrategy):
    """Starts no consumer of Faust's, which would wait for a first stream for ever."""

    enable_kafka = False


class _Process(faust.Worker):
    """Faust's process, without its terminal show, and able to stop before its partitions are assigned."""

    def __init__(self, app: Any) -> None:
        super().__init__(
            app,
            loglevel="WARN",
            override_logging=False,
            redirect_stdouts=False,
            quiet=True,
            stdout=io.StringIO(),  # where Faust draws its spinner
        )
        self._assigned = isinstance(app.boot_strategy, _WithoutStreams)
        app.on_partitions_assigned.connect(self._note_assigned, weak=False)

    async def _note_assigned(self, *_: Any, **__: Any) -> None:
        self._assigned = True

    def _on_sigterm(self) -> None:
        # Joining a group can take as long as a dead member's session, and nothing is in hand yet. Later, a batch that waits for a
        # server gets its grace; what is not acknowledged is read again.
        end_within(GRACE_S if self._assigned else 0.0, log)
        super()._on_sigterm()


def make_app(worker: Worker, settings: Settings) -> Any:
    """A Faust app set up as research/streams.md section 2.3 recommends; it has no tables, web server or leader topic."""
    mend()
    folder = settings.data_dir / "faust"  # Faust insists on one; without tables it stays empty
    folder.mkdir(parents=True, exist_ok=True)
    brokers = ";".join(f"kafka://{broker.strip()}" for broker in settings.brokers.split(","))
    app = faust.App(
        worker.app_id,
        broker=brokers,
        broker_credentials=_credentials(settings),
        datadir=str(folder / worker.app_id),
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        autodiscover=False,
        stream_wait_empty=False,
        stream_buffer_maxsize=BATCH,
        broker_commit_interval=0.5,
        broker_commit_every=1_000,
        broker_session_timeout=clients.SESSION_TIMEOUT_S,
        broker_heartbeat_interval=clients.SESSION_TIMEOUT_S / 10,
        broker_request_timeout=60,
        broker_max_poll_interval=300,
        consumer_metadata_max_age_ms=clients.METADATA_AGE_S * 1000,
        consumer_max_fetch_size=clients.LARGEST + DEAD_LETTER_ROOM,
        consumer_auto_offset_reset="earliest",
        table_standby_replicas=0,
        worker_redirect_stdouts=False,
    )
    look_sooner(app)
    hold_few_bytes(app, BATCH_BYTES)
    return app


def _credentials(settings: Settings) -> Any:
    options = clients.aiokafka(settings)
    protocol = options.get("security_protocol", "PLAINTEXT").upper()
    if protocol.startswith("SASL"):
        return faust.SASLCredentials(
            mechanism=options.get("sasl_mechanism", "PLAIN"),
            username=options.get("sasl_plain_username"),
            password=options.get("sasl_plain_password"),
            ssl_context=options.get("ssl_context"),
        )
    return faust.SSLCredentials(options["ssl_context"]) if protocol == "SSL" else None


def _streamed(agent: Agent | Partitioned) -> TypeGuard[Agent]:
    return isinstance(agent, Agent) and agent.feed == "stream"


def _measuring(agents: Sequence[Agent | Partitioned]) -> tuple[Callable[..., Any], ...]:
    """What measures models, where one serves: it brings numpy, 10 MB that the other workers do without."""
    if not any(isinstance(agent, Agent) and agent.models for agent in agents):
        return ()
    from agents.labels import labelling
    from agents.watch import watching

    return watching, labelling


def build(worker: Worker, settings: Settings) -> Any:
    """The worker's Faust app with its agents attached, ready to run."""
    agents = worker.agents()
    app = make_app(worker, settings)
    if not any(_streamed(agent) for agent in agents):
        app.boot_strategy = _WithoutStreams(app)
    activity = Activity()
    outlet = Outlet(settings, activity)
    threads = []
    for made in (serving, listing, *_measuring(agents)):
        if (service := made(agents, settings, outlet)) is not None:
            app.service(service)
    parsers = shared([agent for agent in agents if _streamed(agent)])
    for agent in agents:
        if _streamed(agent):
            threads.append(attach(app, agent, outlet, parsers[agent.name]))
        else:
            app.service(ConsumeFeed(worker.app_id, agent, settings, outlet))
    app.service(Pulse(worker.service, worker.app_id, worker.port, settings, outlet, app))

    @app.on_before_shutdown.connect  # type: ignore[untyped-decorator]
    async def stop(*_: Any, **__: Any) -> None:
        log.info("worker %s stops", worker.name)
        outlet.stopping.set()
        for thread in threads:
            await asyncio.to_thread(thread.shutdown)

    return app


def run(name: str) -> None:
    """Run the worker `name` until it is told to stop.

    Raises:
        KeyError: there is no such worker.
    """
    worker, settings = WORKERS[name], get_settings()
    faulthandler.enable()  # a crash in a native library tells the stacks of our threads
    setup_logging(worker.service, settings.log_level)
    tracing.start(log_name(worker.service), settings.otel_endpoint)
    told = {"version": version(), "agents": [agent.name for agent in worker.agents()], "settings": chosen(settings)}
    log.info("worker %s starts", name, extra={"metadata": told})
    # Faust and aiokafka tell of every rebalance; their warnings are what an operator needs.
    for noisy in ("faust", "mode", "aiokafka", "kafka"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    mode.loop.use("uvloop")
    process = _Process(build(worker, settings))
    collect_rarely()
    code = EXIT_FAILING
    try:
        process.execute_from_commandline()
    except SystemExit as ended:
        # Faust ends with 1 when it cannot start, as where a server goes away just then.
        if ended.code:
            logging.getLogger("soba.runtime").critical(
                "the worker could not go on as Faust ran it (code %s); why is told above", ended.code
            )
        else:
            code = 0
    except Exception:
        log.exception("the worker could not go on")
    tracing.stop()
    end_now(code)
