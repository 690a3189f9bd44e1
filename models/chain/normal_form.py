"""The normal form of addresses and hashes: lower-case hex. Where an address is of mixed case, its checksum has to be right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from eth_hash.auto import keccak

from topics.schemas.requests import Fault

_is_address = re.compile(r"0x[0-9a-fA-F]{40}").fullmatch


@lru_cache(maxsize=65_536)
def is_address(text: str) -> bool:
    """Whether a text is `0x` and 40 hex digits; it is asked several times of each."""
    return _is_address(text) is not None


@lru_cache(maxsize=65_536)
def checksummed(address: str) -> str:
    """EIP-55: a hex letter is upper case where the same nibble of keccak(lower-case hex) is 8 or more."""
    text = address[2:].lower()
    digest = keccak(text.encode()).hex()
    return "0x" + "".join(c.upper() if int(digest[i], 16) >= 8 else c for i, c in enumerate(text))


def lower_address(address: str) -> str | None:
    """`address` in lower case, or None where it is of mixed case and its EIP-55 checksum is wrong."""
    low = address.lower()
    if address == low or address[2:] == low[2:].upper():
        return low
    return low if checksummed(address) == address else None


ADDRESS_FIELDS = (
    "contract_address", "from_address", "to_address", "token_in", "token_out", "token0", "token1", "pool", "market",
    "sender", "recipient", "owner", "maker", "miner",
)  # fmt: skip
HASH_FIELDS = ("transaction_hash", "block_hash", "hash", "parent_hash", "selector", "salt")


def normalise(model: Any) -> Sequence[Fault]:
    """Put a parsed event, transaction or header into normal form, in place: lower-case hex.

    A mixed-case address keeps its case for the message when its checksum is wrong.
    """
    fields: dict[str, Any] = model.__dict__  # pydantic's own setattr costs a microsecond a field
    faults: list[Fault] | None = None
    for name in ADDRESS_FIELDS:
        value = fields.get(name)
        if value is None or value.islower():
            continue
        if not is_address(value):
            if name in ("pool", "market"):  # a 32-byte id has no checksum
                fields[name] = value.lower()
            continue  # a symbol, or what tokens_formed refuses
        low = lower_address(value)
        if low is None:
            faults = [*(faults or ()), _checksum_fault(name, value)]
        else:
            fields[name] = low
    tokens = fields.get("tokens")
    if tokens is not None:
        fields["tokens"] = lowered = [lower_address(one) if is_address(one) else one for one in tokens]
        if None in lowered:
            at = lowered.index(None)
            faults = [*(faults or ()), _checksum_fault(f"tokens.{at}", tokens[at])]
    for name in HASH_FIELDS:
        value = fields.get(name)
        if value is not None and not value.islower():
            fields[name] = value.lower()
    return faults or ()


def _checksum_fault(field: str, value: str) -> Fault:
    return Fault(
        field=field,
        code="address_checksum",
        message=f"{value} fails its EIP-55 checksum; expected {checksummed(value)}, or all lower case",
    )
