"""The labels that operators give to wallets, as one worker knows them: in metrics, how good scores were on labelled outcomes.

A record that is no label changes nothing; it is told in log and metric.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import get_args

from agents.agent import Agent, Partitioned
from agents.compacted import Compacted, News
from agents.outlet import Outlet
from base import metrics
from base.settings import Settings
from models.fraud.outcomes import RAISED, Judged, precision, recall, tally
from models.fraud.scorer import FRAUD
from topics.entries import NoEntry, entry
from topics.registry import LABELS
from topics.schemas.labels import Label, Verdict

log = logging.getLogger("soba.labels")


def labelling(agents: Iterable[Agent | Partitioned], settings: Settings, outlet: Outlet) -> Labels | None:
    """The labels, where one of these agents serves the model that is measured by them."""
    serve = any(one.name == FRAUD.name for agent in agents if isinstance(agent, Agent) for one in agent.models)
    return Labels(settings, outlet) if serve else None


class Labels(Compacted):
    """Reads them and sets the metrics; every worker tells the same."""

    def __init__(self, settings: Settings, outlet: Outlet) -> None:
        super().__init__(LABELS, settings, outlet)
        self._labels: dict[str, Label] = {}

    def wanted(self, key: str) -> bool:
        """All are."""
        return True

    def take(self, news: News) -> None:
        """Put the last label of each wallet in place of the one before it, and count again."""
        for key, messages in news.items():
            for message in messages:
                try:
                    label = entry(Label, key, message.value())
                except NoEntry as error:
                    log.error("%s/%s/%s is no label: %s", self.topic, message.partition(), message.offset(), error)
                    metrics.LABELS_REFUSED.inc()
                else:
                    self._put(key, label)
        counts = tally(self._labels.values())
        for verdict in get_args(Verdict):
            for judged in get_args(Judged):
                metrics.FRAUD_OUTCOMES.labels(verdict, judged).set(counts[verdict, judged])
        for gauge, share in ((metrics.FRAUD_PRECISION, precision), (metrics.FRAUD_RECALL, recall)):
            gauge.clear()
            for level in RAISED:
                if (value := share(counts, level)) is not None:
                    gauge.labels(level).set(value)

    def _put(self, key: str, label: Label | None) -> None:
        if label is None:
            self._labels.pop(key, None)
        else:
            self._labels[key] = label
