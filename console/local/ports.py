"""Free ports of the loopback address."""

import contextlib
import socket
import sys
from collections.abc import Iterator

LOOPBACK = "127.0.0.1"


def is_free(port: int, host: str = LOOPBACK) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def pick(count: int, preferred: list[int | None] | None = None) -> list[int]:
    """`count` different free ports, those preferred (of the last run) where they are still free."""
    chosen: list[int] = []
    wanted = [*(preferred or []), *[None] * count][:count]
    held: list[socket.socket] = []
    try:
        for port in wanted:
            if port and port not in chosen and is_free(port):
                chosen.append(port)
                continue
            probe = socket.socket()
            probe.bind((LOOPBACK, 0))
            held.append(probe)
            chosen.append(int(probe.getsockname()[1]))
    finally:
        for probe in held:
            probe.close()
    return chosen


@contextlib.contextmanager
def kept(*ports: int) -> Iterator[None]:
    """Inside, the kernel gives these ports to nobody who asks for any, also before their server listens and while it is down.

    What is bound and does not listen stands in the way of no server that sets SO_REUSEADDR, as ours do. Linux alone has it so.
    """
    with contextlib.ExitStack() as stack:
        for port in ports if sys.platform == "linux" else ():
            holder = stack.enter_context(socket.socket())
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind((LOOPBACK, port))
        yield
