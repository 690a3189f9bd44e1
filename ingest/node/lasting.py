"""What is worth a word only once it has lasted."""

from __future__ import annotations


class Lasting:
    """Something that is told of once it was so for a while without a break, and again after each such while."""

    def __init__(self, while_s: float) -> None:
        self._while_s = while_s
        self._since: float | None = None

    def due(self, so: bool, now: float) -> bool:
        """Whether it is to be told of, looked at at `now` (seconds of a clock that only goes on)."""
        if not so:
            self._since = None
        elif self._since is None:
            self._since = now
        elif now >= self._since + self._while_s:
            self._since = now
            return True
        return False
