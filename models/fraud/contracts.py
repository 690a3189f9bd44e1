"""Who is no person's wallet: contracts, routers and the zero address. Of those behaviour tells nothing, only lists do.

A contract never sends a transaction of its own, and it is called. So a wallet is taken for one while no transaction out of it is
known and one that calls it is; as soon as it sends one, it is judged by what it does. Who is called is not always told: on Ethereum
(chain 1) a payment uses 21,000 gas and no more, so more says it. Elsewhere a payment may use more, and gas says nothing.

A pool that only other contracts call is the end of no transaction: token transfers alone are known of it, as of a wallet that
gets tokens, and like one it is judged.
"""

from __future__ import annotations

from models.fraud.layout import CALLS, MOVES
from models.fraud.profile import Profile
from models.mev.routers import ROUTERS
from topics.schemas.native import ZERO
from topics.schemas.wallet import Unjudged


def by_address(address: str) -> Unjudged | None:
    """What an address (lower case) is known to be, whatever it does; None of most."""
    if address not in ROUTERS:
        return None
    return "zero_address" if address == ZERO else "protocol"


def by_moves(profile: Profile) -> Unjudged | None:
    """What the moves of a wallet show it to be, where that is nothing that behaviour tells of."""
    return "contract" if profile.came.numbers[CALLS] and not profile.went.numbers[MOVES] else None
