"""Read blocks of a chain: by number, and their receipts by hash, since a number may mean another block a moment later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ingest.node.cursor import Link
from ingest.node.rpc import Behind, Call, Endpoint, NodeError, Refused

INVALID_PARAMS = -32602
"""What a node says that knows eth_getBlockReceipts by numbers only."""
BACK_AT_ONCE = 16
"""Hashes in a read while a common ancestor is looked for."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A block with its receipts, as the node gave them."""

    number: int
    hash: str
    parent: str
    block: dict[str, Any]
    receipts: list[dict[str, Any]]


async def read_blocks(endpoint: Endpoint, numbers: Sequence[int]) -> list[Raw]:
    """The blocks of these consecutive numbers, in order, as far as the node has them, but one at least.

    Each one's parent is the one before it: where the chain changes under the read, only those before the change are given.

    Raises:
        Behind: the node does not have the first one, or not its receipts.
        NodeError: it answered wrongly.
    """
    answers = await endpoint.ask([Call("eth_getBlockByNumber", [hex(number), True]) for number in numbers])
    blocks: list[dict[str, Any]] = []
    for number, block in zip(numbers, answers, strict=True):
        if isinstance(block, Refused):
            raise NodeError(f"refused block {number}: {block.code} {block.message}")
        if block is None or (blocks and blocks[-1]["hash"] != block.get("parentHash")):
            break
        _check(block, number)
        blocks.append(block)
    if not blocks:
        raise Behind(f"does not have block {numbers[0]} yet")
    found: list[Raw] = []
    for block, receipts in zip(blocks, await _receipts(endpoint, blocks), strict=True):
        if not _complete(block, receipts):
            if not found:
                raise Behind(f"gave no whole receipts of block {int(block['number'], 16)}")
            break
        found.append(Raw(int(block["number"], 16), block["hash"].lower(), block["parentHash"].lower(), block, receipts))
    return found


async def read_ancestor(endpoint: Endpoint, links: Sequence[Link]) -> int | None:
    """How many of `links` (consecutive blocks, one at least) are on the node's chain; None where the parent of the first is not.

    Only another hash says that a block has left: one that the node does not have may come yet, unless one below it has left.

    Raises:
        Behind: the node does not have the newest, and of those that it has none has left.
        NodeError: it answered wrongly.
    """
    left = False
    for end in range(len(links), 0, -BACK_AT_ONCE):
        start = max(0, end - BACK_AT_ONCE)
        hashes = await _read_hashes(endpoint, [link.number for link in links[start:end]])
        for place in range(end - 1, start - 1, -1):
            hash = hashes[place - start]
            if hash == links[place].hash and (left or place == len(links) - 1):
                return place + 1
            if hash == links[place].hash:
                raise Behind(f"does not have block {links[-1].number}")
            left = left or hash is not None
    if not left:
        raise Behind(f"does not have block {links[-1].number}, nor any of the {len(links)} that were sent")
    first = links[0]
    return 0 if first.number and await _read_hashes(endpoint, [first.number - 1]) == [first.parent] else None


async def _read_hashes(endpoint: Endpoint, numbers: Sequence[int]) -> list[str | None]:
    """The hashes of these blocks on the node's chain; None for those that it does not have."""
    answers = await endpoint.ask([Call("eth_getBlockByNumber", [hex(number), False]) for number in numbers])
    hashes: list[str | None] = []
    for number, block in zip(numbers, answers, strict=True):
        if isinstance(block, Refused):
            raise NodeError(f"refused block {number}: {block.code} {block.message}")
        if block is not None:
            _check(block, number)
        hashes.append(None if block is None else block["hash"].lower())
    return hashes


async def read_head(endpoint: Endpoint) -> int:
    """The number of the node's newest block.

    Raises:
        NodeError: it told none.
    """
    (told,) = await endpoint.ask([Call("eth_blockNumber", [])])
    try:
        return int(told, 16)
    except (TypeError, ValueError):
        raise NodeError(f"answered {told!r:.80} for its newest block's number") from None


def _check(block: Any, number: int) -> None:
    """Raises NodeError unless it is a block of that number with the fields that link it to others."""
    named = isinstance(block, dict) and all(
        isinstance(block.get(name), str) for name in ("hash", "parentHash", "number")
    )
    if not named or not isinstance(block.get("transactions"), list):
        raise NodeError(f"answered no block where block {number} is wanted")
    if block["number"].lower() != hex(number):
        raise NodeError(f"answered block {block['number']} where {hex(number)} is wanted")


async def _receipts(endpoint: Endpoint, blocks: list[dict[str, Any]]) -> list[Any]:
    """Each block's receipts, or None; those of a block without transactions are not asked for."""
    full = [block for block in blocks if block["transactions"]]
    found: dict[str, Any] = {block["hash"]: [] for block in blocks}
    if endpoint.block_receipts:
        answers = await endpoint.ask([Call("eth_getBlockReceipts", [block["hash"]]) for block in full])
        if any(isinstance(one, Refused) and (one.unknown_method or one.code == INVALID_PARAMS) for one in answers):
            endpoint.block_receipts = False
        else:
            # What is refused otherwise is a block it does not know: some say so, others answer null.
            known = (None if isinstance(one, Refused) else one for one in answers)
            found.update(zip((block["hash"] for block in full), known, strict=True))
    for block in full:
        # All, or those that it left out: some nodes forget what is not quite a transaction, such as Polygon's state syncs.
        if isinstance(given := found[block["hash"]], list):
            found[block["hash"]] = given + await _one_by_one(endpoint, block, given)
    return [found[block["hash"]] for block in blocks]


async def _one_by_one(endpoint: Endpoint, block: dict[str, Any], given: list[Any]) -> list[Any]:
    """The receipts that are not `given`."""
    there = {one.get("transactionHash") for one in given if isinstance(one, dict)}
    missing = [hash for hash in _hashes(block) if hash not in there]
    return await endpoint.ask([Call("eth_getTransactionReceipt", [hash]) for hash in missing])


def _hashes(block: dict[str, Any]) -> list[str]:
    return [str(one["hash"] if isinstance(one, dict) else one) for one in block["transactions"]]


def _complete(block: dict[str, Any], receipts: Any) -> bool:
    """Whether these are receipts of all of the block's transactions, and of this very block."""
    return (
        isinstance(receipts, list)
        and all(isinstance(one, dict) and one.get("blockHash") == block["hash"] for one in receipts)
        and {one.get("transactionHash") for one in receipts}.issuperset(_hashes(block))
    )
