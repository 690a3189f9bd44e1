"""Every Redis table of Soba: its key, its row's schema, how long a row lives and which agent writes it.

A row key is `table:{bNN}:key` with NN = crc32(key) % 256 in hex, so that rows of one bucket share a cluster slot whatever
Kafka does. A row's value is its version in 20 digits and then JSON, so that a script can compare versions without parsing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from zlib import crc32

from pydantic import BaseModel, Field

from topics.schemas.alerts import Alert
from topics.schemas.fields import Uint64
from topics.schemas.mev import Finding
from topics.schemas.mev_trades import BlockTrades
from topics.schemas.risk import Assessment
from topics.schemas.wallet import Exposure, Known, Level, Share, Unjudged, Warned

VERSION_DIGITS = 20
REPLIES_CHANNEL = "replies:{instance}"
"""Redis channel on which a facade instance hears that an answer is there."""


class BlockRow(BaseModel):
    """What is known of a block without its events."""

    chain_id: Uint64
    number: Uint64
    revision: Uint64
    status: Literal["complete", "partial", "removed"]
    hash: str | None = None
    parent_hash: str | None = None
    timestamp: Uint64 | None = None
    base_fee: Uint64 | None = None
    miner: str | None = None
    transactions: Uint64
    events: dict[str, int]
    """How many events of each type."""
    rejected: Uint64
    """How many elements of it went to the dead letters."""
    warnings: dict[str, int] = {}
    """How many of its events do not fit each other, by the warning's code: `price_of_pool`."""


class GasRow(BaseModel):
    """What gas costs on a day of a chain (`models.chain.gas`)."""

    chain_id: Uint64
    day: Uint64
    """Days since 1970, UTC, by the times of blocks."""
    revision: Uint64
    """Of the newest block in it."""
    bins: dict[int, int]
    """Blocks that no longer change, by the bin of their median price."""
    folded: int = -1
    kept: list[tuple[int, int, int | None]] = []
    """Number, revision and bin of those that still may."""


class MevRow(BaseModel):
    """All findings of one block, or of one pair of neighbours, so that a revision replaces them at once."""

    chain_id: Uint64
    number: Uint64
    """Of a pair the second's."""
    revision: Uint64
    """Of a pair the sum of both."""
    status: Literal["complete", "partial", "removed"]
    """Of a pair `complete` where both are, and `removed` where one is."""
    findings: list[Finding]


class ProfileRow(Known):
    """What is known of a wallet by its own moves, and how that is judged. `models.fraud.wallet.current` makes a profile of it."""

    chain_id: Uint64
    address: str
    revision: Uint64
    """Of the row: it rises with each block that says something new, and is never below that block's."""
    moves: Uint64
    """How many are in the profile that is scored: the evidence."""
    known: Literal["profile"] | Unjudged = "profile"
    """What it is judged by, or what it is, where behaviour tells nothing of it: then only lists raise its level."""
    level: Level
    probability: Share | None = None
    """Of being a fraud's wallet, calibrated, by behaviour alone; left out where no move is left, or behaviour tells nothing."""
    anomaly: Share | None = None
    """How unusual it is among ordinary wallets, as a rank: no probability. Left out where the level is low."""
    model: str
    """By which model."""
    alerts: list[Warned] = Field(default_factory=list)
    """What lists and named rules say of it; one from `medium` up raises the level to its own."""
    exposure: Exposure | None = None
    """Left out where it dealt with no listed address."""


class DriftRow(BaseModel):
    """Wallets that were scored on one day of chain time, for how far they are from those of training (`models.fraud.drift`)."""

    day: Uint64
    """Days since 1970."""
    partition: Uint64
    """Of wallet.activity."""
    revision: Uint64
    """The offset in it of the last record that is counted."""
    model: str
    """By which they were scored; the count begins anew when another one serves."""
    wallets: Uint64
    counts: list[list[Uint64]]
    """Of each feature of the model, in its order, and of the score: how many wallets fell into each bin."""


class ModelRow(BaseModel):
    """A model that a worker serves."""

    name: str
    version: str
    stale: bool
    """Whether it has expired."""
    refused: str | None = None
    """Why the worker did not take a release that came after it."""


class WorkerRow(BaseModel):
    """A worker's heartbeat."""

    service: str
    app_id: str
    instance: str
    pid: int
    port: int
    started_at: float
    beat_at: float
    progress_at: float
    """Since when records wait for an agent that finishes none; the time of the beat where none wait."""
    handled: int
    failed: int
    dead_letters: int
    lag: int
    busy_since: float | None = None
    """When the oldest of the batches in hand and of the restores under way began."""
    models: list[ModelRow] = []
    lists: str = ""
    """The lists of addresses that it knows, by their mark (`models.fraud.lists`); empty where it asks for none."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One kind of row. `key` says how its key is made. There is one object of each, so it is looked up by what it is."""

    name: str
    key: str
    schema: type[BaseModel]
    ttl: timedelta
    writers: tuple[str, ...]
    """Each of them writes rows of its own."""
    doc: str

    def row_key(self, key: str) -> str:
        """Where the row of `key` lies in Redis."""
        return redis_key(self.name, key)


@dataclass(frozen=True, slots=True)
class Index:
    """A sorted set that leads from `key` to rows of `table`: members are row keys, scores block numbers, days or unix seconds.

    An index only points: it may name a row that no longer says what it was indexed for, and the reader checks the row. That is
    why a stale writer can do no harm to it.
    """

    name: str
    key: str
    table: Table
    keep: int
    """Only the `keep` highest scores are kept."""


def redis_key(name: str, key: str) -> str:
    """`name:{bNN}:key`."""
    return f"{name}:{_BUCKETS[crc32(key.encode()) % 256]}:{key}"


_BUCKETS = [f"{{b{number:02x}}}" for number in range(256)]


WEEK = timedelta(days=7)
BLOCKS = Table("blocks", "chain_id:number", BlockRow, WEEK, ("blocks",), "Validated blocks without their events.")
GAS = Table(
    "gas", "chain_id:day", GasRow, WEEK, ("blocks",), "What gas costs, by days of chain time, from the blocks' medians."
)
MEV = Table(
    "mev",
    "chain_id:number, of two blocks chain_id:number-number",
    MevRow,
    WEEK,
    ("mev",),
    "MEV findings by block, and those over two neighbouring ones.",
)
MEV_TRADES = Table(
    "mev_trades",
    "chain_id:number",
    BlockTrades,
    timedelta(days=1),
    ("mev",),
    "Trades of a block in short, by which sandwiches over it and its neighbour are found.",
)
ALERTS = Table("alerts", "alert id", Alert, WEEK, ("alerts", "risk_alerts"), "Alerts with their English text.")
WORKERS = Table("workers", "app_id:instance", WorkerRow, timedelta(seconds=95), ("runtime",), "Heartbeats of workers.")
PROFILES = Table(
    "profiles",
    "chain_id:address",
    ProfileRow,
    timedelta(days=120),
    ("profiles",),
    "Wallets by what they did, with scores.",
)
DRIFT = Table(
    "drift",
    "day:partition",
    DriftRow,
    timedelta(days=30),
    ("profiles",),
    "A sample of the wallets scored on a day, by bins of their features.",
)
RISK = Table("risk", "request id", Assessment, WEEK, ("assess",), "Assessments of swap requests.")
TABLES = (BLOCKS, GAS, MEV, MEV_TRADES, PROFILES, DRIFT, ALERTS, RISK, WORKERS)

BLOCKS_BY_CHAIN = Index("blocks_by_chain", "chain_id", BLOCKS, 10_000)
MEV_BY_CHAIN = Index("mev_by_chain", "chain_id", MEV, 10_000)
MEV_BY_TRANSACTION = Index("mev_by_transaction", "chain_id:hash", MEV, 100)
MEV_BY_ADDRESS = Index("mev_by_address", "chain_id:address", MEV, 1_000)
MEV_BY_POOL = Index("mev_by_pool", "chain_id:pool", MEV, 1_000)
ALERTS_BY_CHAIN = Index("alerts_by_chain", "chain_id", ALERTS, 10_000)
RISK_BY_TRANSACTION = Index("risk_by_transaction", "chain_id:hash", RISK, 100)
RISK_BY_WALLET = Index("risk_by_wallet", "chain_id:address", RISK, 1_000)
DRIFT_BY_MODEL = Index("drift_by_model", "name", DRIFT, 1_000)
INDEXES = (
    BLOCKS_BY_CHAIN,
    MEV_BY_CHAIN,
    MEV_BY_TRANSACTION,
    MEV_BY_ADDRESS,
    MEV_BY_POOL,
    ALERTS_BY_CHAIN,
    RISK_BY_TRANSACTION,
    RISK_BY_WALLET,
    DRIFT_BY_MODEL,
)


def mev_key(chain_id: int, *numbers: int) -> str:
    """The key of a block in `mev` and `mev_trades`, or of two neighbours in `mev`."""
    return f"{chain_id}:{'-'.join(map(str, numbers))}"


def mev_keys(chain_id: int, number: int) -> list[str]:
    """The keys of all rows of `mev` that tell of a block: its own first."""
    return [mev_key(chain_id, *numbers) for numbers in ((number,), (number - 1, number), (number, number + 1))]


def answer_key(request_id: str) -> str:
    """Where the answer to a question waits (60 s)."""
    return f"answers:{request_id}"
