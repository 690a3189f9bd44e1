"""What is physically possible on a chain: the bounds that rules check against."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one chain. Gas in units of gas, prices in gwei.

    `anchors` are (block number, unix seconds) of real blocks in order, for the warning that a time does not fit its number.
    """

    max_gas: int
    min_gas: int
    max_gas_price_gwei: int
    anchors: tuple[tuple[int, int], ...] = ()


ETHEREUM = Limits(
    # Block gas limits reached 60 million in 2025; five times that leaves room for years of votes.
    max_gas=300_000_000,
    # Intrinsic gas of a transaction (Yellow Paper, appendix G).
    min_gas=21_000,
    # The dearest gas ever paid was 508,771 gwei (June 2020, an accident).
    max_gas_price_gwei=1_000_000,
    anchors=(
        (1, 1438269988),
        (1_000_000, 1455404053),
        (4_000_000, 1499633567),
        (7_000_000, 1546466952),
        (10_000_000, 1588598533),
        (12_000_000, 1615234816),
        (15_537_394, 1663224179),  # The Merge: 12 s slots from here
        (17_000_000, 1680911891),
        (18_000_000, 1693066895),
        (20_000_000, 1717281407),
    ),
)
# The largest gas limit that clients accept (geth's params.MaxGasLimit, 2^63 - 1) bounds chains we know nothing else about.
OTHER = Limits(max_gas=2**63 - 1, min_gas=0, max_gas_price_gwei=10**9)

CHAINS: dict[int, Limits] = {1: ETHEREUM}


def limits(chain_id: int) -> Limits:
    """The bounds of `chain_id`; the widest where it is not known."""
    return CHAINS.get(chain_id, OTHER)


def expected_time(anchors: tuple[tuple[int, int], ...], number: int) -> int | None:
    """Unix seconds at which block `number` is to be expected between two anchors; beyond the last, by its last slope.

    None where there are no anchors.
    """
    if len(anchors) < 2:
        return None
    low, high = next((pair for pair in pairwise(anchors) if number <= pair[1][0]), anchors[-2:])
    return low[1] + (number - low[0]) * (high[1] - low[1]) // (high[0] - low[0])
