"""`soba demo` that gets a signal as soon as it has printed a line: `python -m tests.pipeline.signalled SIGNAL BEGINNING demo`.

It sends it to itself: from outside it would come some time after the line, when another phase may have begun.
"""

from __future__ import annotations

import builtins
import os
import signal
import sys
from typing import Any

from console.cli import main

real = print


def told(beginning: str, number: signal.Signals) -> None:
    """Have `print` send the signal after the first line that begins so."""
    sent: list[str] = []

    def noting(*words: Any, **options: Any) -> None:
        real(*words, **options)
        if not sent and words and str(words[0]).startswith(beginning):
            sent.append(beginning)
            os.kill(os.getpid(), number)

    builtins.print = noting


if __name__ == "__main__":
    told(sys.argv[2], signal.Signals[sys.argv[1]])
    main(sys.argv[3:])
