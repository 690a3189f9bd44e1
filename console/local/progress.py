"""Progress of long work: a bar on a terminal, a few plain lines elsewhere."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """What is told of work as it is done."""

    def advance(self, count: int) -> None: ...


class _Lines:
    """A line at every quarter."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total = title, total
        self._done, self._next = 0, 0.25
        self._guard = threading.Lock()
        print(f"{title}: {total / 1e6:.1f} MB", flush=True)

    def advance(self, count: int) -> None:
        with self._guard:
            self._done += count
            if self._done >= self._next * self._total:
                self._next = int(self._done / self._total * 4) / 4 + 0.25
                print(f"{self._title}: {min(100, 100 * self._done // self._total)} %", flush=True)


@contextmanager
def progress(title: str, total: int) -> Iterator[Progress]:
    """Report `total` bytes under a title."""
    if not sys.stdout.isatty():
        yield _Lines(title, total)
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    with Bar(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()) as bar:
        task = bar.add_task(title, total=total)

        class _Task:
            def advance(self, count: int) -> None:
                bar.advance(task, count)

        yield _Task()


TELL_EVERY_S = 5.0


class _Steps:
    """A line every few seconds, so that short work says nothing."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0
        self._next = time.monotonic() + TELL_EVERY_S

    def advance(self, count: int) -> None:
        self._done += count
        if (now := time.monotonic()) >= self._next:
            self._next = now + TELL_EVERY_S
            print(f"{self._title}: {self._done:,} of {self._total:,}", file=sys.stderr, flush=True)


@contextmanager
def counting(title: str, total: int) -> Iterator[Progress]:
    """Report `total` things done under a title, on standard error: standard output is for the result."""
    if not sys.stderr.isatty():
        yield _Steps(title, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)

        class _Task:
            def advance(self, count: int) -> None:
                bar.advance(task, count)

        yield _Task()
