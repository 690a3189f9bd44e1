"""What transactions cost those who sent them, and what the builder of the block got of it; wei."""

from __future__ import annotations

from collections.abc import Sequence

from models.mev.view import View


def gas_cost(view: View, hashes: Sequence[str]) -> int | None:
    """Gas used times the price paid, of all `hashes`; None where one of them does not tell."""
    if not view.pays:
        return None
    total = 0
    for hash in hashes:
        one = view.transactions.get(hash)
        if one is None or one.gas_used is None or one.gas_price_wei is None:
            return None
        total += one.gas_used * one.gas_price_wei
    return total


def sent_to_builder(view: View, hashes: Sequence[str]) -> int | None:
    """What was sent to the builder inside of all `hashes`; None where one of them does not tell."""
    sent = [one.coinbase_transfer_wei if (one := view.transactions.get(hash)) else None for hash in hashes]
    return None if None in sent else sum(int(wei or 0) for wei in sent)


def priority_fees(view: View, hashes: Sequence[str]) -> int | None:
    """What gas cost above the base fee, of all `hashes`; None where one of them does not tell."""
    base_fee = view.block.base_fee
    if base_fee is None or not view.pays:
        return None
    total = 0
    for hash in hashes:
        one = view.transactions.get(hash)
        if one is None or one.gas_used is None or one.gas_price_wei is None:
            return None
        total += one.gas_used * max(0, one.gas_price_wei - base_fee)
    return total
