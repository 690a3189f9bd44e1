"""risk_alerts: risk.scores → alerts and the ALERTS table, of requests whose risk is high or critical.

Not of wallets: one in a hundred ordinary ones is high at any time, and of most of them nobody has asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.agent import Agent, Output, Record, Result, RowName, Rows
from models.alerts import from_assessment
from tables.registry import ALERTS, ALERTS_BY_CHAIN
from tables.rows import Pointer, Row
from topics import registry
from topics.headers import cloud_event
from topics.registry import RISK_SCORES
from topics.schemas.alerts import Alert
from topics.schemas.risk import Assessment


def _alert(record: Record) -> Alert | None:
    one = record.value
    return from_assessment(one) if isinstance(one, Assessment) and one.is_suspicious else None


def keys(batch: Sequence[Record]) -> list[RowName]:
    """The rows of the batch's alerts, once each."""
    alerts = filter(None, map(_alert, batch))
    return list(dict.fromkeys((ALERTS, alert.id) for alert in alerts))


def handle(batch: Sequence[Record], rows: Rows) -> Result:
    """One alert a suspicious request; one that is held says nothing new, whatever came of it once more."""
    result = Result()
    said: set[str] = set()
    for record in batch:
        alert = _alert(record)
        if alert is None:
            continue
        if alert.id in said or rows.get((ALERTS, alert.id)) is not None:
            result.held += 1
            continue
        said.add(alert.id)
        headers = cloud_event(f"{alert.id}:{alert.revision}", AGENT.name, "soba.alert", record.headers)
        value = alert.model_dump_json(exclude_none=True).encode()
        result.outputs.append(Output(registry.ALERTS.name, alert.entity.encode(), value, headers))
        pointer = Pointer(ALERTS_BY_CHAIN, str(alert.chain_id), int(alert.processed_at or 0))
        result.rows.append(Row(ALERTS, alert.id, alert.revision, alert, (pointer,)))
    return result


AGENT = Agent("risk_alerts", RISK_SCORES, handle, keys, own=(ALERTS,), feed="consume", at_once=256)
