"""`soba demo`: real blocks through the whole system, on the screen as it happens."""

from __future__ import annotations

import asyncio
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
import psutil
import typer
from confluent_kafka import KafkaException, Producer
from redis import Redis, RedisError

from base.settings import Settings
from base.wording import counted
from console import records
from console.demo_sample import BROKEN, Sample, load
from console.demo_view import KEY_VARIABLE, Screen, summary
from console.demo_watch import Tally, Watch
from console.local.errors import LocalError
from console.produce import FALLBACK_KEY
from console.up import Fresh, System, Yes, begin_anew, run, show
from facade.context import closed
from facade.keys import STORE
from facade.requests import LONGEST_WAIT_MS
from ingest.raw import Malformed
from topics import clients
from topics.headers import REQUEST_ID
from topics.registry import CHAIN_EVENTS, SWAP_REQUESTS, TOPICS

app = typer.Typer()
PACE_S = 0.5
"""Between two blocks, so that eyes can follow."""
PATIENCE_S = 60.0
"""How long nothing new may come before what is still missing is reported."""
LOOK_S = 0.5
"""How often the screen asks which processes are away."""
SETTLE_S = 1.0
"""Nothing new for so long after everything that was sent came out: the end."""


@app.command()
def demo(
    fast: Annotated[bool, typer.Option("--fast", help="As fast as it goes, not two blocks a second.")] = False,
    fresh: Fresh = False,
    yes: Yes = False,
    once: Annotated[
        bool, typer.Option("--once", help="End after the summary; exit code 1 when anything failed.")
    ] = False,
) -> None:
    """Start everything, replay real Ethereum blocks and show what comes out; stays up until Ctrl-C."""
    began = psutil.Process().create_time()
    if fresh:
        begin_anew(Settings(), yes)
    sample = _sample()

    def watched(running: System) -> list[str]:
        show(running)
        problems = _replay(running, sample, 0.0 if fast else PACE_S, began)
        try:
            if not once:
                print("\nSoba stays up; Ctrl-C stops it.", flush=True)
                running.signals.wait()
            return problems
        finally:
            _note_whose(running, len(sample.blocks) + len(sample.broken) + len(sample.requests))

    problems = run(watched)
    if once and problems is None:
        raise typer.Exit(130)
    if once and problems:
        raise typer.Exit(1)


def _sample() -> Sample:
    try:
        return load()
    except Malformed as error:
        raise LocalError(f"the sample blocks cannot be read: {error}") from error


@dataclass(slots=True)
class _Run:
    """One replay: what is still to send, and what went wrong."""

    screen: Screen
    producer: Producer
    blocks: list[str]
    broken: list[bytes]
    requests: list[str]
    unsent: list[str] = field(default_factory=list)

    def send_next(self) -> None:
        """Send the next block, and a broken event now and then between blocks."""
        sample = self.screen.tally.sample
        if self.blocks:
            block = sample.blocks[self.blocks.pop(0)]
            self._send(str(block.chain_id).encode(), block.value)
            self.screen.sent_blocks += 1
            self.screen.sent_events += block.events
        # The broken ones are spread over the blocks; what is left at the end goes out at once.
        while self.broken and len(self.broken) * len(sample.blocks) >= (len(self.blocks) + 1) * len(sample.broken):
            self._send(FALLBACK_KEY, self.broken.pop(0))
            self.screen.sent_events += 1
        while self.requests and (
            not self.blocks or len(self.requests) * len(sample.blocks) > len(self.blocks) * len(sample.requests)
        ):
            self._ask(self.requests.pop(0))

    def _send(self, key: bytes, value: bytes) -> None:
        self.producer.produce(CHAIN_EVENTS.name, key=key, value=value, on_delivery=self._delivered)

    def _ask(self, id: str) -> None:
        value = self.screen.tally.sample.requests[id]
        key = orjson.loads(value)["fromAddress"].encode()
        headers: Any = [(REQUEST_ID, id.encode())]
        self.producer.produce(SWAP_REQUESTS.name, key=key, value=value, headers=headers, on_delivery=self._delivered)

    def _delivered(self, error: Any, _: Any) -> None:
        if error is not None:
            self.unsent.append(error.str())

    @property
    def all_sent(self) -> bool:
        return not self.blocks and not self.broken and not self.requests and len(self.producer) == 0


def _replay(running: System, sample: Sample, pace: float, began: float) -> list[str]:
    """Send what is not there yet, watch until all of it came out, print the summary; what failed, a line each."""
    up_at = time.time()
    settings, there = records.connected()
    tally = Tally(sample)
    watch = Watch(settings, there, tally)
    producer = Producer({**clients.producer(settings), **records.QUIET})
    try:
        while not watch.caught_up:
            watch.poll(0.1)
        screen = Screen(tally)
        run = _Run(
            screen,
            producer,
            [id for id in sample.blocks if id not in tally.blocks],
            [line for line in sample.broken if line not in tally.broken],
            [id for id in sample.requests if id not in tally.assessed],
        )
        stored, found_before = not run.blocks and not run.broken and not run.requests, bool(tally.findings)
        _announce(run, stored)
        with screen.shown():
            _watch_it(run, watch, pace, running)
    except KeyboardInterrupt:
        given = len(sample.blocks) + len(sample.broken) + len(sample.requests)
        _note_whose(running, given - len(run.blocks) - len(run.broken) - len(run.requests))
        raise
    finally:
        watch.close()
    producer.flush(5)
    first = None
    if tally.first_finding_at is not None and not found_before:
        first = tally.first_finding_at - up_at, up_at - began
    keyed = asyncio.run(closed(settings))
    print(summary(screen, running.http, keyed, first, stored), flush=True)
    for name, count in running.launcher.restarts.items():
        if count:
            print(f"{name} ended and was started again ({counted(count, 'time')})", flush=True)
    gone = [f"{name} ended for good" for name in running.launcher.given_up]
    problems = [*run.unsent, *failures(tally), *gone, *_lookup(running.http, settings, tally, keyed)]
    for problem in problems:
        print(f"FAILED: {problem}", flush=True)
    return problems


def _note_whose(running: System, sent: int) -> None:
    """Write down whether the `sent` records of the sample are all that was ever given: then --fresh need not ask."""
    settings = running.settings
    if {"kafka", "redis"} & set(running.launcher.away):
        return
    try:
        topics = [topic.name for topic in TOPICS.values() if {"operators", "any producer"} & {*topic.writers}]
        given = records.spans(settings, dict.fromkeys(topics, settings.partitions))
        with Redis.from_url(settings.redis_url) as redis:
            keys = redis.exists(STORE)
    except (KafkaException, RedisError):
        return
    ends = sum(end for held in given.values() for _, end in held.values())
    running.run_file.update(sample_only=ends <= sent and not keys)


def _announce(run: _Run, stored: bool) -> None:
    sample = run.screen.tally.sample
    if stored:
        print("\nThe sample blocks are already there; these are the stored results (--fresh begins anew).")
    elif len(run.blocks) < len(sample.blocks):
        print(f"\nSome blocks are already there; sending the other {len(run.blocks)}.")
    else:
        print(f"\nReplaying {len(sample.blocks)} real Ethereum blocks into {CHAIN_EVENTS.name}.")
    if run.requests:
        print(f"{counted(len(run.requests), 'swap request')}, made of real transactions, to be assessed meanwhile.")
    if run.broken:
        print(f"{counted(len(run.broken), 'broken event')} between them, on purpose (examples/{BROKEN.name}).")
    print(flush=True)


def _watch_it(run: _Run, watch: Watch, pace: float, running: System) -> None:
    """Until all of the sample came out and nothing more comes, or nothing came for too long."""
    due = news_at = look_at = time.monotonic()
    while True:
        running.signals.heed()
        now = time.monotonic()
        if now >= look_at:
            run.screen.away = running.launcher.away
            look_at = now + LOOK_S
        if (run.blocks or run.broken or run.requests) and now >= due:
            run.send_next()
            due = now + pace
            news_at = now
        run.producer.poll(0)
        for news in watch.poll(0.01 if run.blocks and not pace else 0.1):
            run.screen.tell(news)
            news_at = time.monotonic()
        patience = PATIENCE_S
        if run.all_sent and not failures(run.screen.tally):
            patience = SETTLE_S if run.screen.sent_events else 0.0
        if time.monotonic() - news_at >= patience:
            return


def failures(tally: Tally) -> list[str]:
    """What should have come out of the sample and did not."""
    out = []
    sample = tally.sample
    if missing := [id for id in sample.blocks if id not in tally.blocks]:
        out.append(f"blocks not validated: {', '.join(missing)}")
    if silent := len(sample.broken) - len(tally.broken):
        out.append(f"broken events that were not rejected: {silent}")
    out += [f"labelled sandwich not found in block {id}: {front} {back}" for id, front, back in tally.missing_labels]
    if unjudged := len(sample.requests) - len(tally.assessed):
        out.append(f"{counted(unjudged, 'swap request was', 'swap requests were')} not assessed")
    out += [f"no alert for finding {finding.id}" for finding in tally.quiet_findings]
    out += [f"no alert for swap request {id}" for id in tally.quiet_requests]
    if refused := tally.rejected.total() - len(tally.broken):
        out.append(f"{counted(refused, 'element')} of the real blocks refused (bin/soba dlq list)")
    if tally.lost and not missing and not silent:
        out.append(f"{counted(tally.lost, 'event is', 'events are')} neither valid nor rejected")
    return out


def _lookup(http: str, settings: Settings, tally: Tally, keyed: bool) -> list[str]:
    """Look the newest finding up as a user would; a line when HTTP does not know it.

    Where HTTP is closed and no key is at hand (SOBA_API_KEY, or a first one of the settings), that it asks for one is enough.
    """
    if not tally.found:
        return []
    url = f"{http}/api/mev/transactions/{tally.found[-1].named()[0]}"
    request = urllib.request.Request(f"{url}?wait={LONGEST_WAIT_MS}")  # a row is written after its finding is told
    key = next((one.get_secret_value() for one in settings.api_keys), os.environ.get(KEY_VARIABLE, ""))
    if keyed and key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        # No proxy for an address of this machine.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE_S) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        return [] if keyed and not key and error.code == 401 else [f"GET {url}: {error}"]
    except OSError as error:
        return [f"GET {url}: {error}"]
    return []
