"""Draw inputs and have them judged in this process."""

from __future__ import annotations

import faulthandler
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from rich.console import Console

from console.fuzz import inputs
from console.fuzz.judge import LIMIT_S, Defect, Ledger, check

CHUNK = 20
"""Inputs drawn together: what is made smaller when one of them shows a defect."""
BATCHES = (1, 3, 16)
EACH = 1 + 4
"""What is judged of each drawn one: itself, and damaged ones."""
LARGE_EVERY = 2_000
"""One input of so many is a large one."""
HANG_S = 30 * LIMIT_S
_err = Console(stderr=True)


@dataclass
class Found:
    """What came of it. `kept` are the first inputs, for further use; `defect` says what is not as promised."""

    ledger: Ledger = field(default_factory=Ledger)
    kinds: Counter[str] = field(default_factory=Counter)
    kept: list[bytes] = field(default_factory=list)
    defect: str = ""


def in_process(count: int, seed: int, keep: int = 0) -> Found:
    """Judge at least `count` inputs; the same `seed` draws the same ones. Stops at the first defect.

    A batch that hangs ends the process with the stack of where it hangs.
    """
    found, told = Found(), time.monotonic()
    sizes = itertools.cycle(itertools.product(BATCHES, (1, 2)))

    def judge(chunk: list[tuple[str, bytes]]) -> None:
        nonlocal told
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        drawn = [value for _, value in chunk]
        found.kinds.update(kind for kind, _ in chunk)
        others = zip(drawn, (*drawn[1:], drawn[0]), strict=True)
        more = [one for value, other in others for one in inputs.damaged(value, other)] if len(drawn) > 1 else []
        found.kinds["damaged further"] += len(more)
        values = [*drawn, *more]
        found.kept += values[: max(0, keep - len(found.kept))]
        while values:
            size, partitions = next(sizes)
            check(values[:size], found.ledger, partitions)
            values = values[size:]
        if time.monotonic() - told > 10:
            told = time.monotonic()
            _err.print(f"{found.ledger.inputs:,} of {count:,} inputs", style="dim", highlight=False)

    chunks = st.lists(inputs.inputs(), min_size=CHUNK, max_size=CHUNK)
    large = st.lists(inputs.large().map(lambda value: ("large", value)), min_size=1, max_size=1)
    try:
        _drawn(large, -(-count // LARGE_EVERY), seed, judge)
        _drawn(chunks, -(-count // (CHUNK * EACH)), seed, judge)
    except Defect as defect:
        notes = getattr(defect, "__notes__", [])
        found.defect = "\n".join([f"seed {seed}: {defect}", *notes])
    finally:
        faulthandler.cancel_dump_traceback_later()
    return found


def _drawn(strategy: st.SearchStrategy[Any], examples: int, seed: int, judge: Any) -> None:
    @seeded(seed)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
    )
    @given(strategy)
    def test(chunk: list[tuple[str, bytes]]) -> None:
        judge(chunk)

    test()
