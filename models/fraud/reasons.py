"""Named reasons to look at a swap request, each with its number, of what it says of itself.

No model has seen that, so from `medium` up such a reason raises the level. Those about a wallet's past are in
`models.fraud.wallet_rules`.
"""

from __future__ import annotations

from models.chain.normal_form import is_address
from models.fraud.profile import Profile
from models.fraud.requests import largeness
from models.fraud.wallet_rules import YOUNG_S
from topics.schemas.risk import SwapRequest
from topics.schemas.wallet import Level, Warned

DEAR_GWEI = 1_000
"""Above what all but a handful of Ethereum's blocks ever asked for: the cut where the day's price is not known."""
FAR, LEAST_GWEI = 10, 100
"""So many times the day's median price, and at least so much: 0.4 % of ordinary transactions (docs/models/fraud.md)."""
GWEI = 10**9
SLIPPAGE: tuple[tuple[float, Level], ...] = ((0.5, "high"), (0.1, "medium"), (0.05, "low"))
ROUTE: tuple[tuple[int, Level], ...] = ((8, "medium"), (5, "low"))


def of_request(request: SwapRequest, day_wei: float | None) -> list[Warned]:
    """What is odd about the request by itself; `day_wei` is the median gas price of its day, None where nobody knows it."""
    found = []
    slippage, route = request.slippage, request.route_length
    if slippage is not None and (level := next((level for least, level in SLIPPAGE if slippage >= least), None)):
        said = f"up to {slippage:.1%} less than quoted is accepted: whoever sees it first can take that much"
        found.append(Warned(code="slippage", severity=level, message=said, value=slippage))
    if route is not None and (level := next((level for least, level in ROUTE if route >= least), None)):
        said = f"it goes through {route} pools, where one to four are usual"
        found.append(Warned(code="long_route", severity=level, message=said, value=route))
    if request.gas_price is not None and (dear := _dear(float(request.gas_price), day_wei)) is not None:
        found.append(Warned(code="gas_price", severity="medium", message=dear, value=float(request.gas_price)))
    # Two abbreviations that are equal may stand for two wallets.
    if is_address(request.from_address) and request.from_address == request.to_address:
        said = "sender and receiver are one wallet: it trades with itself"
        found.append(Warned(code="self_trade", severity="medium", message=said, value=request.from_address))
    return found


def is_dear(gwei: float, day_wei: float | None) -> bool:
    """Whether a gas price is far above its day's; without one, above nearly all that was ever paid."""
    if day_wei is None:
        return gwei >= DEAR_GWEI
    return gwei >= LEAST_GWEI and gwei * GWEI >= FAR * day_wei


def _dear(gwei: float, day_wei: float | None) -> str | None:
    if not is_dear(gwei, day_wei):
        return None
    if day_wei is None:
        return f"{gwei:g} gwei: hardly any block ever asked for {DEAR_GWEI:,}"
    return f"{gwei:g} gwei: {gwei * GWEI / day_wei:.0f} times what others paid that day, {day_wei / GWEI:.3g}"


def is_large(request: SwapRequest) -> bool:
    """Whether the amount is known to be a large one of its token."""
    times = largeness(request)
    return times is not None and times >= 1


def of_young(request: SwapRequest, profile: Profile, now: float) -> list[Warned]:
    """A large amount from a wallet whose profile begins not long ago; one of which nothing is known is not known to be young.

    A request may name a time of long ago: the wallet is at least as old as its newest move makes it.
    """
    age = max(profile.last, now if request.timestamp is None else request.timestamp) - profile.first
    if age > YOUNG_S:
        return []
    said = f"{request.amount} is a large amount for a wallet whose first move in months was {age / 3600:.1f} hours before it"
    return [Warned(code="new_wallet_large_amount", severity="medium", message=said, value=float(request.amount))]
