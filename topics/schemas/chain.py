"""Chain events, the block envelope that carries them, and the views validate cuts from a block.

An event is flat: the 14 fields of contracts/http.md, whatever its type, and beside them what a decoded log adds (pool, base
units, ticks, reserves). Which fields a type needs is part of its class here or a rule in `models.chain.rules` (one of two forms
of an amount). A value that is unknown is left out on the wire and None here.
"""

from __future__ import annotations

from typing import (
    Annotated,
    Literal,
    Required,  # pydantic takes typing's only from Python 3.12 on
)

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from topics.schemas.fields import Address, Amount, Flag, Hash, Int64, PoolId, Raw, Selector, Time, Token, Uint64


class Base(BaseModel):
    """Fields we do not know are collected, not refused: validate warns of them and leaves them out."""

    # What is said below a field goes into its JSON Schema.
    model_config = ConfigDict(extra="allow", protected_namespaces=(), use_attribute_docstrings=True)


class EventBase(Base):
    """What every event may carry. `block_number` and `chain_id` come from the envelope inside one."""

    event_id: Annotated[str, Field(max_length=256)] | None = None
    chain_id: Uint64 | None = None
    block_number: Uint64 | None = None
    block_hash: Hash | None = None
    timestamp: Time | None = None
    transaction_hash: Hash
    transaction_index: Uint64 | None = None
    log_index: Uint64 | None = None
    contract_address: Address | None = None
    """The contract that emitted the log."""
    from_address: Address | None = None
    to_address: Address | None = None
    gas_used: Int64 | None = None
    gas_price: Amount | None = None
    """Gwei."""
    observed_at: Time | None = None
    protocol: Annotated[str, Field(max_length=64)] | None = None


class MovedAmounts(EventBase):
    """The 14-field form of what went in and out: `token_in`/`amount_in` is the token sold, moved, repaid."""

    token_in: Token | None = None
    token_out: Token | None = None
    amount_in: Amount | None = None
    amount_out: Amount | None = None
    amount_in_raw: Raw | None = None
    amount_out_raw: Raw | None = None


class Swap(MovedAmounts):
    """One swap in one pool. Amounts are what the pool received (in) and paid (out)."""

    event_type: Literal["swap"]
    token_in: Token
    token_out: Token
    pool: PoolId | None = None
    sender: Address | None = None
    recipient: Address | None = None
    maker: Address | None = None
    """Who filled the order, where no pool did."""
    sqrt_price_x96: Raw | None = None
    liquidity: Raw | None = None
    tick: Int64 | None = None


class Transfer(MovedAmounts):
    """ERC-20 and ERC-721 `transfer`, WETH `deposit` and `withdrawal`: `token_in` moves from `from_address` to `to_address`."""

    event_type: Literal["transfer", "deposit", "withdrawal"]
    token_id: Raw | None = None
    """Which one moved, of an ERC-721 collection: `token_in` is the collection, `amount_in_raw` is 1."""


class Sync(EventBase):
    """A pool's reserves after a change, base units of its two tokens."""

    event_type: Literal["sync"]
    pool: PoolId
    token0: Token | None = None
    token1: Token | None = None
    reserve0_raw: Raw
    reserve1_raw: Raw


class Liquidity(MovedAmounts):
    """Liquidity added (`mint`), removed (`burn`) or fees taken (`collect`).

    Where a log tells of one token alone, `token_in`/`amount_in_raw` is what a mint brought, `token_out`/`amount_out_raw` what
    a burn took.
    """

    event_type: Literal["mint", "burn", "collect"]
    pool: PoolId | None = None
    token0: Token | None = None
    token1: Token | None = None
    amount0_raw: Raw | None = None
    amount1_raw: Raw | None = None
    tokens: Annotated[list[Token], Field(max_length=64)] | None = None
    """The tokens of a pool that has not two, by their number."""
    amounts_raw: Annotated[list[Raw], Field(max_length=64)] | None = None
    """What moved of each of `tokens`."""
    liquidity: Raw | None = None
    tick_lower: Int64 | None = None
    tick_upper: Int64 | None = None
    sender: Address | None = None
    owner: Address | None = None
    salt: Hash | None = None
    """Uniswap V4: tells positions of one owner and range apart; the position manager's is the number of its NFT."""
    recipient: Address | None = None


class Liquidation(MovedAmounts):
    """A loan closed by force: `from_address` liquidates `to_address`; debt goes in, collateral comes out.

    Where a protocol logs the two sides one by one (Compound V3), each is an event of its own with one side. Collateral that is
    handed over as a share of a lending pool (Compound V2) is named as that share.
    """

    event_type: Literal["liquidation"]
    market: PoolId | None = None
    """Where the debt stood: the lending pool, the debt's cToken, the Comet, or the market's id (Morpho)."""


Event = Annotated[Swap | Transfer | Sync | Liquidity | Liquidation, Field(discriminator="event_type")]


class Transaction(Base):
    """A transaction of a block; only its hash and index are always known."""

    hash: Hash
    index: Uint64
    from_address: Address | None = None
    to_address: Address | None = None
    """None for a contract creation."""
    value_wei: Raw | None = None
    gas_limit: Uint64 | None = None
    gas_used: Uint64 | None = None
    gas_price_wei: Uint64 | None = None
    """The effective price paid for each gas."""
    selector: Selector | None = None
    status: Flag | None = None
    coinbase_transfer_wei: Raw | None = None
    """Paid to the builder inside the transaction, where traces told."""


class Header(Base):
    """A block without its events. `base_fee` is wei."""

    chain_id: Uint64 = 1
    number: Uint64
    status: Literal["complete", "partial", "removed"]
    revision: Uint64 = 0
    """Set by validate: the offset in chain.events of the last record that changed the block."""
    hash: Hash | None = None
    parent_hash: Hash | None = None
    timestamp: Time | None = None
    base_fee: Uint64 | None = None
    miner: Address | None = None
    transactions: list[Transaction] = []
    rejected: Uint64 = 0
    """How many elements of it went to the dead letters."""


class Block(Header):
    """The block envelope: one value of chain.blocks, and the largest form that chain.events takes."""

    events: list[Event]


class Trade(Base):
    """A swap as a market sees it, within the view of its pair: `token0 < token1`."""

    transaction_hash: Hash
    transaction_index: Uint64 | None = None
    log_index: Uint64 | None = None
    pool: PoolId | None = None
    protocol: str | None = None
    zero_for_one: bool
    """True when token0 was sold."""
    amount0: Amount | None = None
    amount1: Amount | None = None
    amount0_raw: Raw | None = None
    amount1_raw: Raw | None = None


class View(Base):
    """What one block says to the keys that one partition owns; it replaces all that the partition held of that block."""

    chain_id: Uint64
    number: Uint64 | None = None
    """None in a clock record, which only says what time it is on the chain."""
    revision: Uint64
    status: Literal["complete", "partial", "removed", "clock"]
    timestamp: int | None = None


class PairTrades(View):
    """One block's trades of the pairs of one partition."""

    pairs: dict[str, list[Trade]]
    """`chain_id:token0:token1` → trades in order; an empty list where an earlier revision had some."""


class WalletMove(TypedDict, total=False):
    """Something a wallet did or had done to it."""

    # A dict: they come by the 10,000 a second, and models of them cost three times as much to parse.

    kind: Required[Literal["transaction", "transfer", "swap"]]
    direction: Required[Literal["in", "out", "self"]]
    transaction_hash: Required[Hash]
    transaction_index: Uint64 | None
    log_index: Uint64 | None
    peer: Address | None
    token: Token | None
    amount: Amount | None
    amount_raw: Raw | None
    token_out: Token | None
    amount_out: Amount | None
    amount_out_raw: Raw | None
    value_wei: Raw | None
    gas_limit: Uint64 | None
    gas_used: Uint64 | None
    gas_price_wei: Uint64 | None
    selector: Selector | None
    status: Flag | None


class WalletActivity(View):
    """One block's activity of the wallets of one partition."""

    median_gas_price_wei: Uint64 | None = None
    wallets: dict[str, list[WalletMove]]
    """`chain_id:address` → what it did, in order; an empty list where an earlier revision had some."""
