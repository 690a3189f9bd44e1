"""Closes a gap between aiokafka and uvloop, which left a client waiting for ever.

A connection whose other end has died is closed by uvloop at once, and by aiokafka a few turns of the loop later. A request sent in
between raises OSError with asyncio's own loop, which aiokafka takes for a broken connection, but RuntimeError with uvloop, which it
foresees nowhere: the task that was sending ends without a word. Was it the one that keeps the metadata, whoever asks for metadata
afterwards waits for good: the consumer leaves its group without noticing and commits nothing more, the producer of the facade
finds no leader. Seen once in 13 kills of a broker (`soba chaos --only kafka`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

SENDERS = ("send", "_send_sasl_token")


def mend() -> None:
    """Have aiokafka's connections take a write to a closed transport for what it is. More than once is harmless."""
    for name in SENDERS:
        real = getattr(AIOKafkaConnection, name)
        if not hasattr(real, "__wrapped__"):
            setattr(AIOKafkaConnection, name, _told(real))


def _told(real: Callable[..., Any]) -> Callable[..., Any]:
    def send(self: Any, *arguments: Any, **more: Any) -> Any:
        try:
            return real(self, *arguments, **more)
        except RuntimeError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}") from error

    send.__wrapped__ = real  # type: ignore[attr-defined]
    return send
