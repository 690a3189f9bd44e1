"""A handler as the runtime calls it, without Kafka or Redis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from agents.agent import Agent, Output, Record, Result, RowName
from tables.registry import Table
from tables.rows import Row
from topics.schemas.mev import Finding


def records(values: Sequence[Any], topic: str = "chain.blocks") -> list[Record]:
    headers = [("request_id", b"r1"), ("other", b"x")]
    return [Record(topic, 0, offset, b"1", headers, b"", value) for offset, value in enumerate(values)]


class OnItsWay:
    """What an outlet in memory gives out: done when it is finished."""

    def __init__(self, finish: Callable[[], list[int]]) -> None:
        self.finish = finish

    def write(self) -> None:
        """Nothing here is sent before."""


class Runtime:
    """What the runtime does around a handler: rows read and written by version, outputs kept."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.rows: dict[RowName, Row] = {}
        self.outputs: list[Output] = []

    def run(self, batch: Sequence[Record]) -> Result:
        names = self.agent.keys(batch)
        assert len(names) == len(set(names))
        held = {name: self.rows[name].value if name in self.rows else None for name in names}
        result = self.agent.call(batch, held, {})
        self.outputs += result.outputs
        for row in result.rows:
            old = self.rows.get((row.table, row.key))
            if old is None or old.version <= row.version:
                self.rows[row.table, row.key] = row
        return result

    def last_states(self) -> dict[str, dict[str, Any]]:
        """The newest revision of each id, retracted ones left out."""
        newest: dict[str, Finding] = {}
        for output in self.outputs:
            one = Finding.model_validate_json(output.value)
            if one.id not in newest or newest[one.id].revision <= one.revision:
                newest[one.id] = one
        return {
            id: one.model_dump(exclude={"revision"}) for id, one in sorted(newest.items()) if one.status != "retracted"
        }


def calm_and_shaken(agent: Agent, stream: Sequence[Record], data: st.DataObject) -> tuple[Runtime, Runtime]:
    """A worker that does one record after another, and one that does batches and is killed anywhere.

    Killed, it reads again from an earlier offset, sometimes after its outputs but before its rows.
    """
    calm, shaken = Runtime(agent), Runtime(agent)
    for record in stream:
        calm.run([record])
    at, kills = 0, 4
    while at < len(stream):
        end = data.draw(st.integers(at + 1, len(stream)))
        rows = dict(shaken.rows)
        shaken.run(stream[at:end])
        if kills and data.draw(st.booleans()):
            kills -= 1
            if data.draw(st.booleans()):
                shaken.rows = rows
                continue
            end = data.draw(st.integers(0, end))
        at = end
    return calm, shaken


def of_table(result: Result, table: Table) -> list[Row]:
    """The rows of one table."""
    return [row for row in result.rows if row.table is table]
