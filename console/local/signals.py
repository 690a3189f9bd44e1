"""Ctrl-C, SIGTERM and a closed terminal, taken in one way in every phase of a system's life."""

import signal
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn, Self


class Signals:
    """A context manager of the main thread: inside it a signal raises KeyboardInterrupt, and the first is told at once.

    Once what runs is being stopped (`hold`) they are only counted: a second one says not to wait.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self.count = 0
        self._report = report
        self._held = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # SIGINT also where it was inherited as ignored, as in `bin/soba demo &` of a script.
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # under nohup it stays ignored
            numbers.append(signal.SIGHUP)  # the terminal was closed
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def hold(self) -> None:
        """Interrupt nothing from here on."""
        self._held = True

    def heed(self) -> None:
        """Raise KeyboardInterrupt if a signal came: in a finaliser or a native client's callback Python drops what is raised."""
        if self.count:
            raise KeyboardInterrupt

    def wait(self) -> NoReturn:
        """Until a signal comes. Raises KeyboardInterrupt."""
        while True:
            self.heed()
            time.sleep(0.5)

    def _note(self, _number: int, _frame: object) -> None:
        self.count += 1
        if self.count == 1:
            self._report("stopping")
        if not self._held:
            raise KeyboardInterrupt
