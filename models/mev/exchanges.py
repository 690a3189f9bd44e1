"""Exchanges that no decoder knows, as a transaction's transfers tell them.

The signer of a transaction and the contract it called are taken as one. Whoever else gave them one token and took one other
from them exchanged these. A token that is made or destroyed is given or taken by its own contract: so wrapping is an exchange
too. Pools whose swaps are known are left out, and so is a transaction in which a loan was closed: its collateral is no exchange.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.mev.view import Trade, View, placed
from topics.schemas.chain import Swap, Transfer
from topics.schemas.native import ZERO


def exchanges(view: View, hash: str, rest: Sequence[Trade]) -> list[Trade]:
    """What `hash` exchanged beside its known trades, in order of the first transfer.

    Only where something that `rest`, trades of it, bought went to somebody, and something that they sold came from somebody.
    """
    own = {party for party in (view.signer(hash), view.called(hash)) if party} - view.nobody
    told = {trade.pool for trade in view.trades[hash]}
    transfers = view.transfers(hash)
    if not own or hash in view.loans or not _goes_on(transfers, own, told, rest):
        return []
    net: dict[str, dict[str, int]] = {}
    first: dict[str, Transfer] = {}
    for one in sorted(transfers, key=placed):
        source, target = (one.from_address or "").lower(), (one.to_address or "").lower()
        if (source in own) == (target in own):
            continue
        other, sign = (target, -1) if source in own else (source, 1)
        if other in told or one.event_type != "transfer" or one.token_id is not None:
            continue
        if not other or not one.token_in or one.amount_in_raw is None:
            continue
        token = one.token_in.lower()
        other = token if other == ZERO else other
        if other in told:
            continue
        first.setdefault(other, one)
        tokens = net.setdefault(other, {})
        tokens[token] = tokens.get(token, 0) + sign * int(one.amount_in_raw)
    found = []
    for other, tokens in net.items():
        gave = [(token, -amount) for token, amount in tokens.items() if amount < 0]
        took = [(token, amount) for token, amount in tokens.items() if amount > 0]
        if len(gave) == len(took) == 1:
            trade = view.trade(hash, _swap(first[other], other, gave[0], took[0]))
            found += [trade] if trade else []
    return found


def _goes_on(transfers: Sequence[Transfer], own: set[str], told: set[str], rest: Sequence[Trade]) -> bool:
    """Whether others may have made what `rest` bought into what it sold: seen at a glance, for most transactions."""
    sold, bought = {trade.token_in for trade in rest}, {trade.token_out for trade in rest}
    came = went = False
    for one in transfers:
        token = (one.token_in or "").lower()
        if token in sold and token not in bought:
            came |= (one.to_address or "").lower() in own and (one.from_address or "").lower() not in told
        elif token in bought and token not in sold:
            went |= (one.from_address or "").lower() in own and (one.to_address or "").lower() not in told
    return came and went


def _swap(at: Transfer, other: str, gave: tuple[str, int], took: tuple[str, int]) -> Swap:
    return Swap(
        event_type="swap",
        transaction_hash=at.transaction_hash,
        transaction_index=at.transaction_index,
        log_index=at.log_index,
        pool=other,
        token_in=gave[0],
        token_out=took[0],
        amount_in_raw=str(gave[1]),
        amount_out_raw=str(took[1]),
    )
