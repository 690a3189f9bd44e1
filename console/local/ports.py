"""Free ports of the loopback address."""

import socket
from pathlib import Path
from random import SystemRandom

from console.local.errors import LocalError

LOOPBACK = "127.0.0.1"
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST, USUAL = 10_240, 32_768
TRIES = 1_000


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
    """`count` different free ports, those preferred (of the last run) where they are still free.

    Else of those that the system gives to nobody who asks for any: a JVM takes seconds until it listens, and a server that is
    started again as long as it was away.

    Raises LocalError when there is none.
    """
    chosen: list[int] = []
    for wanted in [*(preferred or []), *[None] * count][:count]:
        chance = (SystemRandom().randrange(LOWEST, _first_given()) for _ in range(TRIES))
        found = (port for port in (wanted, *chance) if port and port not in chosen and is_free(port))
        if (port := next(found, None)) is None:
            raise LocalError(f"no port of {LOOPBACK} is free.")
        chosen.append(port)
    return chosen


def _first_given() -> int:
    """The first of the ports that the system gives; the usual one where it tells none, or leaves too few below."""
    try:
        first = int(RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return USUAL
    return first if first >= LOWEST + TRIES else USUAL
