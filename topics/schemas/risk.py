"""Swap requests that somebody wants assessed, and what is said of their risk."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

from topics.schemas.fields import Amount, Int64, Time, Uint64, Unfit
from topics.schemas.requests import Fault
from topics.schemas.wallet import Exposure, Level, Share, Unjudged, WalletRisk, Warned

MOST_REQUESTS = 5_000
"""In one array."""

Identifier = Annotated[str, StringConstraints(pattern=r"^\S+$", max_length=128)]
"""An address or a hash; it may be abbreviated (`0x123...abc`), which names nothing and is told."""


class SwapRequest(BaseModel):
    """A swap before it is made: the `transaction` of POST /api/python/fraud/assess-risk. snake_case is taken too."""

    # Fields that we do not know are told by a warning.
    model_config = ConfigDict(
        extra="allow",
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )

    tx_hash: Identifier | None = None
    from_address: Identifier
    to_address: Identifier | None = None
    """None for a contract creation."""
    amount: Amount
    """Of the token sold, the first of the pair; the chain's own coin where there is no pair."""
    token_pair: Annotated[str, StringConstraints(min_length=1, max_length=160)] | None = None
    """Sold/bought: `ETH/USDC`, symbols or addresses."""
    timestamp: Time | None = None
    gas_price: Amount | None = None
    """Gwei."""
    slippage: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None = None
    """A fraction: 0.005 is 0.5 %."""
    route_length: Int64 | None = None
    """Pools that the swap goes through."""
    contract_interaction: Annotated[bool, Field(strict=True)] | None = None
    chain_id: Uint64 = 1


_Unfit = SkipJsonSchema[Annotated[Any, AfterValidator(Unfit)]]
_Element = Annotated[SwapRequest | _Unfit, Field(union_mode="left_to_right")]
_Elements = Annotated[list[_Element], Field(max_length=MOST_REQUESTS)]
SwapRequests = Annotated[SwapRequest | _Elements | _Unfit, Field(union_mode="left_to_right")]
"""A value of swap.requests: one, or an array in which each that is none is refused alone."""
REQUEST: TypeAdapter[SwapRequest] = TypeAdapter(SwapRequest)


class Result(BaseModel, use_attribute_docstrings=True):
    """Fields are described where they stand."""


class Reason(Result):
    """What a feature of a wallet adds to its score."""

    feature: str
    value: float | None = None
    """None where it is not known."""
    adds: float
    """In log-odds, before calibration (TreeSHAP)."""


class Party(Result):
    """One side of a request, judged by what it did itself: who pays a fraud is not one."""

    address: str
    known: Literal["profile", "first_contact", "not_an_address"] | Unjudged
    """By its past, by this request alone, or not at all: an abbreviation, a contract, a router that everybody uses, nobody."""
    evidence: Uint64
    """How many moves the judgement rests on, this request included on first contact."""
    level: Level
    probability: Share | None = None
    """Of being a fraud's wallet, calibrated, by behaviour alone."""
    anomaly: Share | None = None
    """How unusual it is among ordinary wallets, as a rank: no probability. From `medium` up."""
    lists: list[str] = []
    """Lists that name the address."""
    exposure: Exposure | None = None
    """What it dealt with listed addresses; left out where that is nothing, or not known."""
    reasons: list[Reason] = []
    """What raises `probability` most; from `medium` up."""
    behaviour: str | None = None
    """The kind of wallet that it is like, in words (HDBSCAN); from `medium` up."""


class Assessment(Result):
    """The risk of one swap request: a value of risk.scores."""

    kind: Literal["request"]
    id: str
    """The header `request_id`, else partition:offset; `:index` behind it for one of an array."""
    revision: Uint64
    """The request's offset in swap.requests."""
    status: Literal["final"]
    chain_id: Uint64
    transaction_hash: str | None = None
    from_address: str
    to_address: str | None = None
    token_pair: str | None = None
    amount: str
    timestamp: Uint64 | None = None
    """Unix seconds, as the request says."""
    risk_score: Share
    """The largest of both parties' risks and of what the rules about the request say."""
    risk_level: Level
    is_suspicious: bool
    """Whether the level is high or critical."""
    alerts: list[Warned]
    probability: Share | None = None
    """The larger one of the parties'; left out where no model judged either."""
    evidence: Uint64
    """That of the party whose risk is larger; the sender's where they are equal."""
    risk_to_receiver: Share | None = None
    """The sender's own risk; left out where it is not judged. On first contact its probability, on the scale of known wallets."""
    risk_to_sender: Share | None = None
    """The counterparty's risk; left out where it is not judged."""
    sender: Party
    receiver: Party | None = None
    unknown: dict[str, str]
    """Field → what is not known of it, and what that means."""
    warnings: list[Fault]
    model: str
    """The trained model, or the rules where none judged."""
    lists_version: str = ""
    """The lists that it was assessed by: their mark, as workers and `soba lists show` tell it."""
    stale: bool = False
    """Whether the model has expired."""
    processed_at: float
    """Unix seconds."""


Risk = Annotated[Assessment | WalletRisk, Field(discriminator="kind")]
"""A value of risk.scores."""


class RiskAnswer(Result):
    """The answer to one who waits: an assessment, or why the request is refused."""

    assessment: Assessment | None = None
    errors: list[Fault] = []
    repeated: bool = False
    """Whether it was assessed before, under the same id."""
