"""The form of every answer, for the OpenAPI document; a contract test holds real answers against it."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict

from base.health import Status
from topics.schemas import wallet
from topics.schemas.alerts import Alert
from topics.schemas.mev import Finding
from topics.schemas.mev_question import MevAnswer
from topics.schemas.requests import Fault
from topics.schemas.risk import Assessment
from topics.schemas.wallet import Exposure, Level, Unjudged

D = TypeVar("D")


class Form(BaseModel):
    """Fields are described where they stand."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Success(Form, Generic[D]):
    """The envelope of an answer."""

    success: Literal[True]
    data: D
    timestamp: AwareDatetime


class Live(Form):
    """This process answers."""

    status: Literal["healthy"]
    timestamp: AwareDatetime


class Ready(Form):
    """Whether this process can serve, and what it needs for that."""

    status: Literal["ready", "not ready"]
    checks: dict[str, Literal["ok", "unreachable"]]
    """`redis` and `kafka`."""
    timestamp: AwareDatetime


class ServedModel(Form):
    """A trained model that workers of a service serve."""

    name: str
    version: str
    stale: bool
    """Expired: it serves until another is released, and its results say so."""


class ServiceHealth(Form):
    """One service, by the last heartbeats of its workers."""

    status: Status
    healthy: bool
    uptime: str
    """As people say it: `45s`, `2m`, `3h`, `5d`."""
    uptime_seconds: int
    workers: int
    """Healthy ones."""
    parts: dict[str, Status]
    """The Faust apps that the service consists of."""
    success_rate: float
    handled: int
    failed: int
    dead_letters: int
    lag: int
    """Records that wait for its workers."""
    last_beat_seconds: float
    missed_checks: int
    models: list[ServedModel]
    """Each version once; more than one of a model only for the moment of a release."""


class Health(Form):
    """The services, and the whole by them."""

    status: Status
    timestamp: AwareDatetime
    services: dict[str, ServiceHealth]
    dependencies: dict[str, Literal["healthy", "unhealthy"]]
    """`redis` and `kafka`."""


class Route(Form):
    """A route in short."""

    method: str
    path: str
    summary: str


class Index(Form):
    """What there is."""

    name: Literal["Soba"]
    openapi: str
    """Where the OpenAPI document is."""
    routes: list[Route]


class TransactionFindings(Form):
    """The findings that a transaction is part of."""

    chain_id: int
    transaction_hash: str
    findings: list[Finding]


class Listed(Form):
    """A page of a list."""

    count: int
    """Of this page."""
    cursor: str | None
    """Leads to the next page; null on the last."""


class Findings(Listed):
    """A page of findings, newest block first."""

    findings: list[Finding]


class Alerts(Listed):
    """A page of alerts, newest first."""

    alerts: list[Alert]


class Judged(Form):
    """What the rules say of an event."""

    is_valid: bool
    errors: list[Fault]
    warnings: list[Fault]
    quality_score: float
    source: Literal["fresh"]
    latency_ms: float


class Assessed(Assessment):
    """The risk of a swap request, just asked for."""

    source: Literal["fresh", "cached"]
    """`cached`: it was assessed before, under the same request id."""
    latency_ms: float


class DetectedMev(MevAnswer):
    """What can be said of a transaction as MEV."""

    source: Literal["fresh"]
    latency_ms: float


class TransactionRisk(Form):
    """The assessments of requests that name a transaction."""

    chain_id: int
    transaction_hash: str
    assessments: list[Assessment]
    """Newest first, at most 100. Anybody may name any hash."""


class WalletProfile(Form):
    """How a wallet was judged by what it did on its chain."""

    moves: int
    """How many it ever made."""
    block_number: int
    """The newest one of its moves."""
    known: Literal["profile"] | Unjudged
    """What it was judged by, or what it is, where behaviour tells nothing of it."""
    risk_level: Level
    probability: float | None = None
    """Of being a fraud's wallet, calibrated."""
    anomaly: float | None = None
    """How unusual it is among ordinary wallets, as a rank: no probability."""
    model: str | None = None
    alerts: list[wallet.Warned]
    """What lists and named rules say of it; one from `medium` up raises the level to its own."""
    exposure: Exposure | None = None
    """What it dealt with listed addresses, counted as the lists were at the time of each move."""


class WalletRisk(Form):
    """What is known of a wallet: how it was judged, and requests that it was part of."""

    chain_id: int
    address: str
    profile: WalletProfile | None
    """Null where none of its moves was seen."""
    assessments: list[Assessment]
    """Newest first, at most 100: of requests in which it is sender or receiver. Their risk is that of both parties."""


class Rejected(Form):
    """An event that was not sent on."""

    index: int
    event_id: Any = None
    """As it was given, whatever it was."""
    errors: list[Fault]


class Warned(Form):
    """A valid event about which something is odd; it was sent on."""

    index: int
    event_id: str | None
    warnings: list[Fault]
    quality_score: float


class Place(Form):
    """Where an event lies in Kafka."""

    index: int
    event_id: str | None
    topic: str
    partition: int
    offset: int


class Processed(Form):
    """What became of a stream of events."""

    processed: int
    valid: int
    rejected: list[Rejected]
    warned: list[Warned]
    ids: list[Place]
    """Of each valid event."""
    latency_ms: float


def answers(form: type[BaseModel], description: str = "The answer") -> dict[int | str, dict[str, Any]]:
    """`responses` of a route whose data have this form."""
    return {200: {"model": Success[form], "description": description}}  # type: ignore[valid-type]


def looked_up(form: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """`responses` of a read with an ETag."""
    tag = {"ETag": {"description": "The answer's version", "schema": {"type": "string"}}}
    told = answers(form)
    told[200]["headers"] = tag
    return {**told, 304: {"description": "The caller has this answer: `If-None-Match` named its ETag", "headers": tag}}
