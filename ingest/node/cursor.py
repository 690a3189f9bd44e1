"""How far a chain was followed: the newest blocks sent to chain.events, in one file.

Blocks are written down before they are sent, and as confirmed once Kafka has them. So whatever is killed in between, a start knows
every block that may be in chain.events: it sends again what was not confirmed (the same bytes, a duplicate), and takes back what
is no longer on the chain.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from base.wording import wording
from topics.schemas.fields import Hash, Uint64

KEPT = 256
"""Blocks that are kept at least: the deepest reorganisation that is followed."""


class Unusable(Exception):
    """A cursor that cannot be used; the message says what to do."""


class Link(BaseModel):
    """A block as the next one names it."""

    number: Uint64
    hash: Hash
    parent: Hash


class Cursor(BaseModel):
    """The newest blocks of one chain that were, or may have been, sent."""

    chain_id: Uint64
    confirmed: Annotated[int, Field(strict=True, ge=-1)] = -1
    """The number up to which Kafka has acknowledged them; those above it may have been sent."""
    blocks: list[Link] = []
    """Consecutive, oldest first."""

    @property
    def top(self) -> Link | None:
        """The newest."""
        return self.blocks[-1] if self.blocks else None

    def save(self, path: Path) -> None:
        """Write it whole, or leave the one before."""
        spare = path.with_suffix(".new")
        with spare.open("wb") as out:
            out.write(self.model_dump_json().encode())
            out.flush()
            os.fsync(out.fileno())
        spare.replace(path)


def load(path: Path, chain_id: int) -> Cursor:
    """The cursor at `path`, a new one where there is none.

    Raises:
        Unusable: it cannot be read, or is another chain's.
    """
    try:
        cursor = Cursor.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Cursor(chain_id=chain_id)
    except (OSError, ValidationError) as error:
        why = wording(error.errors(include_url=False)[0]) if isinstance(error, ValidationError) else error.strerror
        raise Unusable(f"{path} cannot be read ({why}); delete it, and say by --from where to begin") from None
    if cursor.chain_id != chain_id:
        raise Unusable(f"{path} is of chain {cursor.chain_id}, not {chain_id}; delete it or name another node")
    return cursor


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep other processes from following the same chain from the same cursor.

    Raises:
        Unusable: one does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unusable(f"another `bin/soba ingest node` follows this chain already: it holds {lock.name}") from None
        yield
