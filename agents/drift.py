"""What `profiles` counts of the wallets that it scores, so that it shows when they are no more like those of training.

One wallet in 64 is counted, once a day of chain time: as its first block of the day leaves it. A row is of a day and a partition of
wallet.activity, and its version the offset of the last record in it, so what is read again is not counted again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from agents.agent import Record, RowName, Rows
from models.fraud.drift import Counts, sampled
from models.fraud.profile import DAY_S
from models.fraud.scorer import Scorer
from models.fraud.walk import Floats
from models.fraud.wallet import last_time
from models.releases import Model
from tables.registry import DRIFT, DRIFT_BY_MODEL, PROFILES, DriftRow, ProfileRow
from tables.rows import Pointer, Row


def keys(batch: Sequence[Record]) -> list[RowName]:
    """The rows of the days that the batch's records are of."""
    found = {_name(record): None for record in batch if record.value.wallets and record.value.timestamp is not None}
    return [(DRIFT, name) for name in found]


def counted(
    judged: Iterable[tuple[str, Record, int]], rows: Rows, vectors: Floats, scores: Floats, model: Model
) -> list[Row]:
    """The rows that count those of the wallets `judged` who are new on their day, each told by key, record and place.

    `vectors`, a row each, and `scores`, their probabilities, are of those places. Without a reference in the model there is nothing
    to count them against: then none.
    """
    scorer: Scorer = model.loaded
    if scorer.reference is None:
        return []
    days: dict[str, int] = {}
    places: dict[str, list[int]] = {}
    newest: dict[str, Record] = {}
    for key, record, place in judged:
        if not sampled(key) or record.value.timestamp is None:
            continue
        day = _day(record)
        if day <= (days[key] if key in days else _last_day(rows.get((PROFILES, key)))):
            continue
        days[key], name = day, _name(record)
        before = _before(rows, name, model)
        if before is None or record.offset > before.revision:
            places.setdefault(name, []).append(place)
            newest[name] = record
    out = []
    for name, mine in places.items():
        table = vectors[mine][:, scorer.columns]
        counts = scorer.reference.count(table, scores[mine])
        out.append(_row(name, newest[name], counts, len(mine), _before(rows, name, model), model))
    return out


def _row(name: str, record: Record, counts: Counts, wallets: int, before: DriftRow | None, model: Model) -> Row:
    if before is not None:
        counts, wallets = counts + np.array(before.counts), wallets + before.wallets
    value = DriftRow(
        day=_day(record),
        partition=record.partition,
        revision=record.offset,
        model=model.manifest.version,
        wallets=wallets,
        counts=counts.tolist(),
    )
    return Row(DRIFT, name, record.offset, value, (Pointer(DRIFT_BY_MODEL, model.manifest.name, value.day),))


def _before(rows: Rows, name: str, model: Model) -> DriftRow | None:
    """What was counted of a day by this model."""
    row = rows.get((DRIFT, name))
    return row if isinstance(row, DriftRow) and row.model == model.manifest.version else None


def _last_day(row: object) -> int:
    """The day of the newest block of a wallet; none at all is before all days."""
    time = last_time(row) if isinstance(row, ProfileRow) else None
    return -1 if time is None else time // DAY_S


def _day(record: Record) -> int:
    return int(record.value.timestamp) // DAY_S


def _name(record: Record) -> str:
    return f"{_day(record)}:{record.partition}"
