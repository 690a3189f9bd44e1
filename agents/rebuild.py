"""Redis tables made anew: the agents that own them do their topics again, and nothing but their rows is given out.

It is the runtime of a worker with another outlet. Rows are newer-wins, so workers may go on meanwhile: what they wrote is never
older than what is written here, and the same revision is the same row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from agents.activity import Activity
from agents.agent import Agent, Record, Result
from agents.app import WORKERS
from agents.outlet import Giving, Outlet
from agents.releases import serving
from agents.runtime import Runner
from base.settings import Settings
from tables.registry import PROFILES, RISK, Table

LEFT_OUT = (PROFILES, RISK)
"""Rows of profiles span blocks, and each is made from the one before it, which a worker would write at the same time. Those of risk
say what was known at their time; made again they would say something else of the same request."""


class Ended(Exception):
    """It cannot go on, and why."""


@dataclass(slots=True)
class Tally:
    """What became of one agent's rows."""

    written: int = 0
    newer_kept: int = 0
    """Rows that stayed because what is there is newer."""
    there_already: int = 0
    """Records whose row was there and stayed as it was, since its agent writes it once."""
    refused: int = 0
    """Records that made no row: they fit no schema, or the agent fails on them."""


class _Counted(Giving):
    """Rows on their way out, counted once they are there."""

    def __init__(self, outlet: Outlet, agent: str, result: Result, tally: Tally) -> None:
        super().__init__(outlet, agent, result)
        self._tally, self._rows = tally, len(result.rows)

    def finish(self) -> list[int]:
        """Have them confirmed; return the places of those that are older than what is there."""
        older = super().finish()
        self._tally.newer_kept += len(older)
        self._tally.written += self._rows - len(older)
        return older


class RowsOnly(Outlet):
    """An outlet for rows alone: outputs, answers and dead letters were given out when the records were first done."""

    def __init__(self, settings: Settings, tally: Tally) -> None:
        super().__init__(settings, Activity())
        del self._producer  # with its threads: nothing goes to a topic from here, not even by mistake
        self._tally = tally

    def giving(self, agent: str, result: Result) -> Giving:
        """Write the rows, and count those that are older than what is there."""
        self._tally.refused += len(result.dead_letters)
        self._tally.newer_kept += result.older
        self._tally.there_already += result.held
        return _Counted(self, agent, Result(rows=result.rows), self._tally)

    def end(self, code: int, why: str) -> NoReturn:
        """Not the process: it is somebody's command.

        Raises Ended.
        """
        raise Ended(why)


class Rebuild:
    """Makes the rows of one agent anew, from records of its topic in their order."""

    def __init__(self, agent: Agent, settings: Settings) -> None:
        self.agent = agent
        self.tally = Tally()
        outlet = RowsOnly(settings, self.tally)
        if releases := serving([agent], settings, outlet):
            releases.read()
        self._runner = Runner(agent, outlet)

    def process(self, records: Sequence[Record]) -> None:
        """Do a batch; when this returns its rows are written.

        Raises Ended when Redis fails for good or was started anew, or when the agent fails on too many records.
        """
        self._runner.process(records)


def owners(names: Iterable[str]) -> list[Agent]:
    """The agents that own these tables, of all workers; every table that records alone make when none is named.

    Raises:
        KeyError: no agent owns a table of this name that records alone make.
    """
    agents = [agent for worker in WORKERS.values() for agent in worker.agents()]
    having = [agent for agent in agents if isinstance(agent, Agent) and agent.own and not set(agent.own) & {*LEFT_OUT}]
    named = list(names)
    for name in named:
        if not any(table.name == name for agent in having for table in agent.own):
            raise KeyError(name)
    return [agent for agent in having if not named or any(table.name in named for table in agent.own)]


def tables_of(agents: Iterable[Agent]) -> list[Table]:
    """All tables of these agents, once each: those of one agent are made together."""
    return list(dict.fromkeys(table for agent in agents for table in agent.own))
