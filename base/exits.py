"""How processes end: in time when they are told to, and with a code that says to whoever started them what was the matter."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import NoReturn

EXIT_FAILING = 70
"""A broker or Redis failed for longer than retrying makes sense, or something unforeseen: start me again."""
EXIT_DEAD_LETTERS = 71
"""Our own code refuses too much: starting again would not help."""
EXIT_MISFIT = 72
"""What lies in Kafka, or what nodes tell, does not fit, and only an operator can mend it: starting again would not help."""

ENDING = "; ending with exit code %d"
"""What a process that ends by itself logs behind why."""

GRACE_S = 4.0
"""How long a process that is told to stop may take to finish what it has in hand."""


def end_now(code: int) -> NoReturn:
    """End this process without taking the interpreter down first.

    Native clients still have threads and callbacks then, and one that runs while Python's own parts go away is a crash: a worker
    that was told to stop while Kafka stood still ended by SIGSEGV once.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def end_within(seconds: float, log: logging.Logger, code: int = 0) -> None:
    """End this process with `code` in `seconds` at the latest, should it not have ended by itself.

    What was confirmed stands; what a worker has not acknowledged is read again, what a facade has not answered was not accepted.
    """

    def end() -> None:
        log.warning("stopped without waiting longer; what is not acknowledged is done again")
        end_now(code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
