"""Labels from a file: CSV with a header, or a JSON object a line, each with fields of a label."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from base.wording import wording
from console.local.errors import LocalError
from topics.schemas.labels import Label

NUMBERS = {"1": "fraud", "0": "ordinary"}
"""How published tables say it."""
TYPED = {"chain_id": int, "confidence": float}
Bad = list[tuple[int, str]]
"""Row number, from 1, and what is wrong with it."""


def read(file: Path, source: str, now: datetime) -> tuple[list[Label], Bad]:
    """The labels, and the rows that are none. Columns that are no field of a label are left aside.

    Raises:
        LocalError: the file cannot be read, or has no column `address` or `label`.
    """
    found: list[Label] = []
    bad: Bad = []
    try:
        for place, row in _rows(file):
            if isinstance(row, str):
                bad.append((place, row))
                continue
            try:
                found.append(Label.model_validate({"source": source, "labelled_at": now, **row}))
            except ValidationError as error:
                bad.append((place, str(wording(error.errors(include_url=False)[0]))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LocalError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return found, bad


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    with file.open(newline="") as text:
        if file.suffix in (".jsonl", ".json"):
            for place, line in enumerate(text, 1):
                if line.strip():
                    yield place, _of_json(line)
            return
        rows = csv.DictReader(text)
        if missing := {"address", "label"} - {*(rows.fieldnames or ())}:
            raise LocalError(
                f"{file} has no column {' and none '.join(sorted(missing))}; give a CSV whose first line names its columns,"
                " address and label among them, or JSON lines in a file .jsonl"
            )
        for place, row in enumerate(rows, 1):
            yield place, _of_csv(row)


def _of_json(line: str) -> dict[str, Any] | str:
    try:
        row = orjson.loads(line)
    except ValueError as error:
        return f"it is no JSON: {error}"
    if not isinstance(row, dict):
        return "it is no JSON object; give one a line"
    return _plain(row)


def _of_csv(row: dict[str, str]) -> dict[str, Any]:
    given = {name: text.strip() for name, text in row.items() if name in Label.model_fields and (text or "").strip()}
    given["label"] = NUMBERS.get(given.get("label", ""), given.get("label", ""))
    return _plain({name: _number(name, text) for name, text in given.items()})


def _number(name: str, text: str) -> Any:
    try:
        return TYPED[name](text) if name in TYPED else text
    except ValueError:
        return text


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    address = row.get("address")
    return {**row, "address": address.lower()} if isinstance(address, str) else row
