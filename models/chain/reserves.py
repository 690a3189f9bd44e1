"""Prices of swaps against the reserves that their pool told: a Uniswap V2 pair says Sync right before the Swap it belongs to.

What a pair holds after a swap, and what it took in and gave out, say what it held before; so two things must be true of every
swap of a constant-product pool, whatever its tokens are worth:

- Its product never falls, the fee set aside. The pair itself demands that, by `require(balance0Adjusted * balance1Adjusted >=
  reserve0 * reserve1 * 1000**2)` with `balanceAdjusted = balance * 1000 - amountIn * 3` (UniswapV2Pair.sol; section 3.2.1 of
  the whitepaper, https://uniswap.org/whitepaper.pdf). So no swap has a better price than the pool's before it.
- Nor has it a worse one than the pool's after it, the fee set aside: that is where its last unit was sold.

Integers throughout. What breaks them is a warning, for it is the sender's data that do not fit each other, and the chain alone
knows which of them is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from topics.schemas.requests import Fault

CODE = "price_of_pool"
FEES = {
    "uniswap_v2": (3, 3),
    "sushiswap": (3, 3),
    "shibaswap": (3, 3),
    "uniswap_v2_fork": (0, 10),
    None: (0, 10),
}
"""The lowest and highest fee of a protocol's pools, in thousandths of what comes in. A protocol that is not here has another
curve, and is not looked at."""

COMPARED = frozenset({"swap", "sync"})
"""The types of the events that are looked at."""

Event = Mapping[str, Any]
"""An event in normal form."""


def warnings(events: Sequence[Event]) -> dict[int, Fault]:
    """`price_of_pool`, by the index of the swap whose amounts do not fit its pool's reserves after it.

    A swap is compared where the Sync of its pool is among `events`, at the log index one lower, and both carry base units. Not
    told apart is a swap that also moved one of its tokens the other way (some tokens pay their holders, and so a pool, on each
    transfer): events carry the net direction, so a warning is possible where nothing is wrong. Of 19 such swaps in the samples
    there is none. Tokens that take a fee on transfer need nothing special: a pair counts what has arrived.
    """
    syncs = {_place(event, event["pool"], 1): event for event in events if event["event_type"] == "sync"}
    if not syncs:
        return {}
    found = {}
    for index, event in enumerate(events):
        if event["event_type"] != "swap" or event.get("log_index") is None:
            continue
        sync = syncs.get(_place(event, event.get("pool") or event.get("contract_address"), 0))
        if sync is not None and (why := _against(event, sync)):
            found[index] = Fault(field="amount_out", code=CODE, message=why)
    return found


def _place(event: Event, pool: str | None, ahead: int) -> tuple[Any, ...]:
    """Where a swap would stand that is `ahead` logs behind this event."""
    place = event.get("log_index")
    return event["transaction_hash"], pool, None if place is None else place + ahead


def _against(swap: Event, sync: Event) -> str | None:
    """What does not fit; None where all does, or where it cannot be said."""
    fees, first = FEES.get(swap.get("protocol")), _sells_first(swap, sync)
    if fees is None or first is None or swap.get("amount_in_raw") is None or swap.get("amount_out_raw") is None:
        return None
    paid, got = int(swap["amount_in_raw"]), int(swap["amount_out_raw"])
    reserves = int(sync["reserve0_raw"]), int(sync["reserve1_raw"])
    of_in, of_out = reserves if first else reserves[::-1]
    told = f"{got} for {paid}, with reserves of {of_out} and {of_in} after it (log {sync['log_index']})"
    if paid >= of_in:
        return f"{told}: more came in than the pool holds of it"
    least, most = fees
    if (of_in * 1000 - paid * least) * of_out < (of_in - paid) * (of_out + got) * 1000:
        return f"{told}: a better price than the pool had before it"
    if got * of_in * 1000 < paid * of_out * (1000 - most):
        return f"{told}: a worse price than the pool has after it"
    return None


def _sells_first(swap: Event, sync: Event) -> bool | None:
    """Whether the swap sells the pool's token0; None where its tokens cannot be told.

    A pair sorts its tokens by address, so addresses say it where the Sync does not.
    """
    sold, bought = swap["token_in"], swap["token_out"]
    tokens = sync.get("token0"), sync.get("token1")
    if None not in tokens:
        return True if tokens == (sold, bought) else False if tokens == (bought, sold) else None
    return bool(sold < bought) if len(sold) == len(bought) == 42 else None
