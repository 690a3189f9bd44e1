"""What the demo sees come out: the tally that its screen and its verdict are made of."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson
from confluent_kafka import Consumer, KafkaError, TopicPartition
from pydantic import TypeAdapter, ValidationError

from base.settings import Settings
from console import records
from console.demo_sample import Pair, Sample
from topics import clients
from topics.headers import HANDLED_TYPE
from topics.registry import ALERTS, CHAIN_BLOCKS, CHAIN_EVENTS, MEV_FINDINGS, RISK_SCORES, WALLET_ACTIVITY
from topics.schemas.alerts import Alert
from topics.schemas.mev import Finding
from topics.schemas.risk import Assessment, Risk

WATCHED = (
    CHAIN_BLOCKS.name,
    WALLET_ACTIVITY.name,
    MEV_FINDINGS.name,
    ALERTS.name,
    RISK_SCORES.name,
    CHAIN_EVENTS.dlq,
)
_RISK: TypeAdapter[Risk] = TypeAdapter(Risk)


@dataclass(frozen=True, slots=True)
class Validated:
    """A sample block as it stands in chain.blocks; `source` is the record of chain.events that changed it last."""

    place: int
    """How many sample blocks were there with it."""
    events: int
    source: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A dead letter of chain.events."""

    reason: str
    field: str
    source: str
    element: str
    """Its place in the record, where it was one of many."""


@dataclass(slots=True)
class Tally:
    """What came out for the sample, whenever it went in."""

    sample: Sample
    blocks: dict[str, Validated] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    broken: dict[bytes, Refused] = field(default_factory=dict)
    """The broken lines of the sample that were refused."""
    letters: dict[str, Refused] = field(default_factory=dict)
    """What else was refused, by the id of the dead letter."""
    first_finding_at: float | None = None
    assessed: dict[str, Assessment] = field(default_factory=dict)
    """Of the sample's swap requests, by id."""
    wallets: set[str] = field(default_factory=set)
    """Those that a sample block names, as `chain_id:address`."""
    levels: dict[str, str] = field(default_factory=dict)
    """The level of each wallet for which it has changed."""

    @property
    def risky(self) -> int:
        """Wallets of the sample blocks above low."""
        return sum(self.levels.get(one, "low") != "low" for one in self.wallets)

    @property
    def valid(self) -> int:
        """Events in validated blocks."""
        return sum(seen.events for seen in self.blocks.values())

    @property
    def rejected(self) -> Counter[str]:
        """What was refused of the sample by reason: the broken lines, and elements of its envelopes."""
        return Counter(letter.reason for letter in self._refused())

    @property
    def lost(self) -> int:
        """Events that are neither valid nor refused."""
        # The elements of an envelope that are no events are its transactions, which are not counted as valid either.
        refused = sum(not letter.element.startswith("transactions/") for letter in self._refused())
        return max(0, self.sample.events - self.valid - refused)

    def _refused(self) -> list[Refused]:
        sources = {seen.source for seen in self.blocks.values()}
        return [*self.broken.values(), *(one for one in self.letters.values() if one.element and one.source in sources)]

    @property
    def found(self) -> list[Finding]:
        """Standing findings in order of blocks."""
        standing = (finding for finding in self.findings.values() if finding.status != "retracted")
        return sorted(standing, key=lambda finding: (finding.block_number, finding.id))

    @property
    def missing_labels(self) -> list[Pair]:
        """Labelled sandwiches that no finding names."""
        pairs = {
            (f"{finding.chain_id}:{finding.block_number}", front, back)
            for finding in self.found
            for front in finding.front
            for back in finding.back
        }
        return sorted(self.sample.labels - pairs)

    @property
    def standing_alerts(self) -> list[Alert]:
        """Alerts that were not taken back."""
        return [alert for alert in self.alerts.values() if alert.status != "retracted"]

    @property
    def alerts_of_requests(self) -> int:
        """How many of the standing alerts are of the sample's swap requests."""
        return sum(alert.source in self.sample.requests for alert in self.standing_alerts)

    @property
    def quiet_findings(self) -> list[Finding]:
        """Findings that no alert was made of."""
        told = {alert.source for alert in self.standing_alerts}
        return [finding for finding in self.found if finding.id not in told]

    @property
    def quiet_requests(self) -> list[str]:
        """Suspicious requests that no alert was made of."""
        told = {alert.source for alert in self.standing_alerts}
        return [id for id, one in self.assessed.items() if one.is_suspicious and id not in told]

    def take(self, record: records.Seen) -> News | None:
        """Note one record; what it tells of the sample, when that is new. What fits no schema is not of the sample."""
        try:
            return self._take(record)
        except (ValidationError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _take(self, record: records.Seen) -> News | None:
        if record.topic == CHAIN_BLOCKS.name:
            return self._block(record)
        if record.topic == WALLET_ACTIVITY.name:
            self._activity(orjson.loads(record.value))
            return None
        if record.topic == MEV_FINDINGS.name:
            return self._finding(record.value)
        if record.topic == ALERTS.name:
            return self._alert(record.value)
        if record.topic == RISK_SCORES.name:
            return self._risk(_RISK.validate_json(record.value))
        return self._letter(record)

    def _block(self, record: records.Seen) -> Validated | None:
        block = orjson.loads(record.value)
        id = f"{block.get('chain_id', 1)}:{block['number']}"
        if id not in self.sample.blocks:
            return None
        source = f"{CHAIN_EVENTS.name}/{record.partition}/{block['revision']}"
        before = self.blocks.get(id)
        place = len(self.blocks) + 1 if before is None else before.place
        self.blocks[id] = seen = Validated(place, len(block["events"]), source)
        return seen if before is None else None

    def _activity(self, view: Any) -> None:
        if f"{view['chain_id']}:{view['number']}" in self.sample.blocks:
            self.wallets.update(name for name, moves in view["wallets"].items() if moves)

    def _finding(self, value: bytes) -> Finding | None:
        finding = Finding.model_validate_json(value)
        before = self.findings.get(finding.id)
        if not self._of_sample(finding.chain_id, finding.block_number, finding.revision, before):
            return None
        self.findings[finding.id] = finding
        if finding.status == "retracted":
            return None
        if self.first_finding_at is None:
            self.first_finding_at = time.time()
        return finding if before is None else None

    def _alert(self, value: bytes) -> Alert | None:
        alert = Alert.model_validate_json(value)
        before = self.alerts.get(alert.id)
        if alert.source not in self.sample.requests and not self._of_sample(
            alert.chain_id, alert.block_number, alert.revision, before
        ):
            return None
        self.alerts[alert.id] = alert
        # That of a request says what its assessment has said.
        return alert if before is None and alert.block_number is not None else None

    def _risk(self, risk: Risk) -> Assessment | None:
        if not isinstance(risk, Assessment):
            self.levels[risk.id] = risk.risk_level
            return None
        if risk.id not in self.sample.requests:
            return None
        before = self.assessed.get(risk.id)
        self.assessed[risk.id] = risk
        return risk if before is None else None

    def _of_sample(self, chain_id: int, number: int | None, revision: int, before: Finding | Alert | None) -> bool:
        """Whether a result is of a sample block and not older than what is held of it."""
        return f"{chain_id}:{number}" in self.sample.blocks and (before is None or before.revision <= revision)

    def _letter(self, record: records.Seen) -> Refused | None:
        if record.header("ce_type") == HANDLED_TYPE:
            return None
        reason, field_name = record.header("dlq.reason"), record.header("dlq.field")
        letter = Refused(reason, field_name, record.header("dlq.source"), record.header("dlq.index"))
        if record.value not in self.sample.broken:
            self.letters[record.header("ce_id")] = letter
            return None
        before = self.broken.setdefault(record.value, letter)
        return letter if before is letter else None


News = Validated | Finding | Alert | Refused | Assessment


class Watch:
    """Reads the topics that tell what came of the sample, from their beginning, so that earlier runs count too."""

    def __init__(self, settings: Settings, partitions: dict[str, int], tally: Tally) -> None:
        self._tally = tally
        self._consumer = Consumer(
            clients.consumer(settings, records.GROUP, **records.QUIET, **{"enable.partition.eof": True})
        )
        places = [TopicPartition(topic, number, 0) for topic in WATCHED for number in range(partitions[topic])]
        self._behind = {(place.topic, place.partition) for place in places}
        self._consumer.assign(places)

    @property
    def caught_up(self) -> bool:
        """Whether every topic was once read to its end."""
        return not self._behind

    def poll(self, timeout: float) -> list[News]:
        """Take what has come; returns the news."""
        news = []
        for message in self._consumer.consume(256, timeout):
            if (error := message.error()) is not None:
                # Anything else is an outage that librdkafka sits out.
                if error.code() == KafkaError._PARTITION_EOF:
                    self._behind.discard((message.topic() or "", message.partition() or 0))
                continue
            one = self._tally.take(records.seen(message))
            if one is not None:
                news.append(one)
        return news

    def close(self) -> None:
        """Let go of the consumer."""
        self._consumer.close()
