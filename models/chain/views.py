"""What a block says to markets and to wallets, by the keys of those who need it.

`cut` is a pure function of a block; `records` lays its parts out by partition. A view record replaces all that its partition
held of that block, so a revision repeats the names of earlier ones with empty lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median_low
from typing import Any

from topics.schemas.chain import Block

HOUR_S = 3600
ZERO = "0x" + "0" * 40
PAIR, WALLET = "pair", "wallet"

Parts = dict[str, list[dict[str, Any]]]


def trades(block: Block) -> Parts:
    """Trades by `chain_id:token0:token1` (lower case, token0 < token1), in block order."""
    out: Parts = {}
    for event in block.events:
        if event.event_type != "swap":
            continue
        token_in, token_out = event.token_in.lower(), event.token_out.lower()
        sold_first = token_in < token_out
        key = f"{block.chain_id}:{token_in}:{token_out}" if sold_first else f"{block.chain_id}:{token_out}:{token_in}"
        sold, bought = ("0", "1") if sold_first else ("1", "0")
        trade = {
            "transaction_hash": event.transaction_hash,
            "transaction_index": event.transaction_index,
            "log_index": event.log_index,
            "pool": event.pool,
            "protocol": event.protocol,
            "zero_for_one": sold_first,
            f"amount{sold}": event.amount_in,
            f"amount{bought}": event.amount_out,
            f"amount{sold}_raw": event.amount_in_raw,
            f"amount{bought}_raw": event.amount_out_raw,
        }
        out.setdefault(key, []).append(_known(trade))
    return out


def activity(block: Block) -> Parts:
    """Moves by `chain_id:address`: transactions (failed ones too), then transfers and swaps, each in block order."""
    out: Parts = {}
    senders: dict[str, str | None] = {}

    def tell(address: str | None, move: dict[str, Any]) -> None:
        if address is not None and address != ZERO:
            out.setdefault(f"{block.chain_id}:{address}", []).append(_known(move))

    def both(source: str | None, target: str | None, move: dict[str, Any]) -> None:
        if source is not None and source == target:
            tell(source, {**move, "direction": "self", "peer": target})
        else:
            tell(source, {**move, "direction": "out", "peer": target})
            tell(target, {**move, "direction": "in", "peer": source})

    for transaction in block.transactions:
        senders[transaction.hash] = transaction.from_address
        move = {
            "kind": "transaction",
            "transaction_hash": transaction.hash,
            "transaction_index": transaction.index,
            "value_wei": transaction.value_wei,
            "gas_limit": transaction.gas_limit,
            "gas_used": transaction.gas_used,
            "gas_price_wei": transaction.gas_price_wei,
            "selector": transaction.selector,
            "status": transaction.status,
        }
        both(transaction.from_address, transaction.to_address, move)
    for event in block.events:
        place = {
            "transaction_hash": event.transaction_hash,
            "transaction_index": event.transaction_index,
            "log_index": event.log_index,
        }
        if event.event_type in ("transfer", "deposit", "withdrawal"):
            move = {
                "kind": "transfer",
                **place,
                "token": event.token_in or event.contract_address,
                "amount": event.amount_in,
                "amount_raw": event.amount_in_raw,
            }
            both(event.from_address, event.to_address, move)
        elif event.event_type == "swap":
            trader = event.from_address or senders.get(event.transaction_hash) or event.recipient or event.sender
            move = {
                "kind": "swap",
                "direction": "self",
                **place,
                "peer": event.contract_address,
                "token": event.token_in,
                "amount": event.amount_in,
                "amount_raw": event.amount_in_raw,
                "token_out": event.token_out,
                "amount_out": event.amount_out,
                "amount_out_raw": event.amount_out_raw,
            }
            tell(trader, move)
    return out


def median_gas_price(block: Block) -> int | None:
    """The lower median of its transactions' gas prices, wei; None where none is known."""
    prices = [t.gas_price_wei for t in block.transactions if t.gas_price_wei is not None]
    return median_low(prices) if prices else None


def names(block: Block) -> set[str]:
    """Every pair and wallet that the block's views name, marked by kind."""
    return {f"{PAIR} {key}" for key in trades(block)} | {f"{WALLET} {key}" for key in activity(block)}


def pair_records(block: Block, named: Iterable[str], owner: Callable[[str], int]) -> dict[int, dict[str, Any]]:
    """Values of pair.trades by partition. `named` are the names of earlier revisions, `owner` tells a key's partition."""
    return _lay_out(_head(block), "pairs", trades(block), PAIR, named, owner)


def wallet_records(block: Block, named: Iterable[str], owner: Callable[[str], int]) -> dict[int, dict[str, Any]]:
    """Values of wallet.activity by partition."""
    head = _known({**_head(block), "median_gas_price_wei": median_gas_price(block)})
    return _lay_out(head, "wallets", activity(block), WALLET, named, owner)


def clock_record(chain_id: int, timestamp: int, revision: int, part: str) -> dict[str, Any]:
    """The empty view record that tells its readers what time it is on a chain; `part` is `pairs` or `wallets`."""
    return {"chain_id": chain_id, "revision": revision, "status": "clock", "timestamp": timestamp, part: {}}


def _head(block: Block) -> dict[str, Any]:
    head = {
        "chain_id": block.chain_id,
        "number": block.number,
        "revision": block.revision,
        "status": block.status,
        "timestamp": block.timestamp,
    }
    return _known(head)


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _lay_out(
    head: dict[str, Any], part: str, found: Parts, kind: str, named: Iterable[str], owner: Callable[[str], int]
) -> dict[int, dict[str, Any]]:
    out: dict[int, dict[str, Any]] = {}

    def place(key: str, moves: list[dict[str, Any]]) -> None:
        number = owner(key)
        if number not in out:
            out[number] = {**head, part: {}}
        out[number][part][key] = moves

    for key, moves in found.items():
        place(key, moves)
    for name in sorted(named):
        name_kind, _, key = name.partition(" ")
        if name_kind == kind and key not in found:
            place(key, [])
    return out
