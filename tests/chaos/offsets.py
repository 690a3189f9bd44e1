"""How far the topics reach, and how far workers have come in them."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import OFFSET_END, Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from agents.agent import Agent
from agents.app import WORKERS
from base.settings import Settings
from topics.clients import common, consumer

ASKED_S = 15.0
"""How long Kafka may take to answer one question; it is asked again."""

Ends = dict[tuple[str, int], int]
"""The next offset to be written, by topic and partition."""


class Offsets:
    """Asks Kafka. What it cannot tell now, as after a restart, is None, or no."""

    def __init__(self, settings: Settings) -> None:
        self._admin = AdminClient(common(settings))
        self._asker = Consumer(consumer(settings, "witness.ends"))
        self._parts = range(settings.partitions)

    def close(self) -> None:
        """Let go of the connections."""
        self._asker.close()

    def ends(self, topics: Iterable[str]) -> Ends | None:
        """Where these topics end."""
        asked = [TopicPartition(topic, part, OFFSET_END) for topic in topics for part in self._parts]
        try:
            # Not the admin client's way: after a broker that stood still it fails for minutes.
            told = self._asker.offsets_for_times(asked, timeout=ASKED_S)
        except KafkaException:
            return None
        return None if any(one.error for one in told) else {(one.topic, one.partition): one.offset for one in told}

    def at_rest(self, workers: Iterable[str]) -> bool:
        """Whether these workers have done, and acknowledged, all there is in what they read.

        What they make is confirmed before its input is acknowledged. So where the ends, asked for after all that was acknowledged,
        are no further than that, nothing is under way between two of them.
        """
        readers = {reader for worker in workers for reader in _readers(worker)}
        done: list[TopicPartition] = []
        try:
            for group, topic in readers:
                asked = ConsumerGroupTopicPartitions(group, self._places(topic))
                (told,) = self._admin.list_consumer_group_offsets([asked], request_timeout=ASKED_S).values()
                done += told.result(2 * ASKED_S).topic_partitions
        except (KafkaException, TimeoutError):
            return False
        ends = self.ends({topic for _, topic in readers})
        # Where nothing was acknowledged yet there is a number below zero.
        return ends is not None and all(max(0, one.offset) >= ends[one.topic, one.partition] for one in done)

    def _places(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, part) for part in self._parts]


def _readers(worker: str) -> list[tuple[str, str]]:
    """Each consumer group of a worker, and the topic of its agents."""
    app = WORKERS[worker]
    streamed = [agent for agent in app.agents() if isinstance(agent, Agent) and agent.feed == "stream"]
    fed = [agent for agent in app.agents() if agent not in streamed]
    return [
        *((app.app_id, agent.topic.name) for agent in streamed),
        *((f"{app.app_id}.{agent.name}", agent.topic.name) for agent in fed),
    ]
