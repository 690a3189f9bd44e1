"""Who deployed a pool, proven by its address.

Both older Uniswap families deploy pools by CREATE2: an address is keccak(0xff, factory, salt, init code hash), and the salt is
made of the sorted tokens (and the fee, in V3). So two tokens and an address prove each other, without asking a node.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Literal

from eth_hash.auto import keccak

PairFamily = Literal["uniswap_v2", "uniswap_v3"]
MAX_CANDIDATES = 12
"""A contract that more tokens touch in one block is a vault, no pair; checking all pairs would be quadratic in them."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool's protocol and tokens, lower case, `token0 < token1`."""

    protocol: str
    token0: str
    token1: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """Who deploys a protocol's pools on which chains, and the hash of their init code."""

    protocol: str
    factory: str
    init_code_hash: str
    chains: tuple[int, ...]
    fees: tuple[int, ...] = ()
    """V3 only: the fees that may be part of a salt, in hundredths of a basis point."""


_UNISWAP_V2 = "96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f"
_SUSHISWAP = "e18a34eb0e04b04f7a0ac29a6e80748dca96319b42c54d679cb821dca90c6303"
_UNISWAP_V3 = "e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54"
_PANCAKE_V3 = "6ce8eb472fa82df5469c6ab6d485f17c3ad13c8cd7af59b3d4a8026c5ce0f7e2"
_FEES = (3000, 500, 10000, 100)
DEPLOYMENTS: dict[PairFamily, tuple[Deployment, ...]] = {
    "uniswap_v2": (
        Deployment("uniswap_v2", "5c69bee701ef814a2b6a3edd4b1652cb9cc5aa6f", _UNISWAP_V2, (1,)),
        Deployment("uniswap_v2", "8909dc15e40173ff4699343b6eb8132c65e18ec6", _UNISWAP_V2, (8453,)),
        Deployment("uniswap_v2", "9e5a52f57b3038f1b8eee45f28b3c1967e22799c", _UNISWAP_V2, (137,)),
        Deployment("quickswap", "5757371414417b8c6caad45baef941abc7d3ab32", _UNISWAP_V2, (137,)),
        Deployment("sushiswap", "c0aee478e3658e2610c5f7a4a2e1777ce9e4f2ac", _SUSHISWAP, (1,)),
        Deployment("sushiswap", "c35dadb65012ec5796536bd9864ed8773abc74c4", _SUSHISWAP, (56, 137, 42161)),
        Deployment(
            "shibaswap",
            "115934131916c8b277dd010ee02de363c09d037c",
            "65d1a3b1e46c6e4f1be1ad5f99ef14dc488ae0549dc97db9b30afe2241ce1c7a",
            (1,),
        ),
        Deployment(
            "pancakeswap_v2",
            "1097053fd2ea711dad45caccc45eff7548fcb362",
            "57224589c67f3f30a6b0d7a1b54cf3153ab84563bc609ef41dfb34f8b2974d2d",
            (1,),
        ),
        Deployment(
            "pancakeswap_v2",
            "ca143ce32fe78f1f7019d7d551a6402fc5350c73",
            "00fb7f630766e6a796048ea87d01acd3068e8ff67d078148a3fa3f4a84f69bd5",
            (56,),
        ),
    ),
    "uniswap_v3": (
        Deployment("uniswap_v3", "1f98431c8ad98523631ae4a59f267346ea31f984", _UNISWAP_V3, (1, 10, 137, 42161), _FEES),
        Deployment("uniswap_v3", "33128a8fc17869897dce68ed026d694621f6fdfd", _UNISWAP_V3, (8453,), _FEES),
        Deployment("sushiswap_v3", "baceb8ec6b9355dfc0269c18bac9d6e2bdc29c4f", _UNISWAP_V3, (1,), _FEES),
        # What deploys them is not what factory() answers.
        Deployment(
            "pancakeswap_v3",
            "41ff9aa7e16b8b1a8a8dc4f0efacd93d02d071c9",
            _PANCAKE_V3,
            (1, 56, 8453, 42161),
            (2500, 500, 10000, 100),
        ),
    ),
}


@lru_cache(maxsize=65_536)
def resolve(chain_id: int, address: str, family: PairFamily, tokens: frozenset[str]) -> Pool | None:
    """The pool of `family` at `address` among pairs of `tokens`, proven by CREATE2, or None."""
    wanted = address[2:]
    deployments = [one for one in DEPLOYMENTS[family] if chain_id in one.chains]
    for token0, token1 in _pairs(tokens):
        for deployment in deployments:
            if _deploys(deployment, deployment.factory, token0, token1, wanted):
                return Pool(deployment.protocol, token0, token1)
    return None


def protocol_of(address: str, family: PairFamily, factory: str | None, token0: str, token1: str) -> str | None:
    """Whose code runs at `address`, given what the pool says of itself; None where it is no code that we know.

    A known deployment gives its name. A pool of another factory whose init code is one of theirs is that protocol too: the
    same code, so the same fees and rules.
    """
    for own in (True, False):
        for deployment in DEPLOYMENTS[family]:
            by = deployment.factory if own else factory[2:] if factory else None
            if by and _deploys(deployment, by, token0, token1, address[2:]):
                return deployment.protocol
    return None


def _deploys(deployment: Deployment, factory: str, token0: str, token1: str, wanted: str) -> bool:
    return any(
        create2(factory, salt, deployment.init_code_hash) == wanted
        for salt in _salts(token0[2:], token1[2:], deployment.fees)
    )


def _pairs(tokens: Iterable[str]) -> Iterable[tuple[str, str]]:
    held = sorted(tokens)
    return combinations(held, 2) if len(held) <= MAX_CANDIDATES else ()


def _salts(token0: str, token1: str, fees: tuple[int, ...]) -> Iterable[bytes]:
    if not fees:
        yield keccak(bytes.fromhex(token0 + token1))
    for fee in fees:
        yield keccak(bytes.fromhex(f"{token0:0>64}{token1:0>64}{fee:064x}"))


def create2(factory: str, salt: bytes, init_code_hash: str) -> str:
    """The address (hex without 0x) that `factory` deploys to, EIP-1014."""
    return keccak(b"\xff" + bytes.fromhex(factory) + salt + bytes.fromhex(init_code_hash))[12:].hex()
