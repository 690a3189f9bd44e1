"""The forms an artefact may have, and what each is read into. None of them can hold code, and reading one runs none.

The loaders of agents get what `read` gives: no loader opens a pickle, because none ever sees the bytes of one.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from topics.schemas.models import Format

UNPACKED_BYTES = 256 * 1024 * 1024
"""What the arrays of an npz may come to: a few bytes of zip can promise any amount."""


class Unreadable(ValueError):
    """An artefact that is not of the form it is said to have."""


def read(form: Format, artefact: bytes) -> Any:
    """What the artefact holds: parsed JSON; arrays by name (npz); a LightGBM model's text; an ONNX model's bytes.

    Raises:
        Unreadable: it is not of this form.
    """
    return _READERS[form](artefact)


def npz(arrays: Mapping[str, Any]) -> bytes:
    """Arrays as an artefact; the same arrays make the same bytes."""
    import numpy as np

    with io.BytesIO() as file:
        np.savez_compressed(file, **arrays)
        return file.getvalue()


def _json(artefact: bytes) -> Any:
    try:
        return json.loads(artefact, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"no JSON: {error}") from error


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _npz(artefact: bytes) -> Any:
    import numpy as np  # 30 MB that only workers with such a model take

    try:
        with zipfile.ZipFile(io.BytesIO(artefact)) as archive:
            # zipfile gives no more of a member than its directory says.
            if (size := sum(member.file_size for member in archive.infolist())) > UNPACKED_BYTES:
                raise Unreadable(f"no npz that fits: {size:,} bytes unpacked, at most {UNPACKED_BYTES:,}")
            if strange := [name for name in archive.namelist() if not name.endswith(".npy")]:
                raise Unreadable(f"no npz of arrays alone: it holds {strange[0]!r}")
        with np.load(io.BytesIO(artefact), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Unreadable:
        raise
    except Exception as error:  # zipfile and numpy raise a dozen kinds on what somebody made up
        raise Unreadable(f"no npz without pickle: {error}") from error


def _lightgbm(artefact: bytes) -> Any:
    try:
        text = artefact.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"no LightGBM text: {error}") from error
    if not text.startswith("tree\n"):
        raise Unreadable("no LightGBM text: that begins with a line `tree`")
    return text


def _onnx(artefact: bytes) -> Any:
    if not artefact.startswith(b"\x08"):  # the field ir_version, which every writer puts first
        raise Unreadable("no ONNX model: that begins with its ir_version")
    return artefact


_READERS: dict[Format, Callable[[bytes], Any]] = {"json": _json, "npz": _npz, "lightgbm": _lightgbm, "onnx": _onnx}
