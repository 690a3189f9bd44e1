"""What a worker tells operators of its work: how old it is, for which requests it was done, and each minute how much it was."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from functools import partial
from typing import Any

from agents.activity import Activity
from agents.agent import Result
from base import metrics
from topics.headers import REQUEST_ID, get
from topics.registry import DEAD_LETTER_SUFFIX

log = logging.getLogger("soba.worker")

SUMMARY_S = 60.0
ANSWERED = "answered"
_TIME = re.compile(rb'"timestamp":(\d+)')
_HEAD = 400
"""Bytes in which an encoded block says its time, which stands before its transactions."""


def requests(agent: str, result: Result, seconds: float) -> None:
    """Say what a batch gave out for each request that its records carry: nothing of records that nobody asked for.

    All of it at one time: a line of its own for each takes 28 µs, a tenth of what a swap request costs.
    """
    if not log.isEnabledFor(logging.INFO):
        return
    done: dict[str, dict[str, int]] = {}

    def note(request_id: str, what: str) -> None:
        counts = done.setdefault(request_id, {})
        counts[what] = counts.get(what, 0) + 1

    for letter in result.dead_letters:
        if (name := get(letter.record.headers, REQUEST_ID)) is not None:
            note(name.decode(errors="replace"), letter.record.topic + DEAD_LETTER_SUFFIX)
    for output in (*result.sent_on, *result.outputs, *result.after):
        if (name := get(output.headers, REQUEST_ID)) is not None:
            note(name.decode(errors="replace"), output.topic)
    for answer in result.answers:
        note(answer.request_id, ANSWERED)
    if done:
        told = {request_id: f"{agent}: {_said(counts)}" for request_id, counts in done.items()}
        more = {"duration_ms": round(seconds * 1000, 2), "requests": told, "metadata": {"agent": agent}}
        log.info("%s: %d requests", agent, len(told), extra=more)


def _said(counts: dict[str, int]) -> str:
    return ", ".join(what if what == ANSWERED else f"{many} to {what}" for what, many in counts.items())


def record_age(agent: str, written_at: float | None) -> None:
    """The record that `agent` handled last was written at this time (unix seconds), where Kafka knows it."""
    if written_at is not None and written_at > 0:
        metrics.RECORD_AGE.labels(agent).set_function(partial(_since, written_at))


def block_age(agent: str, value: Any) -> None:
    """`agent` handled `value` last: its age is that of the block it is, or is about, where that says its time."""
    at = getattr(value, "timestamp", None) or getattr(value, "block_timestamp", None)
    if isinstance(value, bytes) and (found := _TIME.search(value, 0, _HEAD)):
        at = int(found[1])
    if at is not None:
        metrics.BLOCK_AGE.labels(agent).set_function(partial(_since, float(at)))


def _since(at: float) -> float:
    return max(0.0, time.time() - at)


class Summary:
    """A line a minute of what a worker did meanwhile; none where it did nothing and nothing waits."""

    def __init__(self, activity: Activity, now: float) -> None:
        self._activity = activity
        self._told_at = now
        self._before: Counter[str] = Counter()

    def tell(self, now: float) -> None:
        """Say it, if the minute is over."""
        if (seconds := now - self._told_at) < SUMMARY_S:
            return
        one = self._activity
        so_far = Counter(handled=one.handled, failed=one.failed, dead_letters=one.dead_letters)
        news = {name: so_far[name] - self._before[name] for name in so_far}
        self._told_at, self._before = now, so_far
        if any(news.values()) or one.lag:
            said = "in %.0f s: %d records handled, %d failed, %d dead letters; %d waiting"
            told = {"metadata": {**news, "lag": one.lag, "lags": dict(one.lags)}}
            log.info(said, seconds, news["handled"], news["failed"], news["dead_letters"], one.lag, extra=told)
