"""Curve: stable pools, crypto pools and their later kinds, which number their coins where others name them.

Source: the Vyper contracts of curvefi/curve-contract, curve-factory, curve-crypto-contract, stableswap-ng, tricrypto-ng and
twocrypto-ng. Which token a number means is asked for; until that is known, a swap whose two legs equal one transfer in and one
out exactly tells it too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from eth_hash.auto import keccak

from ingest.facts import Answers, Family, PoolFacts, Question, Request, Wanted, address_of, call, native
from ingest.parts import Log
from ingest.protocols.base import Context, Decoder, Fields, Undecoded, listed, parts, party, swapped, word, words
from topics.schemas.native import ZERO

MAX_COINS = 8
META_REGISTRY = "0xf98b45fa17de75fb1ad0e7afd971b0ca00e379fc"
"""Curve's own, on Ethereum: it alone knows what a factory's metapool is made of."""

_WETH, _WBTC = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599"
_USDC, _USDT = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", "0xdac17f958d2ee523a2206206994597c13d831ec7"
POOLS: dict[str, tuple[str, ...]] = {
    "0xbebc44782c7db0a1a60cb6fe97d0b483032ff1c7": ("0x6b175474e89094c44da98b954eedeac495271d0f", _USDC, _USDT),
    "0xdc24316b9ae028f1497c275eb9192a3ea0f67022": (ZERO, "0xae7ab96520de3a18e5e111b5eaab095312d7fe84"),  # stETH
    "0xc5424b857f758e906013f3555dad202e4bdb4567": (ZERO, "0x5e74c9036fb86bd7ecdcb084a0673efc32ea31cb"),  # sETH
    "0xd51a44d3fae010294c616388b506acda1bfaae46": (_USDT, _WBTC, _WETH),
    "0x7f86bf177dd4f3494b841a37e810a34dd56c829b": (_USDC, _WBTC, _WETH),
    "0xf5f5b97624542d72a9e06f04804bf81baa15e2b4": (_USDT, _WBTC, _WETH),
    "0x8301ae4fc9c624d1d396cbdaa1ed877821d7c511": (_WETH, "0xd533a949740bb3306d119cc777fa900ba034cd52"),  # CRV
    "0xb576491f1e6e5e62f1d8f26062ee822b40b0e0d4": (_WETH, "0x4e3fbd56cd56c3e72c1403e103b45db9da5b9d2b"),  # CVX
}
"""Large pools on Ethereum that pay in ether, which leaves no transfer: their coins, so that they need no node."""


def swap(log: Log, context: Context, underlying: bool = False) -> Fields | Undecoded:
    """TokenExchange(buyer indexed, sold_id, tokens_sold, bought_id, tokens_bought[, fee, price_scale])."""
    data = log.data
    if len(log.topics) != 2 or words(data) not in (4, 6):
        return Undecoded.BAD_LAYOUT
    pool, amounts = log.address, (word(data, 1), word(data, 3))
    coins, sold, bought = _coins(log, context, underlying), word(data, 0), word(data, 2)
    if sold < len(coins) and bought < len(coins):
        legs: tuple[str | None, str | None] = coins[sold], coins[bought]
    else:
        legs = context.pools.sold(log, pool, amounts[0]), context.pools.bought(log, pool, amounts[1])
    if legs[0] is None or legs[1] is None:
        return Undecoded.UNKNOWN_POOL
    return swapped("curve", pool, (legs[0], legs[1]), amounts, sender=party(log.topics[1]))


def moved(log: Log, context: Context, event_type: str, coins: int, length: int) -> Fields | Undecoded:
    """AddLiquidity, RemoveLiquidity, RemoveLiquidityImbalance: amounts by coin come first, then fees, invariant, supply."""
    if len(log.topics) != 2 or words(log.data) != length:
        return Undecoded.BAD_LAYOUT
    return _liquidity(log, context, event_type, [word(log.data, at) for at in range(coins)])


def moved_list(log: Log, context: Context, event_type: str) -> Fields | Undecoded:
    """The same of pools that log dynamic arrays (stableswap-ng)."""
    amounts = listed(log.data, 0) if len(log.topics) == 2 and words(log.data) > 2 else None
    if not amounts or len(amounts) > MAX_COINS:
        return Undecoded.BAD_LAYOUT
    return _liquidity(log, context, event_type, amounts)


def one(log: Log, context: Context, length: int, places: Sequence[tuple[int, int | None]]) -> Fields | Undecoded:
    """RemoveLiquidityOne: one coin leaves.

    `places` are where its amount may stand, and its number where there is one: older kinds log no number, and one layout is of
    two kinds. There the coin is the one of which exactly that much left the pool.
    """
    if len(log.topics) != 2 or words(log.data) != length:
        return Undecoded.BAD_LAYOUT
    pool, coins = log.address, _coins(log, context)
    found: set[tuple[str, int]] = set()
    for at, number_at in places:
        amount = word(log.data, at)
        number = word(log.data, number_at) if number_at is not None else None
        if len(places) == 1 and number is not None and number < len(coins):
            found.add((coins[number], amount))
        elif amount and (token := context.pools.bought(log, pool, amount)):
            found.add((token, amount))
    fields: Fields = {"event_type": "burn", **_pool(log)}
    if len(found) == 1:
        ((fields["token_out"], left),) = found
        fields["amount_out_raw"] = str(left)
    return fields


def _liquidity(log: Log, context: Context, event_type: str, amounts: list[int]) -> Fields:
    coins = _coins(log, context)
    return {"event_type": event_type, **_pool(log), **parts(coins if len(coins) == len(amounts) else (), amounts)}


def _pool(log: Log) -> Fields:
    provider = party(log.topics[1])
    return {"protocol": "curve", "pool": log.address, "sender": provider, "owner": provider}


def _coins(log: Log, context: Context, underlying: bool = False) -> list[str]:
    """The coins by number, empty where they are unknown."""
    pool = log.address
    facts = context.pools.facts.pools.get(pool)
    if facts is None:
        if context.chain_id == 1 and pool in POOLS and not underlying:
            return list(POOLS[pool])
        context.pools.want("curve", pool, pool)
        return []
    return [native(token.lower()) for token in (facts.underlying if underlying else facts.tokens)]


_ASKED = (
    "coins(uint256)",
    "coins(int128)",
    "underlying_coins(int128)",
    "underlying_coins(uint256)",
    "base_coins(uint256)",
)


def _requests(wanted: Wanted) -> list[Request]:
    pool = wanted.subject
    asked = [call(pool, name, number) for name in _ASKED for number in range(MAX_COINS)]
    return [*asked, call(META_REGISTRY, "get_underlying_coins(address)", pool)]


def _read(wanted: Wanted, answers: Answers) -> PoolFacts | None:
    lists = [_listed(answers[at : at + MAX_COINS]) for at in range(0, MAX_COINS * len(_ASKED), MAX_COINS)]
    coins = lists[0] or lists[1]
    if len(coins) < 2:
        return None
    underlying = lists[2] or lists[3] or (lists[4] and [coins[0], *lists[4]]) or _array(answers[-1])
    return PoolFacts(protocol="curve", tokens=coins, underlying=underlying)


def _listed(answers: Answers) -> list[str]:
    """The addresses up to the first that is none."""
    found: list[str] = []
    for answer in answers:
        coin = address_of(answer)
        if coin is None:
            break
        found.append(native(coin))
    return found


def _array(answer: Any) -> list[str]:
    """The same of one answer that returned all of them."""
    if not isinstance(answer, str) or words(answer) != MAX_COINS:
        return []
    return _listed(["0x" + answer[2 + 64 * at : 66 + 64 * at] for at in range(MAX_COINS)])


def _topic(signature: str) -> str:
    return "0x" + keccak(signature.encode()).hex()


def _decoders() -> dict[str, Decoder]:
    u = "uint256"
    found: dict[str, Callable[..., Fields | Undecoded]] = {
        f"TokenExchange(address,int128,{u},int128,{u})": swap,
        f"TokenExchange(address,{u},{u},{u},{u})": swap,
        f"TokenExchange(address,{u},{u},{u},{u},{u},{u})": swap,
        f"TokenExchangeUnderlying(address,int128,{u},int128,{u})": partial(swap, underlying=True),
        f"TokenExchangeUnderlying(address,{u},{u},{u},{u})": partial(swap, underlying=True),
        f"AddLiquidity(address,{u}[],{u}[],{u},{u})": partial(moved_list, event_type="mint"),
        f"RemoveLiquidity(address,{u}[],{u}[],{u})": partial(moved_list, event_type="burn"),
        f"RemoveLiquidityImbalance(address,{u}[],{u}[],{u},{u})": partial(moved_list, event_type="burn"),
        f"RemoveLiquidityOne(address,{u},{u})": partial(one, length=2, places=((1, None),)),
        f"RemoveLiquidityOne(address,{u},{u},{u})": partial(one, length=3, places=((1, None), (2, None))),
        f"RemoveLiquidityOne(address,int128,{u},{u},{u})": partial(one, length=4, places=((2, 0),)),
        f"RemoveLiquidityOne(address,{u},{u},{u},{u},{u})": partial(one, length=5, places=((2, 1),)),
    }
    for n in (2, 3, 4):
        many = f"{u}[{n}]"
        add, take = partial(moved, event_type="mint", coins=n), partial(moved, event_type="burn", coins=n)
        found |= {
            f"AddLiquidity(address,{many},{many},{u},{u})": partial(add, length=2 * n + 2),
            f"AddLiquidity(address,{many},{u},{u})": partial(add, length=n + 2),
            f"AddLiquidity(address,{many},{u},{u},{u})": partial(add, length=n + 3),
            f"RemoveLiquidity(address,{many},{many},{u})": partial(take, length=2 * n + 1),
            f"RemoveLiquidity(address,{many},{u})": partial(take, length=n + 1),
            f"RemoveLiquidityImbalance(address,{many},{many},{u},{u})": partial(take, length=2 * n + 2),
        }
    return {_topic(signature): decoder for signature, decoder in found.items()}


DECODERS: dict[str, Decoder] = _decoders()
QUESTIONS: dict[Family, Question] = {"curve": Question(_requests, _read)}
