"""Named reasons to look at a swap request, each with its number: of the request itself, and of a wallet's past.

What a request says of itself no model has seen, so from `medium` up it raises the level. What a wallet's past shows the model has
seen: such reasons are `low`, name what a person would look for, and raise nothing.
"""

from __future__ import annotations

from models.fraud.profile import DAY_S, Half, Profile
from models.fraud.requests import is_address, largeness
from topics.schemas.risk import SwapRequest, Warned
from topics.schemas.wallet import Level

DEAR_GWEI = 1_000
"""Above what all but a handful of Ethereum's blocks ever asked for."""
SLIPPAGE: tuple[tuple[float, Level], ...] = ((0.5, "high"), (0.1, "medium"), (0.05, "low"))
ROUTE: tuple[tuple[int, Level], ...] = ((8, "medium"), (5, "low"))
YOUNG_S = 3 * DAY_S
FEW = 5
"""Moves from which a share says something."""
MANY_PEERS = 10


def of_request(request: SwapRequest) -> list[Warned]:
    """What is odd about the request by itself."""
    found = []
    slippage, route = request.slippage, request.route_length
    if slippage is not None and (level := next((level for least, level in SLIPPAGE if slippage >= least), None)):
        said = f"up to {slippage:.1%} less than quoted is accepted: whoever sees it first can take that much"
        found.append(Warned(code="slippage", severity=level, message=said, value=slippage))
    if route is not None and (level := next((level for least, level in ROUTE if route >= least), None)):
        said = f"it goes through {route} pools, where one to four are usual"
        found.append(Warned(code="long_route", severity=level, message=said, value=route))
    if request.gas_price is not None and float(request.gas_price) >= DEAR_GWEI:
        said = f"{float(request.gas_price):g} gwei: hardly any block ever asked for {DEAR_GWEI:,}"
        found.append(Warned(code="gas_price", severity="medium", message=said, value=float(request.gas_price)))
    # Two abbreviations that are equal may stand for two wallets.
    if is_address(request.from_address) and request.from_address == request.to_address:
        said = "sender and receiver are one wallet: it trades with itself"
        found.append(Warned(code="self_trade", severity="medium", message=said, value=request.from_address))
    return found


def is_large(request: SwapRequest) -> bool:
    """Whether the amount is known to be a large one of its token."""
    times = largeness(request)
    return times is not None and times >= 1


def of_young(request: SwapRequest, profile: Profile, now: float) -> list[Warned]:
    """A large amount from a wallet whose profile begins not long ago; one of which nothing is known is not known to be young."""
    age = max(0.0, (now if request.timestamp is None else request.timestamp) - profile.first)
    if age > YOUNG_S:
        return []
    said = f"{request.amount} is a large amount for a wallet whose first move in months was {age / 3600:.1f} hours ago"
    return [Warned(code="new_wallet_large_amount", severity="medium", message=said, value=float(request.amount))]


def of_wallet(profile: Profile, side: str) -> list[Warned]:
    """What a person would look for in a wallet's past; `side` says whose it is."""
    came, went = profile.came, profile.went
    found = []

    def note(code: str, message: str, value: float) -> None:
        found.append(
            Warned(code=f"{side}_{code}", severity="low", message=f"the {side} {message}", value=round(value, 4))
        )

    if went.value.count >= FEW and profile.quick >= FEW and profile.drains / went.value.count >= 0.5:
        note(
            "fast_drain",
            f"emptied itself {profile.drains} times, {profile.quick} times within ten minutes",
            profile.drains,
        )
    senders, receivers = came.peers.count, went.peers.count
    if senders >= MANY_PEERS and receivers <= 2:
        said = f"takes from about {senders:.0f} wallets and gives to {receivers:.0f}: many to one"
        note("many_to_one", said, senders)
    if came.value.count >= FEW and came.tenths / came.value.count >= 0.8:
        note(
            "round_values",
            f"is paid in round amounts: {came.tenths} of {came.value.count}",
            came.tenths / came.value.count,
        )
    if _between_two(profile, came, went):
        note(
            "wash",
            f"trades to and fro with one wallet: {came.moves} times in, {went.moves} times out",
            came.moves + went.moves,
        )
    return found


def _between_two(profile: Profile, came: Half, went: Half) -> bool:
    """Whether most that ever happened was two wallets paying each other."""
    both = came.peers.bits == went.peers.bits and came.peers.bits.bit_count() == 1
    return both and profile.tokens.bits == 0 and min(came.value.count, went.value.count) >= FEW
