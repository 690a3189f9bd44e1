"""Labels from a file: CSV with a header, or a JSON object a line, each with fields of a label."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from base.wording import wording
from console.addresses import lowered
from console.local.errors import LocalError
from models.chain.normal_form import is_address
from topics.schemas.labels import Label

NUMBERS = {"1": "fraud", "0": "ordinary"}
"""How published tables say it."""
NEEDED = {"address", "label"}
OTHERS = {";": "semicolons", "\t": "tabs"}
"""What spreadsheets put between columns in place of commas."""
TYPED = {"chain_id": int, "confidence": float}
Bad = list[tuple[int, str]]
"""The line where a row begins, from 1, and what is wrong with it."""


def read(file: Path, source: str, now: datetime) -> tuple[list[Label], Bad]:
    """The labels, and the rows that are none or say the opposite of an earlier one of the same wallet and time.

    Columns that are no field of a label are left aside.

    Raises:
        LocalError: the file cannot be read, or has no column `address` or `label`.
    """
    found: list[Label] = []
    bad: Bad = []
    first: dict[tuple[str, datetime], tuple[int, Label]] = {}
    try:
        for place, row in _rows(file):
            if isinstance(row, str):
                bad.append((place, row))
                continue
            try:
                one = Label.model_validate({"source": source, "labelled_at": now, **row})
            except ValidationError as error:
                bad.append((place, str(wording(error.errors(include_url=False)[0]))))
                continue
            line, earlier = first.setdefault((one.key, one.labelled_at), (place, one))
            if one.label == earlier.label:
                found.append(one)
            else:
                bad.append((place, f"{one.address} is {one.label} here and {earlier.label} in line {line}; keep one"))
    except UnicodeDecodeError as error:
        raise LocalError(f"{file} cannot be read: it is no UTF-8 text; save it as UTF-8") from error
    except (OSError, csv.Error) as error:
        raise LocalError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return found, bad


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    with file.open(newline="", encoding="utf-8-sig") as text:  # spreadsheets put a byte order mark before CSV
        if file.suffix in (".jsonl", ".json"):
            for place, line in enumerate(text, 1):
                if line.strip():
                    yield place, _of_json(line)
            return
        header = text.readline()
        rows = csv.reader(chain([header], text))
        names = next(rows, [])
        if missing := NEEDED - {*names}:
            for sign, called in OTHERS.items():
                if NEEDED & {*next(csv.reader([header], delimiter=sign), [])}:
                    raise LocalError(
                        f"{file} has {called} between its columns; give commas: save it anew as CSV with commas between"
                    )
            raise LocalError(
                f"{file} has no column {' and none '.join(sorted(missing))}; give a CSV whose first line names its columns,"
                " address and label among them, or JSON lines in a file .jsonl"
            )
        before = rows.line_num
        for row in rows:  # one may go on over several lines
            if row:
                yield before + 1, _of_csv(dict(zip(names, row, strict=False)))
            before = rows.line_num


def _of_json(line: str) -> dict[str, Any] | str:
    try:
        row = orjson.loads(line)
    except ValueError as error:
        return f"it is no JSON: {error}"
    if not isinstance(row, dict):
        return "it is no JSON object; give one a line"
    return _plain(row)


def _of_csv(row: dict[str, str]) -> dict[str, Any] | str:
    given = {name: text.strip() for name, text in row.items() if name in Label.model_fields and text.strip()}
    given["label"] = NUMBERS.get(given.get("label", ""), given.get("label", ""))
    return _plain({name: _number(name, text) for name, text in given.items()})


def _number(name: str, text: str) -> Any:
    try:
        return TYPED[name](text) if name in TYPED else text
    except ValueError:
        return text


def _plain(row: dict[str, Any]) -> dict[str, Any] | str:
    """The row with its address in lower case, or what is wrong with that."""
    address = row.get("address")
    if not isinstance(address, str):
        return row  # the schema names it
    try:
        return {**row, "address": lowered(address) if is_address(address) else address.lower()}
    except LocalError as error:
        return str(error)
