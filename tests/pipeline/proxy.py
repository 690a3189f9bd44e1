"""A TCP proxy before Redis: its connections can be made to hang, as those through a firewall that forgot them, or to be slow."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from base.settings import Settings


class Proxy:
    """Forwards to the Redis of `settings`; its own `settings` lead through it."""

    def __init__(self, settings: Settings) -> None:
        there = urlsplit(settings.redis_url)
        self._there = (there.hostname, there.port)
        self._generation = 0
        self.delay_s = 0.0
        """What is sent to Redis arrives so much later."""
        self.delayed: list[bytes] = []
        """What was, so far."""
        self.listener = socket.create_server(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"
        self.settings = settings.model_copy(update={"redis_url": url})

    def hang(self) -> None:
        """From now on nothing comes through the connections there are, and they stay open. New ones work."""
        self._generation += 1

    def accept(self) -> None:
        """Forward connections until the listener is shut down."""
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                try:
                    far = socket.create_connection(self._there)
                except OSError:  # Redis is away now
                    near.close()
                    continue
                generation = self._generation
                for argv in ((near, far, True, generation), (far, near, False, generation)):
                    threading.Thread(target=self._pump, args=argv, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, asks: bool, generation: int) -> None:
        with source, contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.delay_s and asks:
                    self.delayed.append(data)
                    time.sleep(self.delay_s)
                if generation == self._generation:
                    target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def proxied(settings: Settings) -> Iterator[Proxy]:
    """A proxy that forwards inside the `with`."""
    proxy = Proxy(settings)
    accepting = threading.Thread(target=proxy.accept)
    accepting.start()
    try:
        yield proxy
    finally:
        with contextlib.suppress(OSError):  # macOS refuses that, and wakes the thread by the close
            proxy.listener.shutdown(socket.SHUT_RDWR)
        proxy.listener.close()
        accepting.join()
