"""The rules that a swap request must keep, named as those of events are (`models.chain.rules`).

Errors refuse it, field by field; warnings are told and change nothing. What is not given has no rules. Fields are named as callers
write them, in camelCase.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache

from pydantic.alias_generators import to_camel

from models.chain import rules
from models.chain.limits import limits
from models.chain.normal_form import is_address, lower_address
from models.chain.rules import FINE, Context, Faults
from models.fraud.wallet_rules import ETHER_CHAINS
from topics.schemas.requests import Fault
from topics.schemas.risk import SwapRequest

ETHER = frozenset({"ETH", "WETH", "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"})
"""What the sold token of a swap is called where it is ether."""
MOST_ETHER = 130_000_000
"""More than there is: about 120 million since 2022."""
MOST_TOKENS = 1e33
"""More than any token has units of 18 decimals that people trade: the largest supplies are near 1e18."""
MOST_UNKNOWN = 20
"""Unknown fields that are told of: there may be as many as fit into a record."""
MOST_POOLS = 100
"""No swap through more pools fits a block."""
LARGE: dict[str, float] = {
    **dict.fromkeys(ETHER, 100.0),
    **dict.fromkeys(("USDC", "USDT", "DAI", "USD", "BUSD", "FRAX", "TUSD"), 250_000.0),
    **dict.fromkeys(("WBTC", "BTC", "TBTC"), 5.0),
    "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48": 250_000.0,
    "0xdac17f958d2ee523a2206206994597c13d831ec7": 250_000.0,
    "0x6b175474e89094c44da98b954eedeac495271d0f": 250_000.0,
    "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599": 5.0,
}
"""Tokens whose worth is known, symbols in upper case and addresses in lower, and what is a large amount of each."""

_is_hash = re.compile(r"0x[0-9a-fA-F]{64}").fullmatch
_is_short = re.compile(r"0x\w*(\.{2,}|…)\w*").fullmatch
"""Abbreviated, as documentation does."""


@lru_cache(maxsize=4096)
def tokens(pair: str | None) -> tuple[str, str] | None:
    """The tokens sold and bought, symbols in upper case and addresses in lower; None where the pair is no two of them."""
    parts = re.split(r"[/_:-]", pair or "")
    if len(parts) != 2 or not all(part.strip() for part in parts):
        return None
    sold, bought = (part.strip() for part in parts)
    return _token(sold), _token(bought)


def _token(text: str) -> str:
    return text.lower() if text[:2] in ("0x", "0X") else text.upper()


Rule = Callable[[SwapRequest, Context], Faults]


def _fault(field: str, code: str, message: str) -> Faults:
    return (Fault(field=field, code=code, message=message),)


def normalise(request: SwapRequest) -> Faults:
    """Put a parsed request into normal form, in place: lower-case hex. Abbreviations stay as they are."""
    faults: list[Fault] = []
    for name, field in (("from_address", "fromAddress"), ("to_address", "toAddress")):
        given: str | None = getattr(request, name)
        if given is None:
            continue
        if not is_address(given):
            if _is_short(given):
                continue
            said = f"{given[:60]} is no address; give 0x and 40 hex digits"
            faults.append(Fault(field=field, code="address_form", message=said))
        elif (low := lower_address(given)) is None:
            said = f"{given} fails its EIP-55 checksum; give it as its wallet shows it, or all in lower case"
            faults.append(Fault(field=field, code="address_checksum", message=said))
        elif low != given:
            setattr(request, name, low)
    if request.tx_hash is not None and not request.tx_hash.islower() and _is_hash(request.tx_hash):
        request.tx_hash = request.tx_hash.lower()
    return faults


def not_in_future(request: SwapRequest, context: Context) -> Faults:
    """future_time: a time later than our clock allows, or before 1970."""
    return rules.not_in_future(request, context)


def amount_possible(request: SwapRequest, context: Context) -> Faults:
    """amount_negative, amount_absurd: below zero, or more than there is."""
    amount = float(request.amount)
    if amount < 0:
        return _fault("amount", "amount_negative", f"{request.amount} must not be negative; give how much is sold")
    sold = _sold(request)
    most = MOST_ETHER if sold in ETHER else MOST_TOKENS
    if amount > most:
        there = f"is more than there is of {sold or 'any token'} (at most {most:g})"
        return _fault("amount", "amount_absurd", f"{request.amount} {there}; give token units, not base units")
    return FINE


def _sold(request: SwapRequest) -> str | None:
    """The token sold: the chain's own coin where no pair is named; None where that is not ether, or the pair is not understood."""
    if request.token_pair is None:
        return "ETH" if request.chain_id in ETHER_CHAINS else None
    pair = tokens(request.token_pair)
    return None if pair is None else pair[0]


def tokens_differ(request: SwapRequest, context: Context) -> Faults:
    """same_token: a swap of a token for itself."""
    pair = tokens(request.token_pair)
    if pair is not None and pair[0] == pair[1]:
        return _fault("tokenPair", "same_token", f"{pair[0]} for itself is no swap; give sold/bought, such as ETH/USDC")
    return FINE


def gas_possible(request: SwapRequest, context: Context) -> Faults:
    """gas_limit: a gas price outside what the chain allows."""
    if request.gas_price is None:
        return FINE
    most = limits(request.chain_id).max_gas_price_gwei
    if not 0 <= float(request.gas_price) <= most:
        return _fault("gasPrice", "gas_limit", f"{request.gas_price} gwei is outside 0 to {most}; give gwei, not wei")
    return FINE


def slippage_fraction(request: SwapRequest, context: Context) -> Faults:
    """slippage_range: no fraction."""
    if request.slippage is not None and not 0 <= request.slippage <= 1:
        return _fault(
            "slippage", "slippage_range", f"{request.slippage:g} is outside 0 to 1; give a fraction: 0.005 is 0.5 %"
        )
    return FINE


def route_possible(request: SwapRequest, context: Context) -> Faults:
    """route_range: a swap goes through one pool or more, and through no hundreds of them."""
    if request.route_length is not None and not 1 <= request.route_length <= MOST_POOLS:
        said = f"{request.route_length} is outside 1 to {MOST_POOLS}; give the number of pools the swap goes through"
        return _fault("routeLength", "route_range", said)
    return FINE


RULES: tuple[Rule, ...] = (
    not_in_future, amount_possible, tokens_differ, gas_possible, slippage_fraction, route_possible
)  # fmt: skip
"""Errors, in the order they are looked for."""


def abbreviated(request: SwapRequest, context: Context) -> Faults:
    """abbreviated (warning): an identifier that names nothing."""
    found = []
    for field, given in (("fromAddress", request.from_address), ("toAddress", request.to_address)):
        if given is not None and not is_address(given):
            said = f"{given} is abbreviated: no wallet can be looked up by it, and nothing of it is judged"
            found.append(Fault(field=field, code="abbreviated", message=said))
    if request.tx_hash is not None and not _is_hash(request.tx_hash):
        said = f"{request.tx_hash[:60]} is no hash of 0x and 64 hex digits: the assessment cannot be looked up by it"
        found.append(Fault(field="txHash", code="abbreviated", message=said))
    return found


def pair_known(request: SwapRequest, context: Context) -> Faults:
    """unknown_pair (warning): a pair that is no two tokens, or one whose sold token has no known worth."""
    if request.token_pair is None:
        return FINE
    pair = tokens(request.token_pair)
    if pair is None:
        return _fault("tokenPair", "unknown_pair", "it names no two tokens as ETH/USDC does; its rules did not apply")
    if pair[0] not in LARGE:
        said = f"the worth of {pair[0][:60]} is not known: whether the amount is large cannot be said"
        return _fault("tokenPair", "unknown_pair", said)
    return FINE


def amount_there(request: SwapRequest, context: Context) -> Faults:
    """amount_zero (warning): nothing is sold, as in calls that move tokens only."""
    return _fault("amount", "amount_zero", "nothing is sold") if float(request.amount) == 0 else FINE


_UNKNOWN = tuple(
    (name, Fault(field=to_camel(name), code=f"unknown_{name}", message="not given; its rules did not apply"))
    for name in ("timestamp", "gas_price", "slippage", "route_length", "token_pair")
)


def unknown_values(request: SwapRequest, context: Context) -> Faults:
    """unknown_<field> (warning): not given, so that its rules did not apply."""
    return [fault for name, fault in _UNKNOWN if getattr(request, name) is None]


def unknown_fields(request: SwapRequest, context: Context) -> Faults:
    """unknown_field (warning): not part of the schema."""
    return rules.unknown_fields(request, context)[:MOST_UNKNOWN]


WARNINGS: tuple[Rule, ...] = (abbreviated, pair_known, amount_there, unknown_values, unknown_fields)


def errors(request: SwapRequest, now: float) -> list[Fault]:
    """Put a parsed request into normal form and return what refuses it; empty when it is taken."""
    context = Context(now)
    return [*normalise(request), *(fault for rule in RULES for fault in rule(request, context))]


def warnings(request: SwapRequest, now: float) -> list[Fault]:
    """What is odd about a request in normal form, or not known of it."""
    context = Context(now)
    return [fault for rule in WARNINGS for fault in rule(request, context)]


def is_hash(text: str | None) -> bool:
    """Whether a transaction can be looked up by it."""
    return text is not None and _is_hash(text) is not None


def is_call(request: SwapRequest) -> bool:
    """Whether the receiver is a contract: as the request says, else a swap is one."""
    said = request.contract_interaction
    return request.token_pair is not None if said is None else said


def wei(request: SwapRequest) -> int:
    """How much of the chain's own coin leaves the sender, in wei: the amount, where that is sold; exact, to the last digit."""
    own = request.token_pair is None or _sold(request) in ETHER
    return int(Decimal(request.amount).scaleb(18)) if own else 0


def largeness(request: SwapRequest) -> float | None:
    """The amount against what is a large one of its token; None where its worth is not known."""
    large = LARGE.get(_sold(request) or "")
    return None if large is None else float(request.amount) / large
