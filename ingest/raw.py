"""Raw blocks as they arrive: in one of two forms, each read by its own file, with faults told by field.

1. **mev-block** (`ingest.mev_form`): an object with `"schema": "mev-block/1"`, its `transactions`, `logs` and, optional, `pools`
   and `decimals`, which stand in for eth_call.
2. **JSON-RPC** (`ingest.rpc_form`): an object with `block` (eth_getBlockBy*), and `receipts` (eth_getBlockReceipts) or `logs`
   (eth_getLogs) or both, each bare or wrapped as `{"jsonrpc": "2.0", "id": 1, "result": ...}`; `chain_id` where no transaction
   tells it; `pools` and `decimals` as above, optional.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson
from pydantic import ValidationError

from base.wording import wording
from ingest import mev_form, rpc_form
from ingest.parts import RawBlock, lowered

MEV_BLOCK = b'"mev-block/1"'
NAMED = 5
"""How many faults a message names."""


class Malformed(ValueError):
    """A raw block that is not in a form we take. The message names each field and the fix."""


def explain(error: ValidationError, where: str) -> Malformed:
    """The first faults of `error`, each with its field, what stood there and what should."""
    lines = [str(wording(fault)) for fault in error.errors(include_url=False)[:NAMED]]
    more = error.error_count() - len(lines)
    return Malformed(f"{where}: " + "\n  ".join(lines) + (f"\n  and {more} more" if more > 0 else ""))


def parse(data: bytes, where: str = "block") -> RawBlock:
    """Read one raw block in either form; `where` names it in errors.

    Raises:
        Malformed: it is not JSON, in neither form, or a field is not as its form has it.
    """
    if MEV_BLOCK in data:
        with suppress(ValidationError):  # whatever is wrong is told below
            return mev_form.read(data)
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"{where}: not JSON ({error}); give one JSON object in UTF-8") from None
    return parse_value(value, where)


def parse_value(value: Any, where: str = "block") -> RawBlock:
    """The same of a value that JSON was parsed to.

    Raises:
        Malformed: as `parse` does.
    """
    if not isinstance(value, dict):
        raise Malformed(f"{where}: a {type(value).__name__} where an object with `schema` or `block` is wanted")
    if "schema" in value:
        return _read(mev_form.read, value, where)
    if "block" in value:
        parts = {name: unwrapped(part, f"{where}: {name}") for name, part in value.items()}
        return _read(rpc_form.read, parts, where)
    raise Malformed(f'{where}: neither `schema` ("mev-block/1") nor `block` is there; add the one whose form this is')


def _read(form: Callable[[Any], RawBlock], value: Any, where: str) -> RawBlock:
    """By `form`, whose hex is lower case: the usual one, so it is tried first."""
    try:
        try:
            return form(value)
        except ValidationError:
            return form(lowered(value))
    except ValidationError as error:
        raise explain(error, where) from None
    except rpc_form.Lacking as error:
        raise Malformed(f"{where}: {error}") from None


def unwrapped(part: Any, where: str) -> Any:
    """The result inside a JSON-RPC answer; what is none is itself.

    Raises:
        Malformed: the node answered with an error or null.
    """
    if not isinstance(part, dict) or "jsonrpc" not in part:
        return part
    if part.get("result") is None:
        raise Malformed(f"{where}: the node answered {part.get('error', 'null')}; ask it again for this block")
    return part["result"]
