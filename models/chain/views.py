"""What a block says to markets and to wallets, by the keys of those who need it.

`cut` is a pure function of a block; `records` lays its parts out by partition. A view record replaces all that its partition
held of that block, so a revision repeats the names of earlier ones with empty lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median_low
from typing import Any

HOUR_S = 3600
ZERO = "0x" + "0" * 40
PAIR, WALLET = "pair", "wallet"

Parts = dict[str, list[dict[str, Any]]]
Block = dict[str, Any]
"""A block envelope with its elements in normal form: what a value of chain.blocks parses to."""

# Field of what is told of, field of the view.
_PLACE = (
    ("transaction_hash", "transaction_hash"),
    ("transaction_index", "transaction_index"),
    ("log_index", "log_index"),
)
_TRADE = (*_PLACE, ("pool", "pool"), ("protocol", "protocol"))
_SOLD_FIRST = (
    *_TRADE,
    ("amount_in", "amount0"),
    ("amount_out", "amount1"),
    ("amount_in_raw", "amount0_raw"),
    ("amount_out_raw", "amount1_raw"),
)
_SOLD_SECOND = (
    *_TRADE,
    ("amount_in", "amount1"),
    ("amount_out", "amount0"),
    ("amount_in_raw", "amount1_raw"),
    ("amount_out_raw", "amount0_raw"),
)
_SPENT = (
    ("hash", "transaction_hash"),
    ("index", "transaction_index"),
    *((name, name) for name in ("value_wei", "gas_limit", "gas_used", "gas_price_wei", "selector", "status")),
)
_PAID = (*_PLACE, ("amount_in", "amount"), ("amount_in_raw", "amount_raw"))
_SWAPPED = (
    *_PAID,
    ("token_in", "token"),
    ("contract_address", "peer"),
    ("token_out", "token_out"),
    ("amount_out", "amount_out"),
    ("amount_out_raw", "amount_out_raw"),
)


def trades(block: Block) -> Parts:
    """Trades by `chain_id:token0:token1` (lower case, token0 < token1), in block order."""
    out: Parts = {}
    chain_id = block["chain_id"]
    for event in block["events"]:
        if event["event_type"] != "swap":
            continue
        token_in, token_out = event["token_in"].lower(), event["token_out"].lower()
        if token_in < token_out:
            key = f"{chain_id}:{token_in}:{token_out}"
            trade = {told: event[name] for name, told in _SOLD_FIRST if name in event}
            trade["zero_for_one"] = True
        else:
            key = f"{chain_id}:{token_out}:{token_in}"
            trade = {told: event[name] for name, told in _SOLD_SECOND if name in event}
            trade["zero_for_one"] = False
        out.setdefault(key, []).append(trade)
    return out


def activity(block: Block) -> Parts:
    """Moves by `chain_id:address`: transactions (failed ones too), then transfers and swaps, each in block order."""
    out: Parts = {}
    chain_id = block["chain_id"]
    senders: dict[str, str | None] = {}

    def tell(address: str | None, move: dict[str, Any]) -> None:
        if address is not None and address != ZERO:
            out.setdefault(f"{chain_id}:{address}", []).append(move)

    def both(source: str | None, target: str | None, move: dict[str, Any]) -> None:
        if source is not None and source == target:
            tell(source, {**move, "direction": "self", "peer": target})
            return
        tell(source, {**move, "direction": "out"} if target is None else {**move, "direction": "out", "peer": target})
        tell(target, {**move, "direction": "in"} if source is None else {**move, "direction": "in", "peer": source})

    for transaction in block["transactions"]:
        source = senders[transaction["hash"]] = transaction.get("from_address")
        move = {told: transaction[name] for name, told in _SPENT if name in transaction}
        move["kind"] = "transaction"
        both(source, transaction.get("to_address"), move)
    for event in block["events"]:
        kind = event["event_type"]
        if kind == "swap":
            trader = event.get("from_address") or senders.get(event["transaction_hash"])
            move = {told: event[name] for name, told in _SWAPPED if name in event}
            move["kind"], move["direction"] = "swap", "self"
            tell(trader or event.get("recipient") or event.get("sender"), move)
        elif (
            kind in ("transfer", "deposit", "withdrawal") and "token_id" not in event
        ):  # behaviour is told by what has a value
            move = {told: event[name] for name, told in _PAID if name in event}
            move["kind"] = "transfer"
            move["token"] = event["token_in"] if "token_in" in event else event["contract_address"]
            both(event.get("from_address"), event.get("to_address"), move)
    return out


def median_gas_price(block: Block) -> int | None:
    """The lower median of its transactions' gas prices, wei; None where none is known."""
    prices = [t["gas_price_wei"] for t in block["transactions"] if "gas_price_wei" in t]
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
    return {name: block[name] for name in ("chain_id", "number", "revision", "status", "timestamp") if name in block}


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _lay_out(
    head: dict[str, Any], part: str, found: Parts, kind: str, named: Iterable[str], owner: Callable[[str], int]
) -> dict[int, dict[str, Any]]:
    parts: dict[int, Parts] = {}
    for key, moves in found.items():
        parts.setdefault(owner(key), {})[key] = moves
    for name in sorted(named):
        name_kind, _, key = name.partition(" ")
        if name_kind == kind and key not in found:
            parts.setdefault(owner(key), {})[key] = []
    return {number: {**head, part: its} for number, its in parts.items()}
