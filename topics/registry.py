"""Every topic of Soba in one table: what it carries, how it is keyed, how large, who writes and who reads it.

Clients, brokers, the CLI and the docs all take their facts from here. A topic stands here only once it has a writer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from topics import releases
from topics.headers import ASKED, BLOCK, QUESTION, RESULT, TAKEN_IN, Header
from topics.schemas import alerts, chain, labels, lists, mev, mev_question, models, requests, risk

MIB = 1024 * 1024
OTHERS = ("any producer", "consumers")
"""Writers and readers that are no part of Soba."""
DEAD_LETTER_SUFFIX = ".dlq"
DEAD_LETTER_ROOM = 64 * 1024
"""What a dead letter may be larger than its source's limit: its headers."""
DEAD_LETTER_RETENTION = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `schema` is the type of its value; chain.events takes three forms, `topics.codecs` says which."""

    name: str
    key: str
    schema: Any
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    doc: str
    max_bytes: int = MIB
    retention: timedelta | None = timedelta(days=7)
    """None: compacted, the newest record of each key stays for ever."""
    dead_letters: bool = False
    """Whether an agent reads it, so that `<name>.dlq` exists."""
    headers: tuple[Header, ...] = RESULT
    content_type: str = "application/json"

    @property
    def dlq(self) -> str:
        """The name of its dead-letter topic."""
        return self.name + DEAD_LETTER_SUFFIX


CHAIN_EVENTS = Topic(
    "chain.events",
    key="chain_id",
    schema=chain.Event | list[chain.Event] | chain.Block,
    writers=("ingest", "facade", "any producer"),
    readers=("validate",),
    doc="Raw chain events: one event, an array of events, or a block envelope.",
    max_bytes=8 * MIB,
    dead_letters=True,
    headers=TAKEN_IN,
)
CHAIN_BLOCKS = Topic(
    "chain.blocks",
    key="chain_id",
    schema=chain.Block,
    writers=("validate",),
    readers=("mev", "blocks", "consumers"),
    doc="Validated blocks. A later revision of a block replaces an earlier one.",
    max_bytes=32 * MIB,
    dead_letters=True,
    headers=BLOCK,
)
PAIR_TRADES = Topic(
    "pair.trades",
    key="partition",
    schema=chain.PairTrades,
    writers=("validate",),
    readers=("consumers",),
    doc="The trades of each block by pair; a record replaces its block's contribution in its partition.",
    max_bytes=32 * MIB,
)
WALLET_ACTIVITY = Topic(
    "wallet.activity",
    key="partition",
    schema=chain.WalletActivity,
    writers=("validate",),
    readers=("profiles", "consumers"),
    doc="What each wallet did in each block; a record replaces its block's contribution in its partition.",
    max_bytes=32 * MIB,
    dead_letters=True,
)
MEV_FINDINGS = Topic(
    "mev.findings",
    key="chain_id:block_number",
    schema=mev.Finding,
    writers=("mev",),
    readers=("alerts", "consumers"),
    doc="MEV bundles found in blocks; the newest revision of an id is its state.",
    # One names every victim, and there may be as many as events in a block: up to 0.9 of the block's own size.
    max_bytes=16 * MIB,
    dead_letters=True,
)
SWAP_REQUESTS = Topic(
    "swap.requests",
    key="from_address",
    schema=risk.SwapRequests,
    writers=("ingest", "facade", "any producer"),
    readers=("assess",),
    doc="Swaps that somebody wants assessed before they are made: one, or an array of them. Where the header `reply_to` names"
    " who waits, the answer goes to Redis too.",
    dead_letters=True,
    headers=ASKED,
)
RISK_SCORES = Topic(
    "risk.scores",
    key="chain_id:address",
    schema=risk.Risk,
    writers=("assess", "profiles"),
    readers=("risk_alerts", "consumers"),
    doc="The risk of swap requests, and of wallets whose level has changed; the newest revision of an id is its state.",
    dead_letters=True,
)
ALERTS = Topic(
    "alerts",
    key="entity",
    schema=alerts.Alert,
    writers=("alerts", "risk_alerts"),
    readers=("consumers",),
    doc="What a person should know, with an English text.",
    # One names every front and back of its finding twice.
    max_bytes=8 * MIB,
)
REQUESTS_DATA = Topic(
    "requests.data",
    key="reply_to",  # the asking facade instance, so that its questions share batches
    schema=requests.ValidateEvents,
    writers=("facade",),
    readers=("verdicts",),
    doc="Questions to DATA_PROCESSING; the answer goes to Redis, not to a topic.",
    # Of an HTTP body of 1 MiB: written anew, `1e15` is `1000000000000000.0`.
    max_bytes=4 * MIB,
    retention=timedelta(hours=1),
    dead_letters=True,
    headers=QUESTION,
)
REQUESTS_CHAIN = Topic(
    "requests.chain",
    key="reply_to",
    schema=mev_question.DetectMev,
    writers=("facade",),
    readers=("detections",),
    doc="Questions to BLOCKCHAIN_INTELLIGENCE; the answer goes to Redis, not to a topic.",
    # Of an HTTP body of 1 MiB: written anew, names are longer than the shortest that are taken.
    max_bytes=4 * MIB,
    retention=timedelta(hours=1),
    dead_letters=True,
    headers=QUESTION,
)
MODEL_RELEASES = Topic(
    "model.releases",
    key="name",
    schema=models.Manifest,
    writers=("operators",),
    readers=("workers",),
    doc="Trained models: the manifest as one line of JSON, then the artefact's bytes. Key `name`: the one that serves;"
    " `name@version`: earlier ones, to roll back to. An empty value takes a release back.",
    max_bytes=16 * MIB,
    retention=None,
    headers=releases.HEADERS,
    content_type=releases.CONTENT.decode(),
)
LISTS = Topic(
    "lists",
    key="list:chain_id:address",
    schema=lists.Listed,
    writers=("operators",),
    readers=("workers",),
    doc="Addresses that operators list, one record each; `*` in a key is every chain. An empty value takes one off.",
    retention=None,
)

LABELS = Topic(
    "labels",
    key="chain_id:address",
    schema=labels.Label,
    writers=("operators",),
    readers=("workers",),
    doc="What operators know of wallets: what training learns from, and what scores are measured by. An empty value takes a label"
    " back.",
    retention=None,
)

TOPICS: dict[str, Topic] = {
    topic.name: topic
    for topic in (
        CHAIN_EVENTS,
        CHAIN_BLOCKS,
        PAIR_TRADES,
        WALLET_ACTIVITY,
        MEV_FINDINGS,
        SWAP_REQUESTS,
        RISK_SCORES,
        ALERTS,
        REQUESTS_DATA,
        REQUESTS_CHAIN,
        MODEL_RELEASES,
        LISTS,
        LABELS,
    )
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic as it should stand on the broker."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]


def wanted(partitions: int, replication: int) -> list[Wanted]:
    """All topics and dead-letter topics as a broker should hold them."""
    out = []
    for topic in TOPICS.values():
        names = [(topic.name, topic.max_bytes, topic.retention)]
        if topic.dead_letters:
            names.append((topic.dlq, topic.max_bytes + DEAD_LETTER_ROOM, DEAD_LETTER_RETENTION))
        for name, size, keep in names:
            config = {"max.message.bytes": str(size + DEAD_LETTER_ROOM)}
            if keep is None:
                config["cleanup.policy"] = "compact"
            else:
                config |= {"retention.ms": str(int(keep.total_seconds() * 1000)), "cleanup.policy": "delete"}
            out.append(Wanted(name, partitions, replication, config))
    return out


def max_bytes(topic: str) -> int:
    """The largest value `topic` takes, dead-letter topics included.

    Raises:
        KeyError: the registry does not know the topic.
    """
    if topic.endswith(DEAD_LETTER_SUFFIX):
        return TOPICS[topic.removesuffix(DEAD_LETTER_SUFFIX)].max_bytes + DEAD_LETTER_ROOM
    return TOPICS[topic].max_bytes
