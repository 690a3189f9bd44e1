"""Free ports of the loopback address."""

import socket

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
