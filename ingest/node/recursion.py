"""How deep calls may nest, which importing web3.py changes for the whole process."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def as_deep_as_before() -> Iterator[None]:
    """Import web3.py inside it: py_ecc, which comes with it, allows a hundred times as much as the stack holds.

    JSON that nests so deep, as any node can send it, would end the process by SIGSEGV and not be refused.
    """
    limit = sys.getrecursionlimit()
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
