"""The rules that a chain event must keep, as one readable list a type.

A rule looks at one parsed event and says what is wrong with it. Errors refuse the event; warnings are told and change nothing.
A rule whose field is unknown does not apply. Rules run on millions of events, so each returns the shared empty tuple unless it
has something to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from models.chain.limits import CHAINS, OTHER, expected_time, limits
from models.chain.normal_form import is_address, normalise
from topics.schemas.requests import Fault

CLOCK_SKEW_S = 60
"""How far ahead of our clock another machine's may run before its time counts as in the future."""
ANCHOR_TOLERANCE_S = 30 * 86_400
"""How far a block's time may stand from the line between known blocks; the line is off by up to three weeks itself."""

Faults = Sequence[Fault]
FINE: Faults = ()


@dataclass(frozen=True, slots=True)
class Context:
    """What a rule may know beside the event: our clock, and the block it stands in (None: it came alone)."""

    now: float
    chain_id: int = 1
    number: int | None = None
    block_hash: str | None = None
    timestamp: int | None = None

    @property
    def alone(self) -> bool:
        """Whether the event came without an envelope."""
        return self.number is None


Rule = Callable[[Any, Context], Faults]


def _fault(field: str, code: str, message: str) -> Faults:
    return (Fault(field=field, code=code, message=message),)


def identity_known(event: Any, context: Context) -> Faults:
    """missing_field: an event is told from others by its log index or, failing that, its event_id."""
    if event.log_index is None and event.event_id is None:
        return _fault("event_id", "missing_field", "give log_index, or event_id where there is no log")
    return FINE


def block_known(event: Any, context: Context) -> Faults:
    """missing_field: an event outside an envelope must say in which block and when it happened."""
    if not context.alone:
        return FINE
    found = [
        Fault(field=name, code="missing_field", message=f"an event outside an envelope needs the {what} of its block")
        for name, what in (("block_number", "number"), ("timestamp", "time"))
        if getattr(event, name) is None
    ]
    return found or FINE


def same_block(event: Any, context: Context) -> Faults:
    """wrong_block: an event inside an envelope may not name another block, chain or fork."""
    if context.alone:
        return FINE
    if event.block_number is not None and event.block_number != context.number:
        return _fault("block_number", "wrong_block", f"is {event.block_number}, its envelope's is {context.number}")
    if event.chain_id is not None and event.chain_id != context.chain_id:
        return _fault("chain_id", "wrong_block", f"is {event.chain_id}, its envelope's is {context.chain_id}")
    if event.block_hash is not None and context.block_hash is not None and event.block_hash != context.block_hash:
        return _fault("block_hash", "wrong_block", f"is {event.block_hash}, its envelope's is {context.block_hash}")
    return FINE


def not_in_future(event: Any, context: Context) -> Faults:
    """future_time: a time later than our clock allows, or before 1970."""
    time = event.timestamp
    if time is None:
        return FINE
    if time > context.now + CLOCK_SKEW_S:
        hint = ", not milliseconds" if time > 100_000_000_000 else ""
        said = f"{_told(time)} is more than {CLOCK_SKEW_S} s later than now, {_told(int(context.now))}"
        return _fault("timestamp", "future_time", f"{said}; give a time up to now, RFC 3339 or unix seconds{hint}")
    if time <= 0:
        said = f"{time} is not a unix time; give a time after 1970, RFC 3339 or unix seconds"
        return _fault("timestamp", "future_time", said)
    return FINE


def _told(time: int) -> str:
    """A time in both forms that are taken, since it may have been given in either; the number alone where no calendar has it."""
    try:
        return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%dT%H:%M:%SZ} (unix {time})"
    except (ValueError, OverflowError, OSError):
        return str(time)


def gas_possible(event: Any, context: Context) -> Faults:
    """gas_limit: gas used or its price outside what the protocol allows."""
    used, price = event.gas_used, event.gas_price
    if used is None and price is None:
        return FINE
    bounds = limits(event.chain_id or context.chain_id)
    if used is not None and not bounds.min_gas <= used <= bounds.max_gas:
        return _fault("gas_used", "gas_limit", f"{used} is outside {bounds.min_gas} to {bounds.max_gas}")
    if price is not None and not 0 <= _number(price) <= bounds.max_gas_price_gwei:
        return _fault("gas_price", "gas_limit", f"{price} gwei is outside 0 to {bounds.max_gas_price_gwei}")
    return FINE


def _number(amount: str) -> float:
    """Good enough to compare with a bound."""
    return float(amount)


def _is_zero(amount: str) -> bool:
    return Decimal(amount) == 0


def amounts_positive(event: Any, context: Context) -> Faults:
    """amount_positive: both sides of a swap, in each form that is given."""
    for name in ("amount_in", "amount_out", "amount_in_raw", "amount_out_raw"):
        value = getattr(event, name)
        # A first digit of 1 to 9 is a positive number, whatever follows: the common case, without parsing.
        if value is not None and not "0" < value[0] <= "9" and (value[0] == "-" or _is_zero(value)):
            return _fault(name, "amount_positive", f"{value} must be above 0")
    return FINE


AMOUNT_FIELDS = (
    "amount_in", "amount_out", "amount_in_raw", "amount_out_raw", "amount0_raw", "amount1_raw", "reserve0_raw",
    "reserve1_raw", "value_wei", "coinbase_transfer_wei", "liquidity", "token_id",
)  # fmt: skip


def amounts_not_negative(event: Any, context: Context) -> Faults:
    """amount_negative: outside swaps 0 is legal, less is not."""
    fields = event.__dict__
    for name in AMOUNT_FIELDS:
        value = fields.get(name)
        if value is not None and value[0] == "-" and not _is_zero(value):
            return _fault(name, "amount_negative", f"{value} must not be negative")
    for at, value in enumerate(fields.get("amounts_raw") or ()):
        if value[0] == "-" and not _is_zero(value):
            return _fault(f"amounts_raw.{at}", "amount_negative", f"{value} must not be negative")
    return FINE


def swap_amounts_known(event: Any, context: Context) -> Faults:
    """missing_field: each side of a swap in token units or in base units."""
    if event.amount_in is None and event.amount_in_raw is None:
        return _fault("amount_in", "missing_field", "give amount_in (token units) or amount_in_raw (base units)")
    if event.amount_out is None and event.amount_out_raw is None:
        return _fault("amount_out", "missing_field", "give amount_out (token units) or amount_out_raw (base units)")
    return FINE


def tokens_differ(event: Any, context: Context) -> Faults:
    """same_token: a swap of a token for itself."""
    if event.token_in == event.token_out or event.token_in.lower() == event.token_out.lower():
        return _fault("token_out", "same_token", f"{event.token_out} is also token_in")
    return FINE


def tokens_formed(event: Any, context: Context) -> Faults:
    """address_form: a token that starts like an address must be one."""
    fields = event.__dict__
    for name in ("token_in", "token_out", "token0", "token1"):
        value = fields.get(name)
        if value is not None and value[:2] == "0x" and not is_address(value):
            return _fault(name, "address_form", f"{value} is neither a symbol nor an address of 20 bytes")
    for at, value in enumerate(fields.get("tokens") or ()):
        if value[:2] == "0x" and not is_address(value):
            return _fault(f"tokens.{at}", "address_form", f"{value} is neither a symbol nor an address of 20 bytes")
    return FINE


def transfer_known(event: Any, context: Context) -> Faults:
    """missing_field: what moved, from whom, to whom and how much."""
    if event.token_in is None and event.contract_address is None:
        return _fault("contract_address", "missing_field", "a transfer needs the token: contract_address or token_in")
    if event.amount_in is None and event.amount_in_raw is None:
        return _fault("amount_in", "missing_field", "give amount_in (token units) or amount_in_raw (base units)")
    if event.from_address is None:
        return _fault("from_address", "missing_field", "a transfer needs its sender")
    if event.to_address is None:
        return _fault("to_address", "missing_field", "a transfer needs its receiver")
    return FINE


def pool_known(event: Any, context: Context) -> Faults:
    """missing_field: liquidity goes to or comes from a pool."""
    if event.pool is None and event.contract_address is None:
        return _fault("pool", "missing_field", "give pool or contract_address")
    return FINE


def loan_known(event: Any, context: Context) -> Faults:
    """missing_field: who liquidated whom."""
    if event.from_address is None or event.to_address is None:
        name = "from_address" if event.from_address is None else "to_address"
        return _fault(name, "missing_field", "a liquidation needs the liquidator (from) and the borrower (to)")
    return FINE


def time_fits_number(event: Any, context: Context) -> Faults:
    """time_of_block (warning): the time is far from that of blocks around this number, on chains with known blocks."""
    number = context.number if event.block_number is None else event.block_number
    time = context.timestamp if event.timestamp is None else event.timestamp
    if number is None or time is None:
        return FINE
    expected = expected_time(limits(event.chain_id or context.chain_id).anchors, number)
    if expected is not None and abs(time - expected) > ANCHOR_TOLERANCE_S:
        return _fault("timestamp", "time_of_block", f"block {number} is expected around {expected}, not {time}")
    return FINE


WARNED_WHEN_UNKNOWN = ("timestamp", "contract_address", "from_address", "to_address", "gas_used", "gas_price")


def unknown_values(event: Any, context: Context) -> Faults:
    """unknown_<field> (warning): a field of the contract that is null, so that its rules did not apply."""
    fields = event.__dict__
    return [
        Fault(field=name, code=f"unknown_{name}", message="not given; its rules did not apply")
        for name in WARNED_WHEN_UNKNOWN
        if fields.get(name) is None and not (name == "timestamp" and context.timestamp is not None)
    ]


def unknown_fields(event: Any, context: Context) -> Faults:
    """unknown_field (warning): a field that the schema does not have; it is kept out of the result."""
    extra = event.__pydantic_extra__
    return [
        Fault(field=name[:64], code="unknown_field", message="not part of the schema; left out") for name in extra or ()
    ]


EVERY: tuple[Rule, ...] = (identity_known, block_known, same_block, not_in_future, gas_possible)
RULES: dict[str, tuple[Rule, ...]] = {
    "swap": (*EVERY, swap_amounts_known, amounts_positive, tokens_formed, tokens_differ),
    "transfer": (*EVERY, transfer_known, amounts_not_negative, tokens_formed),
    "deposit": (*EVERY, transfer_known, amounts_not_negative, tokens_formed),
    "withdrawal": (*EVERY, transfer_known, amounts_not_negative, tokens_formed),
    "sync": (*EVERY, amounts_not_negative, tokens_formed),
    "mint": (*EVERY, pool_known, amounts_not_negative, tokens_formed),
    "burn": (*EVERY, pool_known, amounts_not_negative, tokens_formed),
    "collect": (*EVERY, pool_known, amounts_not_negative, tokens_formed),
    "liquidation": (*EVERY, loan_known, amounts_not_negative, tokens_formed),
}
"""Errors by event type, in the order they are looked for."""

WARNINGS: tuple[Rule, ...] = (time_fits_number, unknown_values, unknown_fields)


def errors(event: Any, context: Context) -> Faults:
    """Put a parsed event into normal form and return what refuses it; empty when it is valid.

    The first fault of each rule is told. An event whose addresses are wrong is not looked at further.
    """
    faults = normalise(event)
    if faults:
        return faults
    found: list[Fault] | None = None
    for rule in RULES[event.event_type]:
        said = rule(event, context)
        if said:
            found = [*(found or ()), *said]
    return found or FINE


def plain(model: Any) -> dict[str, Any]:
    """The known fields of a model in normal form, those that are null left out."""
    return {name: value for name, value in model.__dict__.items() if value is not None}


_NEEDS: dict[str, tuple[tuple[str, str], ...]] = {
    "swap": (("amount_in", "amount_in_raw"), ("amount_out", "amount_out_raw")),
    "sync": (),
    "liquidation": (("from_address", "from_address"), ("to_address", "to_address")),
    **dict.fromkeys(
        ("transfer", "deposit", "withdrawal"),
        (
            ("token_in", "contract_address"),
            ("amount_in", "amount_in_raw"),
            ("from_address", "from_address"),
            ("to_address", "to_address"),
        ),
    ),
    **dict.fromkeys(("mint", "burn", "collect"), (("pool", "contract_address"),)),
}
"""Of each pair an event in normal form has at least one."""
_CHEAP = len(str(min(bounds.max_gas_price_gwei for bounds in (OTHER, *CHAINS.values())))) - 1
"""A decimal number of at most so many characters is below what gas may cost on any chain."""


def keeps(event: dict[str, Any], context: Context) -> bool:
    """Whether an event in normal form (`topics.schemas.normal`) keeps every rule in `RULES`.

    The form itself says that hex is lower case, a swap's amounts are positive and no amount is negative; left are the rules
    about several fields, the clock and the block. One that does not keep them is looked at by `errors`, which says why.
    """
    # Asked of every event: each look into it is one that nothing else can replace.
    get, number = event.get, context.number
    chain_id = get("chain_id", context.chain_id)
    if number is None:
        if "block_number" not in event or "timestamp" not in event:
            return False
    else:
        block_hash = context.block_hash
        if (
            get("block_number", number) != number
            or chain_id != context.chain_id
            or (block_hash is not None and get("block_hash", block_hash) != block_hash)
        ):
            return False
    if not 0 < get("timestamp", 1) <= context.now + CLOCK_SKEW_S:
        return False
    bounds = limits(chain_id)
    used, price = get("gas_used"), get("gas_price")
    if used is not None and not bounds.min_gas <= used <= bounds.max_gas:
        return False
    if price is not None and len(price) > _CHEAP and _number(price) > bounds.max_gas_price_gwei:
        return False
    if "log_index" not in event and "event_id" not in event:
        return False
    kind = event["event_type"]
    for one, other in _NEEDS[kind]:
        if one not in event and other not in event:
            return False
    if kind == "swap":
        sold, bought = event["token_in"], event["token_out"]
        return bool(sold != bought and sold.lower() != bought.lower())
    return True


def warnings(event: Any, context: Context) -> list[Fault]:
    """What is odd about an event in normal form, and changes nothing."""
    return [fault for rule in WARNINGS for fault in rule(event, context)]


def transaction_errors(transaction: Any, context: Context) -> Faults:
    """Put a transaction of an envelope into normal form and return what refuses it."""
    faults = normalise(transaction)
    if faults:
        return faults
    bounds = limits(context.chain_id)
    # Published blocks take a transaction's gas_used from traces, which leave its intrinsic gas out: 0 for a plain payment.
    for name, least in (("gas_used", 0), ("gas_limit", bounds.min_gas)):
        value = getattr(transaction, name)
        if value is not None and not least <= value <= bounds.max_gas:
            return _fault(name, "gas_limit", f"{value} is outside {least} to {bounds.max_gas}")
    price = transaction.gas_price_wei
    if price is not None and price > bounds.max_gas_price_gwei * 10**9:
        return _fault("gas_price_wei", "gas_limit", f"{price} wei is above {bounds.max_gas_price_gwei} gwei")
    return amounts_not_negative(transaction, context)


def transaction_keeps(transaction: dict[str, Any], context: Context) -> bool:
    """Whether a transaction in normal form keeps every rule of `transaction_errors`."""
    bounds = limits(context.chain_id)
    return bool(
        transaction.get("gas_used", 0) <= bounds.max_gas
        and bounds.min_gas <= transaction.get("gas_limit", bounds.min_gas) <= bounds.max_gas
        and transaction.get("gas_price_wei", 0) <= bounds.max_gas_price_gwei * 10**9
    )


def header_errors(header: Any, now: float) -> Faults:
    """Put an envelope's header into normal form and return what refuses the whole envelope."""
    return normalise(header) or not_in_future(header, Context(now))


def quality_score(errors: Iterable[Fault], warnings: Iterable[Fault]) -> float:
    """0 to 1: a quarter off for each error, a twentieth for each warning."""
    return max(0.0, round(1 - 0.25 * len(list(errors)) - 0.05 * len(list(warnings)), 2))
