"""alerts: mev.findings → alerts and the ALERTS table."""

from __future__ import annotations

from collections.abc import Sequence

from agents.agent import Agent, Output, Record, Result, RowName, Rows
from models.alerts import from_finding
from tables.registry import ALERTS, ALERTS_BY_CHAIN
from tables.rows import Pointer, Row
from topics import registry
from topics.headers import cloud_event
from topics.registry import MEV_FINDINGS
from topics.schemas.alerts import Alert
from topics.schemas.mev import Finding


def keys(batch: Sequence[Record]) -> list[RowName]:
    """The rows of the batch's alerts, once each."""
    return list(dict.fromkeys((ALERTS, from_finding(record.value).id) for record in batch))


def handle(batch: Sequence[Record], rows: Rows) -> Result:
    """One alert a finding, whatever its status; a finding older than the alert held says nothing new."""
    result = Result()
    held: dict[str, int] = {}
    written: dict[str, Row] = {}
    for record in batch:
        finding: Finding = record.value
        alert = from_finding(finding)
        row = rows.get((ALERTS, alert.id))
        known = held.get(alert.id, row.revision if isinstance(row, Alert) else -1)
        if known > alert.revision:
            result.older += 1
            continue
        held[alert.id] = alert.revision
        headers = cloud_event(f"{alert.id}:{alert.revision}", AGENT.name, "soba.alert", record.headers)
        value = alert.model_dump_json(exclude_none=True).encode()
        result.outputs.append(Output(registry.ALERTS.name, alert.entity.encode(), value, headers))
        # Alerts of blocks and of requests stand in one list, by time; a block without one is older than any with.
        at = alert.block_timestamp or finding.block_number
        pointer = Pointer(ALERTS_BY_CHAIN, str(alert.chain_id), at)
        written[alert.id] = Row(ALERTS, alert.id, alert.revision, alert, (pointer,))
    result.rows = list(written.values())
    return result


AGENT = Agent("alerts", MEV_FINDINGS, handle, keys, own=(ALERTS,))
