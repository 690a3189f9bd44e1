"""Uniswap V4: every pool lives in one PoolManager and is told by its id, the hash of its key.

Source: IPoolManager.sol of Uniswap/v4-core, IPositionManager.sol of v4-periphery. Amounts of a Swap are the swapper's, so positive
came out: the other way round than in V3. The native coin is the zero address. A key proves itself by its hash, whoever tells it:
an Initialize log, a node, or, where a pool has no hooks and a usual fee, the tokens that its transaction moved.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import combinations
from typing import Any

from eth_hash.auto import keccak

from ingest.deployments import MAX_CANDIDATES, Pool
from ingest.facts import Answers, Family, PoolFacts, Question, Request, Wanted, call
from ingest.parts import Log
from ingest.protocols.base import (
    Context,
    Decoder,
    Fields,
    Undecoded,
    amount,
    is_tick,
    party,
    signed,
    traded,
    word,
    words,
)
from topics.schemas.native import ZERO

INITIALIZE = "0xdd466e674ea557f56295e2d0218a125ea4b4f0f6f3307b95f85e6110838d6438"
PLAIN = {3000: 60, 500: 10, 10000: 200, 100: 1}
"""The usual fees, hundredths of a basis point, with their tick spacing."""
POSITION_MANAGERS = {
    "0x000000000004444c5dc75cb358380d2e3de08a90": "0xbd216513d74c8cf14cf4747e6aaa6420ff64ee9e",  # Ethereum
    "0x1f98400000000000000000000000000000000004": "0x4529a01c7a0410167c5740c487a8de60232617bf",  # Unichain
    "0x9a13f98cb987694c9f086b1f5eb990eea8264ec3": "0x3c3ea4b57a46241e54610e5f022e5c45859a1017",  # Optimism
    "0x498581ff718922c3f8e6a244956af099b2652b2b": "0x7c5f5a4bbd8fd63184577525326123b519429bdc",  # Base
    "0x360e68faccca8ca495c1b759fd9eee466db9fb32": "0xd88f38f930b7952f2db2432cb002e7abbf3dd869",  # Arbitrum
    "0x67366782805870060151383f4bbff9dab53e5cd6": "0x1ec2ebf4f37e7363fdfe3551602425af0b3ceef9",  # Polygon
    "0x28e2ea090877bf75740558f6bfb36a5ffee9e9df": "0x7a4a5c919ae2541aed11041a1aeee68f1287f95b",  # BNB Chain
}
"""PoolManager → PositionManager, which keeps the key of each pool that it made a position in."""


def swap(log: Log, context: Context) -> Fields | Undecoded:
    """Swap(id indexed, sender indexed, amount0, amount1, sqrtPriceX96, liquidity, tick, fee)."""
    data = log.data
    if len(log.topics) != 3 or words(data) != 6 or not is_tick(signed(data, 4)):
        return Undecoded.BAD_LAYOUT
    net0, net1 = -signed(data, 0), -signed(data, 1)
    if net0 == 0 or net1 == 0 or (net0 > 0) == (net1 > 0):
        return Undecoded.ONE_SIDED
    pool = _find(log, context, (word(data, 5),))
    if pool is None:
        return Undecoded.UNKNOWN_POOL
    return {
        "event_type": "swap",
        "protocol": pool.protocol,
        "pool": log.topics[1],
        "sender": party(log.topics[2]),
        **traded(pool, net0, (net0, net1), (-net0, -net1)),
        "sqrt_price_x96": amount(data, 2),
        "liquidity": amount(data, 3),
        "tick": signed(data, 4),
    }


def modify(log: Log, context: Context) -> Fields | Undecoded:
    """ModifyLiquidity(id indexed, sender indexed, tickLower, tickUpper, liquidityDelta, salt); one of 0 settles fees.

    It tells liquidity, not amounts: those follow from the price.
    """
    data = log.data
    if len(log.topics) != 3 or words(data) != 4 or not is_tick(signed(data, 0), signed(data, 1)):
        return Undecoded.BAD_LAYOUT
    delta, pool = signed(data, 2), _find(log, context, PLAIN)
    owner = party(log.topics[2])
    return {
        "event_type": "mint" if delta > 0 else "burn",
        "protocol": "uniswap_v4",
        "pool": log.topics[1],
        **({"token0": pool.token0, "token1": pool.token1} if pool else {}),
        "sender": owner,
        "owner": owner,
        "tick_lower": signed(data, 0),
        "tick_upper": signed(data, 1),
        "liquidity": str(abs(delta)),
        "salt": "0x" + data[194:258].lower(),
    }


def initialize(log: Log, context: Context) -> Undecoded:
    """Initialize(id indexed, currency0 indexed, currency1 indexed, fee, tickSpacing, hooks, sqrtPriceX96, tick)."""
    if len(log.topics) != 4 or words(log.data) != 5:
        return Undecoded.BAD_LAYOUT
    facts = _proven(log.topics[1], log.topics[2][2:] + log.topics[3][2:] + log.data[2:194])
    if facts is None:
        return Undecoded.BAD_LAYOUT
    context.pools.facts.pools[log.topics[1]] = facts
    return Undecoded.NO_EVENT


def _find(log: Log, context: Context, fees: Iterable[int]) -> Pool | None:
    """The pool; `fees` are those it may have."""
    id, manager = log.topics[1], log.address
    facts = context.pools.facts.pools.get(id)
    if facts is None or not facts.token0 or not facts.token1:
        facts = plain_pool(id, context.pools.touching(log, manager) | {ZERO}, tuple(fees))
    if facts is None or not facts.token0 or not facts.token1:
        context.pools.want("uniswap_v4", id, manager)
        return None
    return Pool("uniswap_v4", facts.token0.lower(), facts.token1.lower())


@lru_cache(maxsize=65_536)
def plain_pool(id: str, tokens: frozenset[str], fees: tuple[int, ...]) -> PoolFacts | None:
    """The pool without hooks, of a usual fee and between two of `tokens`, whose id this is."""
    for token0, token1 in _pairs(tokens):
        for fee in PLAIN.keys() & fees:
            key = f"{token0[2:]:0>64}{token1[2:]:0>64}{fee:064x}{PLAIN[fee]:064x}{0:064x}"
            if facts := _proven(id, key):
                return facts
    return None


def _pairs(tokens: frozenset[str]) -> Iterable[tuple[str, str]]:
    return combinations(sorted(tokens), 2) if len(tokens) <= MAX_CANDIDATES else ()


def _proven(id: str, key: str) -> PoolFacts | None:
    """Facts of the pool with this key (five words of hex), if `id` is its hash."""
    if keccak(bytes.fromhex(key)).hex() != id[2:]:
        return None
    return PoolFacts(protocol="uniswap_v4", token0="0x" + key[24:64].lower(), token1="0x" + key[88:128].lower())


def _requests(wanted: Wanted) -> list[Request]:
    filter = {
        "address": wanted.contract,
        "topics": [INITIALIZE, wanted.subject],
        "fromBlock": "0x0",
        "toBlock": "latest",
    }
    asked = [Request("eth_getLogs", [filter])]
    manager = POSITION_MANAGERS.get(wanted.contract)
    if manager is not None:
        asked.append(call(manager, "poolKeys(bytes25)", wanted.subject[:52].ljust(66, "0")))
    return asked


def _read(wanted: Wanted, answers: Answers) -> PoolFacts | None:
    for answer in answers:
        for key in _keys(answer):
            try:
                facts = _proven(wanted.subject, key)
            except ValueError:  # no hex
                continue
            if facts is not None:
                return facts
    return None


def _keys(answer: Any) -> Iterable[str]:
    """Keys that a node told: five words as poolKeys returns them, or those of Initialize logs."""
    if isinstance(answer, str) and len(answer) == 322:
        yield answer[2:]
    if isinstance(answer, list):
        for log in answer:
            match log:
                case {"topics": [_, _, str(token0), str(token1)], "data": str(data)}:
                    yield token0[2:] + token1[2:] + data[2:194]


DECODERS: dict[str, Decoder] = {
    "0x40e9cecb9f5f1f1c5b9c97dec2917b7ee92e57ba5563708daca94dd84ad7112f": swap,
    "0xf208f4912782fd25c7f114ca3723a2d5dd6f3bcc3ac8db5af63baa85f711d5ec": modify,
    INITIALIZE: initialize,
}
QUESTIONS: dict[Family, Question] = {"uniswap_v4": Question(_requests, _read)}
