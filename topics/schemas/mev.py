"""What the MEV detectors find."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from topics.schemas.fields import Address, Amount, Hash, PoolId, Raw, Token, Uint64

Kind = Literal["sandwich", "liquidation", "jit", "arbitrage", "backrun", "frontrun"]
"""Every kind of finding: the one list of them."""

RoleName = Literal["searcher", "contract", "victim", "borrower", "builder"]
"""Who signed the attacker's transactions; which contract traded for it; who signed what was attacked; whose loan was
closed; who was paid for the block."""


class TokenAmount(BaseModel):
    """An amount of one token in base units; negative is a loss."""

    token: Token
    amount_raw: Raw


class Loss(BaseModel):
    """What a victim received less than without the front, in base units of the token it bought."""

    transaction_hash: Hash
    pool: PoolId
    token: Token
    amount_raw: Raw


class Role(BaseModel):
    """Who somebody was in a finding."""

    address: Address
    role: RoleName


class Step(BaseModel, use_attribute_docstrings=True):
    """One exchange on the way of an arbitrage, or a loan repaid for collateral. Base units; left out where unknown."""

    transaction_hash: Hash
    pool: PoolId
    """The pool, or the market of a loan."""
    protocol: str | None = None
    token_in: Token
    """What went in: sold, or repaid."""
    token_out: Token
    """What came out: bought, or seized."""
    amount_in_raw: Raw | None = None
    amount_out_raw: Raw | None = None


class Price(BaseModel, use_attribute_docstrings=True):
    """At what price a token was valued in the chain's native coin: that of the deepest pool which the block tells of."""

    token: Token
    wei: Amount
    """Wei for one base unit of the token."""
    pools: list[PoolId]
    """Where the price is from: one pool against the native coin, or two with a token between."""
    source: Literal["reserves", "sqrt_price", "swap"]
    """The weakest of what told it: a pool's reserves or price at the end of the block, or the amounts of a swap."""


class Finding(BaseModel, use_attribute_docstrings=True):
    """One MEV bundle in one block, or of a sandwich in two neighbouring ones: a value of mev.findings.

    `id` is the same in every revision of the block, so the newest `revision` of an id is its state. `provisional` comes from a
    partial block, `final` from a complete one (of two, from two), and `retracted` takes an earlier one back.
    """

    id: str
    chain_id: Uint64
    block_number: Uint64
    """The block; of two the second, as in what else is said of the block."""
    block_hash: Hash | None = None
    block_timestamp: Uint64 | None = None
    blocks: list[Uint64] = []
    """Where front and back are in two blocks: both; else none."""
    revision: Uint64
    """The block's; of two the sum of theirs, which rises whichever of them changes."""
    status: Literal["provisional", "final", "retracted"]
    kind: Kind
    front: list[Hash] = []
    """The attacker's transactions before the victims: of a sandwich, a front-run, and the liquidity added of a JIT."""
    victims: list[Hash] = []
    """What was attacked or followed."""
    back: list[Hash] = []
    """The attacker's transactions behind the victims: of a sandwich, a back-run, and the liquidity removed of a JIT."""
    transactions: list[Hash] = []
    """The transaction of a kind that needs no victim: arbitrage and liquidation."""
    attackers: list[Address]
    """Signers first, then the contracts that they share."""
    roles: list[Role] = []
    pools: list[PoolId]
    protocols: list[str]
    path: list[Step] = []
    """Of an arbitrage its swaps in order, of a liquidation the loan."""
    profit: list[TokenAmount]
    """What the attacker was left with, by token, before gas and builder payment."""
    losses: list[Loss] = []
    profit_wei: Raw | None = None
    """`profit` in wei, by `prices`; left out where a token has no price in the block."""
    prices: list[Price] = []
    """At what each token of `profit` other than the native coin was valued."""
    gas_cost_wei: Raw | None = None
    """Gas of the attacker's own transactions; left out where a price or amount of gas is unknown."""
    builder_payment_wei: Raw | None = None
    """Priority fees and transfers to the builder of the same transactions; left out where any of them is unknown."""
    net_profit_wei: Raw | None = None
    """`profit_wei` less gas and transfers to the builder; left out where any of them is unknown."""
    related: list[str] = []
    """Other findings of the block that tell of the same transactions: who adds profits up counts one of them."""
    confidence: Annotated[float, Field(ge=0, le=1)]
    evidence: list[str]
    model: str

    def named(self) -> list[str]:
        """Every transaction of the finding, whatever its part in it, once each."""
        return list(dict.fromkeys((*self.transactions, *self.front, *self.victims, *self.back)))

    def place(self) -> str:
        """Where it is, in words."""
        return f"blocks {' and '.join(map(str, self.blocks))}" if self.blocks else f"block {self.block_number}"

    def parties(self) -> list[str]:
        """Every address that had a part in it, attackers first, once each; not the builder, who is paid in most blocks."""
        others = (one.address for one in self.roles if one.role != "builder")
        return list(dict.fromkeys((*self.attackers, *others)))
