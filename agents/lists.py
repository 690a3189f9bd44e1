"""The lists of addresses that a worker knows: those that come with Soba, and each change of the topic `lists` as it comes.

No batch is handled before all of them are known (`agents.compacted`). A record that is none changes nothing; it is told in log and
metric.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable

from agents.agent import Agent, Partitioned
from agents.compacted import Compacted, News
from agents.outlet import Outlet
from base import metrics
from base.settings import Settings
from models.fraud.lists import SHIPPED, Lists
from topics.entries import NoEntry, entry
from topics.registry import LISTS
from topics.schemas.lists import Listed

log = logging.getLogger("soba.lists")


def listing(agents: Iterable[Agent | Partitioned], settings: Settings, outlet: Outlet) -> AddressLists | None:
    """The lists for these agents, which their outlet gives them from now on; None where they ask for none."""
    if not any(isinstance(agent, Agent) and agent.lists for agent in agents):
        return None
    lists = AddressLists(settings, outlet)
    outlet.lists = lists.current
    return lists


class AddressLists(Compacted):
    """The lists of one worker. One thread reads; `current` may be called by any."""

    def __init__(self, settings: Settings, outlet: Outlet) -> None:
        super().__init__(LISTS, settings, outlet)
        self._serve(SHIPPED)

    def current(self) -> Lists:
        """The lists as they stand now; what changes later does not change it. At first it waits until all are known.

        Raises:
            Stopped: the worker stops meanwhile.
        """
        self.known()
        return self._lists

    def wanted(self, key: str) -> bool:
        """All are."""
        return True

    def take(self, news: News) -> None:
        """Put and take off what was told, all at once; of each address the last record that is one."""
        changes: list[tuple[str, Listed | None]] = []
        for key, messages in news.items():
            for message in messages:
                try:
                    changes.append((key, entry(Listed, key, message.value())))
                except NoEntry as error:
                    where = f"{self.topic}/{message.partition()}/{message.offset()}"
                    log.error("%s lists nothing: %s", where, error)
                    metrics.LISTS_REFUSED.inc()
        if changes:
            self._serve(self._lists.changed(changes))

    def _serve(self, lists: Lists) -> None:
        """Put lists in place of those before, for all batches that begin from now on."""
        self._lists = lists
        self.activity.lists = lists.version
        metrics.LISTED.clear()
        for name, many in Counter(one.list for one in lists.own()).items():
            metrics.LISTED.labels(name).set(many)
        log.info("lists are %s", lists.version)
