"""What a restart of validate needs of chain.blocks: the last records of a partition, and whether they are enough."""

from __future__ import annotations

from collections.abc import Sequence

from agents.agent import Written
from models.chain.assembly import HELD_BLOCKS
from topics.headers import HELD, get


def named(id: str) -> tuple[int, int, int]:
    """Chain id, number and revision of a record of chain.blocks, by its `ce_id`."""
    chain_id, number, revision = map(int, id.split(":"))
    return chain_id, number, revision


def made_at(id: str) -> int:
    """The offset in chain.events at which a record of chain.blocks with this `ce_id` was made: its revision."""
    return named(id)[2]


def cut(tail: Sequence[Written], committed: int) -> set[int]:
    """The chains of which the tail may lack a block that late events can still change.

    Every record says how many those were when it was written, and which was the lowest. What counts is how it stood at `committed`.
    """
    numbers: dict[int, set[int]] = {}
    windows: dict[int, bytes | None] = {}
    for written in tail:
        chain_id, number, revision = named(written.id)
        if revision < committed or chain_id not in windows:
            numbers.setdefault(chain_id, set()).add(number)
            windows[chain_id] = get(written.headers, HELD)
    found = set()
    for chain_id, window in windows.items():
        lowest, count = map(int, (window or b"0:%d" % HELD_BLOCKS).split(b":"))
        if sum(number >= lowest for number in numbers[chain_id]) < count:
            found.add(chain_id)
    return found


def enough(tail: Sequence[Written], committed: int) -> bool:
    """Whether the last records of chain.blocks are all that a restart needs.

    They hold all blocks of every chain that late events can change, and begin well before those whose views may be missing.
    """
    revisions = [made_at(written.id) for written in tail]
    older = revisions[: len(revisions) // 2]
    return not cut(tail, committed) and max(older, default=-1) < committed
