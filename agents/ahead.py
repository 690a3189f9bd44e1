"""What Faust holds ready for a stream, bounded in bytes too: it counts records alone, and one of chain.blocks may have 32 MiB."""

from __future__ import annotations

from typing import Any

from mode.utils.queues import ThrowableQueue


class _Queue(ThrowableQueue[Any]):
    """A queue that is as full as its records are many or large, whichever is more; one record always has room."""

    def __init__(self, most_bytes: int, **options: Any) -> None:
        super().__init__(**options)
        self._most_bytes, self._bytes = most_bytes, 0

    def qsize(self) -> int:
        """How much of `maxsize` is taken."""
        return max(super().qsize(), self._bytes * self.maxsize // self._most_bytes)

    def clear(self) -> None:
        super().clear()
        self._bytes = 0

    def _put(self, item: Any) -> None:
        super()._put(item)
        self._bytes += _size(item)

    def _get(self) -> Any:
        item = super()._get()
        self._bytes -= _size(item)
        return item


def _size(event: Any) -> int:
    return len(event.message.value or b"")


def hold_few_bytes(app: Any, most_bytes: int) -> None:
    """Have streams of the Faust `app` hold `most_bytes` of values ready, and the record that reaches that."""

    def queue(maxsize: int | None = None, *, clear_on_resume: bool = False) -> _Queue:
        return _Queue(most_bytes, maxsize=maxsize, flow_control=app.flow_control, clear_on_resume=clear_on_resume)

    app.FlowControlQueue = queue
