"""Labelled history as Kafka holds it: labels from the topic `labels`, moves from `wallet.activity` as far back as it is kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from console import compacted, labels, records
from models.fraud.campaigns import Label
from models.fraud.outcomes import SURE
from models.fraud.replay import Told
from models.fraud.said import MOST, counting
from topics.registry import WALLET_ACTIVITY
from topics.schemas.chain import WalletActivity, WalletMove

MAINNET = "1:"
"""Accounts of that chain are called by their address alone, as in files."""


class _Block(NamedTuple):
    """What one partition says of a block, in its newest revision."""

    revision: int
    time: int
    market: int | None
    moves: dict[str, Sequence[WalletMove]]


def labels_of() -> dict[str, Label | None]:
    """What operators say of accounts; None of those that are not to be used, whatever others say of them.

    Raises LocalError when no Kafka answers, or the topic is missing.
    """
    _, found = labels.held()
    return {
        key.removeprefix(MAINNET): Label(one.label == "fraud", one.campaign)
        if one.label != "unknown" and one.confidence >= SURE
        else None
        for key, one in found.items()
    }


def history_of(accounts: Collection[str]) -> list[Told]:
    """What these accounts did, in order of time, as the agent `profiles` counts it.

    Raises LocalError when no Kafka answers, or the topic is missing.
    """
    settings, there = records.connected()
    partitions = there[records.known(WALLET_ACTIVITY.name, there)]
    views = TypeAdapter(WalletActivity)
    blocks: dict[tuple[int, int, int], _Block] = {}
    for seen in compacted.whole(settings, WALLET_ACTIVITY.name, partitions):
        try:
            view = views.validate_json(seen.value)
        except ValidationError:  # what the agent sets aside
            continue
        if view.status == "clock" or view.number is None:
            continue
        key = seen.partition, view.chain_id, view.number
        before = blocks.get(key)
        if before is not None and before.revision >= view.revision:
            continue
        mine = {name.removeprefix(MAINNET): counting(moves)[:MOST] for name, moves in view.wallets.items()}
        wanted = {name: moves for name, moves in mine.items() if name in accounts and moves}
        if view.status == "removed" or view.timestamp is None:
            wanted = {}
        if wanted or before is not None:
            blocks[key] = _Block(view.revision, view.timestamp or 0, view.median_gas_price_wei, wanted)
    return [
        Told(account, block.time, move, block.market)
        for _, block in sorted(blocks.items(), key=lambda row: (row[1].time, row[0][1:]))
        for account, moves in block.moves.items()
        for move in moves
    ]
