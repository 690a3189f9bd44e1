"""Addresses of nodes: what one must be, and how it is told without what may be secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

EXAMPLE = "127.0.0.1:8545"


def name_of(url: str) -> str:
    """An address without what may be secret: keys of providers stand in the path or before an @."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def _address(plain: str, secure: str) -> Callable[[str], str]:
    """A check that an address has one of two schemes, a host and, if any, a port that there is."""

    def checked(url: str) -> str:
        where = url if "://" in url else f"{plain}://{url}"
        try:
            parts = urlsplit(where)
            name = name_of(where)
            if where == url and parts.scheme in (plain, secure) and parts.hostname and parts.port != 0:
                return url
            host = name.partition("://")[2] if _shows(parts) else EXAMPLE
        except ValueError:  # no port number, or brackets that do not match
            host = EXAMPLE
        expected = f"{plain}:// or {secure}://, the host and its port, such as {plain}://{host}"
        raise PydanticCustomError("node_address", "no address of a node", {"expected": expected})

    return checked


def _shows(parts: SplitResult) -> bool:
    """Whether what stands in the host's place may be shown: one word alone may be a key that was given for the address."""
    host = parts.hostname or ""
    return (
        bool(host) and parts.port != 0 and (parts.port is not None or "." in host or ":" in host or host == "localhost")
    )


HttpAddress = Annotated[str, AfterValidator(_address("http", "https"))]
"""Where a node takes JSON-RPC by HTTP, as it was given."""
WebsocketAddress = Annotated[str, AfterValidator(_address("ws", "wss"))]
"""Where a node takes websockets, as it was given."""
