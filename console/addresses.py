"""Addresses that a person gives, on a command line or in a file."""

from __future__ import annotations

from console.local.errors import LocalError
from models.chain.normal_form import lower_address


def lowered(address: str) -> str:
    """An address in lower case.

    Raises:
        LocalError: it is of mixed case and fails its EIP-55 checksum.
    """
    if (low := lower_address(address)) is None:
        raise LocalError(f"{address} fails its EIP-55 checksum; give it as a wallet shows it, or in lower case")
    return low
