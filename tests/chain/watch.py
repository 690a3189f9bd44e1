"""What `soba ingest node` sends, and what it logs."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from base.settings import Settings
from console.bench.chain import Chain
from tests.conftest import wait_for
from tests.contract.facade import child
from topics.clients import consumer
from topics.partition import partition
from topics.schemas.chain import Block

IN_TIME_S = 10.0
"""What ends within 5 s (docs/ingest.md) has ended by then, where three parts of the tests share two cores."""


class Events:
    """The envelopes of one chain in chain.events, in their order."""

    def __init__(self, settings: Settings, chain_id: int) -> None:
        self._key = str(chain_id).encode()
        self._reader = Consumer(consumer(settings, f"chain-{uuid.uuid4().hex}"))
        where = TopicPartition("chain.events", partition(self._key, settings.partitions), OFFSET_BEGINNING)
        self._reader.assign([where])
        self.values: list[bytes] = []
        self.blocks: list[Block] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    def read(self) -> list[Block]:
        """All envelopes so far."""
        for message in self._reader.consume(500, timeout=0.05):
            assert message.error() is None, message.error()
            if message.key() == self._key:
                self.values.append(message.value() or b"")
                self.blocks.append(Block.model_validate_json(self.values[-1]))
        return self.blocks

    def told(self, since: int = 0) -> list[tuple[str, int, str | None]]:
        """Status, number and hash of the envelopes behind the first `since`."""
        return [(one.status, one.number, one.hash) for one in self.read()[since:]]

    def upto(self, number: int) -> None:
        """Wait until that block was sent, complete, last of all."""
        wait_for(lambda: bool(self.read()) and self._last() == ("complete", number))

    def _last(self) -> tuple[str, int]:
        return self.blocks[-1].status, self.blocks[-1].number

    def standing(self) -> dict[int, str | None]:
        """Number → hash of what stands after all that was sent: later envelopes replace, removals take away."""
        stands: dict[int, str | None] = {}
        for block in self.read():
            if block.status == "complete":
                stands[block.number] = block.hash
            elif stands.get(block.number) == block.hash:
                del stands[block.number]
        return stands


def canonical(chain: Chain, first: int, last: int) -> dict[int, str | None]:
    """Number → hash of the node's own chain."""
    return {number: chain.hash(number) for number in range(first, last + 1)}


@contextlib.contextmanager
def ingesting(settings: Settings, log: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A running `soba ingest node`."""
    with child(["-m", "console", "ingest", "node", *options], settings, log) as process:
        yield process


def listening(
    settings: Settings, log: Path, *options: str
) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """One that looks only when it is told to, while a websocket is open."""
    return child(["-m", "tests.chain.listening_ingest", "ingest", "node", *options], settings, log)


def ended(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a process that ends by itself."""
    return process.wait(60)


def stop(process: subprocess.Popen[bytes]) -> None:
    """A SIGTERM ends it in time, with code 0."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert ended(process) == 0
    assert time.monotonic() - began < IN_TIME_S


def lines(log: Path) -> list[dict[str, Any]]:
    """What it logged: each line must be an object of the house's form. One that is being written is none yet."""
    return [json.loads(line) for line in log.read_bytes().rpartition(b"\n")[0].splitlines()]


def logged(log: Path, text: str) -> int:
    """How many messages hold a text."""
    return sum(text in line["message"] for line in lines(log))
