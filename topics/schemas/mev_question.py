"""Questions about MEV over requests.chain, of transactions of which the asker may know little, and the answers."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from topics.schemas.fields import Amount, Flag, Token, Uint64
from topics.schemas.mev import Finding, Kind
from topics.schemas.requests import Fault
from topics.schemas.risk import Identifier

MOST_TRANSACTIONS = 1_000
"""Around the target: more than most blocks have."""
MOST_UNITS = Decimal(10) ** 33
"""More token units than any token that people trade has."""
MOST_GWEI = Decimal(10) ** 9
MOST_SECONDS = 10.0**11
"""A larger unix time is one in milliseconds, as JavaScript's clock tells it."""
MOST_UNKNOWN = 20
"""Names of unknown fields of one transaction that are told of."""


def _at_most(most: Decimal, expected: str) -> AfterValidator:
    def check(value: str) -> str:
        if not 0 <= Decimal(value) <= most:
            raise PydanticCustomError("range", f"outside 0 to {most:.0e}", {"expected": expected})
        return value

    return AfterValidator(check)


Units = Annotated[Amount, _at_most(MOST_UNITS, "token units, such as 1.5, not base units")]
Gwei = Annotated[Amount, _at_most(MOST_GWEI, "gwei, such as 30, not wei")]


def _seconds(value: Any) -> float:
    """Unix seconds with their fraction, which tells the order of what was seen within one."""
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
            value = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value / 1000 if value > MOST_SECONDS else float(value)
            if 0 <= seconds <= MOST_SECONDS:
                return seconds
    except (ValueError, OverflowError):
        pass
    raise PydanticCustomError("time_form", "Input should be a time")


_TIME = {"anyOf": [{"type": "number"}, {"type": "string", "format": "date-time"}]}
When = Annotated[float, BeforeValidator(_seconds), WithJsonSchema(_TIME)]
"""Unix seconds or milliseconds, or RFC 3339; UTC where it names no zone."""


class AskedTransaction(BaseModel):
    """A transaction as somebody saw it; of the amount and the hash one is needed, every other field may be missing."""

    # Fields that we do not know are told by a warning.
    model_config = ConfigDict(
        extra="allow", alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )

    hash: Identifier | None = Field(None, validation_alias=AliasChoices("hash", "txHash", "tx_hash", "transactionHash"))
    """The target's findings are looked up by it; transactions with one hash are one, of several swaps."""
    amount: Units | None = None
    """Of the token sold, in token units."""
    amount_out: Units | None = None
    """Of the token bought."""
    gas_price: Gwei | None = None
    """Gwei."""
    timestamp: When | None = None
    from_address: Identifier | None = Field(None, validation_alias=AliasChoices("fromAddress", "from"))
    """Who signed it."""
    to_address: Identifier | None = Field(None, validation_alias=AliasChoices("toAddress", "to"))
    """Whom it called."""
    token_in: Token | None = None
    """The token sold: its symbol or address."""
    token_out: Token | None = None
    token_pair: Annotated[str, StringConstraints(min_length=1, max_length=160)] | None = None
    """Sold/bought, in place of `tokenIn` and `tokenOut`; with the direction `buy` it is the other way round."""
    direction: Literal["buy", "sell"] | None = None
    """Of the pair's first token."""
    pool: Identifier | None = None
    protocol: Annotated[str, StringConstraints(max_length=64)] | None = None
    block_number: Uint64 | None = None
    transaction_index: Uint64 | None = Field(None, validation_alias=AliasChoices("transactionIndex", "index"))
    """Its place in its block."""
    log_index: Uint64 | None = None
    status: Flag | None = None
    """0: it was reverted, and did nothing."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.amount is None and self.hash is None:
            expected = "`amount` in token units, or `hash`"
            raise PydanticCustomError("nothing", "without an amount and without a hash", {"expected": expected})
        if self.__pydantic_extra__:
            # Only which they are matters, and they may be of any size and depth.
            names = list(self.__pydantic_extra__)[:MOST_UNKNOWN]
            self.__pydantic_extra__ = {name[:64]: True for name in names}
        return self


class DetectMev(BaseModel):
    """Whether the target is part of MEV among the transactions around it."""

    op: Literal["detect_mev"]
    chain_id: Uint64 = 1
    target_tx: AskedTransaction
    surrounding_txs: Annotated[list[AskedTransaction], Field(max_length=MOST_TRANSACTIONS)] = []
    known_blocks: Annotated[list[Uint64], Field(max_length=100)] = []
    """Blocks whose findings name the target's hash, as the asker read in the index."""


class Gain(BaseModel, use_attribute_docstrings=True):
    """What the attacker was left with of one token, before gas; negative is a loss. In the form in which the amounts were told."""

    token: Token
    amount: str | None = None
    """Token units, where the question told the amounts."""
    amount_raw: str | None = None
    """Base units, where the chain did."""


class MevAnswer(BaseModel, use_attribute_docstrings=True):
    """What can be said of the target; `basis` says from what."""

    is_mev: bool
    """Whether a finding or a pattern names the target; how far to trust that says `confidence`."""
    mev_type: Kind | None = None
    confidence: Annotated[float, Field(ge=0, le=1)]
    """In `is_mev`, whichever it is: a rule's score, no probability. Below 0.5 where nobody told who traded."""
    evidence: list[str]
    """Sentences."""
    basis: Literal["table", "detector", "pattern", "nothing"]
    """What the mev agent found in the block; the detectors on a block made of the question; what amounts, times and prices
    allow; nothing to go by."""
    role: Literal["front", "victim", "back", "part"] | None = None
    """Of the target; `part` where the kind has no front and back."""
    roles: dict[str, list[str]] = {}
    """Role → transactions: as the question names them (`targetTx`, `surroundingTxs[3]`), or hashes where the table told."""
    profit: list[Gain] = []
    """The attacker's; empty where it cannot be known."""
    findings: list[Finding] = []
    """Those of the table that name the target."""
    unknown: dict[str, str]
    """Field → what follows from its being unknown."""
    warnings: list[Fault]
    model: str
    """The detector, or the rules of patterns."""
