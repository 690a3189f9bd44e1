"""`soba dlq replay` that is killed between a round's records and the note that they were replayed: at the second round."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from console import letters, replay
from console.cli import main

real = letters.note
calls = 0


def note(*args: Any) -> None:
    """Note the first round; die before the second."""
    global calls
    calls += 1
    if calls == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    real(*args)


if __name__ == "__main__":
    replay.AT_ONCE = 3
    letters.note = note  # type: ignore[assignment]
    main(sys.argv[1:])
