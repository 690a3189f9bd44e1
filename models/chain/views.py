"""What a block says to markets and to wallets, by the keys of those who need it.

`cut` is a pure function of a block; `records` lays its parts out by partition. A view record replaces all that its partition
held of that block, so a revision repeats the names of earlier ones with empty lists.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from statistics import median_low
from typing import Any

HOUR_S = 3600
ZERO = "0x" + "0" * 40
PAIR, WALLET = "pair", "wallet"

Moves = list[dict[str, Any]]
Parts = dict[str, Moves]
Fields = tuple[tuple[str, str], ...]
"""Field of what is told of, field of the view."""
Block = dict[str, Any]
"""A block envelope with its elements in normal form: what a value of chain.blocks parses to."""

_PLACE: Fields = (
    ("transaction_hash", "transaction_hash"),
    ("transaction_index", "transaction_index"),
    ("log_index", "log_index"),
)
_TRADE: Fields = (*_PLACE, ("pool", "pool"), ("protocol", "protocol"))
_SOLD_FIRST: Fields = (
    *_TRADE,
    ("amount_in", "amount0"),
    ("amount_out", "amount1"),
    ("amount_in_raw", "amount0_raw"),
    ("amount_out_raw", "amount1_raw"),
)
_SOLD_SECOND: Fields = (
    *_TRADE,
    ("amount_in", "amount1"),
    ("amount_out", "amount0"),
    ("amount_in_raw", "amount1_raw"),
    ("amount_out_raw", "amount0_raw"),
)
_SPENT: Fields = (
    ("hash", "transaction_hash"),
    ("index", "transaction_index"),
    *((name, name) for name in ("value_wei", "gas_limit", "gas_used", "gas_price_wei", "selector", "status")),
)
_PAID: Fields = (*_PLACE, ("amount_in", "amount"), ("amount_in_raw", "amount_raw"))
_SWAPPED: Fields = (
    *_PAID,
    ("token_in", "token"),
    ("contract_address", "peer"),
    ("token_out", "token_out"),
    ("amount_out", "amount_out"),
    ("amount_out_raw", "amount_out_raw"),
)
_MOVED = ("transfer", "deposit", "withdrawal")


def trades(block: Block) -> Parts:
    """Trades by `chain_id:token0:token1` (lower case, token0 < token1), in block order."""
    out: Parts = {}
    prefix = f"{block['chain_id']}:"
    # By the two tokens as they stand in events: many trades of a block are of few pairs.
    seen: dict[tuple[str, str], tuple[Moves, Fields, bool]] = {}
    for event in block["events"]:
        if event["event_type"] != "swap":
            continue
        tokens = event["token_in"], event["token_out"]
        if tokens not in seen:
            sold, bought = tokens[0].lower(), tokens[1].lower()
            first = sold < bought
            key = f"{prefix}{sold}:{bought}" if first else f"{prefix}{bought}:{sold}"
            seen[tokens] = out.setdefault(key, []), _SOLD_FIRST if first else _SOLD_SECOND, first
        moves, fields, first = seen[tokens]
        trade = {told: event[name] for name, told in fields if name in event}
        trade["zero_for_one"] = first
        moves.append(trade)
    return out


def activity(block: Block) -> Parts:
    """Moves by `chain_id:address`: transactions (failed ones too), then transfers and swaps, each in block order."""
    found: Parts = defaultdict(list)  # by address
    senders: dict[str, str | None] = {}

    def both(source: str | None, target: str | None, move: dict[str, Any]) -> None:
        """Tell both sides of a move, which is the receiver's from here on."""
        if source is not None:
            sent = move.copy()
            sent["direction"] = "self" if source == target else "out"
            if target is not None:
                sent["peer"] = target
            found[source].append(sent)
            if source == target:
                return
        if target is not None:
            move["direction"] = "in"
            if source is not None:
                move["peer"] = source
            found[target].append(move)

    for transaction in block["transactions"]:
        source = senders[transaction["hash"]] = transaction.get("from_address")
        move = {told: transaction[name] for name, told in _SPENT if name in transaction}
        move["kind"] = "transaction"
        both(source, transaction.get("to_address"), move)
    for event in block["events"]:
        kind = event["event_type"]
        if kind == "swap":
            trader = event.get("from_address") or senders.get(event["transaction_hash"])
            trader = trader or event.get("recipient") or event.get("sender")
            if trader is not None:
                move = {told: event[name] for name, told in _SWAPPED if name in event}
                move["kind"], move["direction"] = "swap", "self"
                found[trader].append(move)
        elif kind in _MOVED and "token_id" not in event:  # behaviour is told by what has a value
            move = {told: event[name] for name, told in _PAID if name in event}
            move["kind"] = "transfer"
            move["token"] = event["token_in"] if "token_in" in event else event["contract_address"]
            both(event.get("from_address"), event.get("to_address"), move)
    found.pop(ZERO, None)
    prefix = f"{block['chain_id']}:"
    return {prefix + address: moves for address, moves in found.items()}


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
    parts: dict[int, Parts] = defaultdict(dict)
    for key, moves in found.items():
        parts[owner(key)][key] = moves
    for name in sorted(named):
        name_kind, _, key = name.partition(" ")
        if name_kind == kind and key not in found:
            parts[owner(key)][key] = []
    return {number: {**head, part: its} for number, its in parts.items()}
