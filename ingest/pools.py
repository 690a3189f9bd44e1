"""Which two tokens a pool holds, without asking a node.

Both Uniswap families deploy pools by CREATE2: an address is keccak(0xff, factory, salt, init code hash), and the salt
is made of the sorted tokens (and the fee, in V3). So the tokens that moved in or out of a pool can be checked against
its address. A pool of an unknown factory is still known where the two legs of one of its swaps equal one transfer in
and one out exactly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from typing import Literal

from eth_hash.auto import keccak

from ingest.raw import Log, PoolFacts

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
Family = Literal["uniswap_v2", "uniswap_v3"]
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
    """Who deploys a protocol's pools, and the hash of their init code."""

    protocol: str
    factory: str
    init_code_hash: str
    fees: tuple[int, ...] = ()
    """V3 only: the fees that may be part of a salt, in hundredths of a basis point."""


DEPLOYMENTS: dict[Family, tuple[Deployment, ...]] = {
    "uniswap_v2": (
        Deployment(
            "uniswap_v2",
            "5c69bee701ef814a2b6a3edd4b1652cb9cc5aa6f",
            "96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f",
        ),
        Deployment(
            "sushiswap",
            "c0aee478e3658e2610c5f7a4a2e1777ce9e4f2ac",
            "e18a34eb0e04b04f7a0ac29a6e80748dca96319b42c54d679cb821dca90c6303",
        ),
        Deployment(
            "shibaswap",
            "115934131916c8b277dd010ee02de363c09d037c",
            "65d1a3b1e46c6e4f1be1ad5f99ef14dc488ae0549dc97db9b30afe2241ce1c7a",
        ),
    ),
    "uniswap_v3": (
        Deployment(
            "uniswap_v3",
            "1f98431c8ad98523631ae4a59f267346ea31f984",
            "e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54",
            (3000, 500, 10000, 100),
        ),
        Deployment(
            "pancakeswap_v3",
            "41ff9aa7e16b8b1a8a8dc4f0efacd93d02d071c9",
            "6ce8eb472fa82df5469c6ab6d485f17c3ad13c8cd7af59b3d4a8026c5ce0f7e2",
            (2500, 500, 10000, 100),
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Moved:
    """One ERC-20 transfer, addresses lower case, in base units."""

    token: str
    source: str
    target: str
    amount: int


@dataclass(slots=True)
class Pools:
    """The pools of one block: facts that came with it, else CREATE2, else the amounts of a swap's transfers."""

    facts: dict[str, PoolFacts]
    logs: list[Log]
    _found: dict[str, Pool] = field(default_factory=dict)
    _moved: dict[str, list[Moved]] | None = None
    _touching: dict[str, set[str]] = field(default_factory=dict)

    def find(self, address: str, family: Family) -> Pool | None:
        """The pool at `address`, or None where neither facts nor CREATE2 tell its tokens."""
        held = self._found.get(address)
        if held is not None:
            return held
        facts = self.facts.get(address)
        if facts is not None and facts.token0 and facts.token1:
            known = "unknown" not in facts.protocol
            pool: Pool | None = Pool(
                facts.protocol if known else f"{family}_fork", facts.token0.lower(), facts.token1.lower()
            )
        else:
            self._read_transfers()
            pool = resolve(address, family, frozenset(self._touching.get(address, ())))
        if pool is not None:
            self._found[address] = pool
        return pool

    def infer(self, log: Log, address: str, family: Family, net0: int, net1: int) -> Pool | None:
        """The pool behind a swap that put `net0`, `net1` into it (negative: took out), by its transaction's transfers.

        None unless exactly one token went in with the one amount and one came out with the other, in token order.
        """
        paid, got = (net0, -net1) if net0 > 0 else (net1, -net0)
        moved = self._read_transfers().get(log.transaction_hash.lower(), ())
        sold = {one.token for one in moved if one.target == address and one.amount == paid}
        bought = {one.token for one in moved if one.source == address and one.amount == got}
        if len(sold) != 1 or len(bought) != 1:
            return None
        token0, token1 = (*sold, *bought) if net0 > 0 else (*bought, *sold)
        if not token0 < token1:
            return None
        pool = self._found[address] = Pool(f"{family}_fork", token0, token1)
        return pool

    def _read_transfers(self) -> dict[str, list[Moved]]:
        if self._moved is None:
            self._moved = {}
            for log in self.logs:
                if len(log.topics) == 3 and log.topics[0].lower() == TRANSFER and len(log.data) >= 66:
                    one = Moved(
                        log.address.lower(),
                        "0x" + log.topics[1][26:].lower(),
                        "0x" + log.topics[2][26:].lower(),
                        int(log.data[2:66], 16),
                    )
                    self._moved.setdefault(log.transaction_hash.lower(), []).append(one)
                    self._touching.setdefault(one.source, set()).add(one.token)
                    self._touching.setdefault(one.target, set()).add(one.token)
        return self._moved


@lru_cache(maxsize=65_536)
def resolve(address: str, family: Family, tokens: frozenset[str]) -> Pool | None:
    """The pool of `family` at `address` among pairs of `tokens`, proven by CREATE2, or None."""
    wanted = address[2:]
    for token0, token1 in _pairs(tokens):
        for deployment in DEPLOYMENTS[family]:
            for salt in _salts(token0[2:], token1[2:], deployment.fees):
                if create2(deployment.factory, salt, deployment.init_code_hash) == wanted:
                    return Pool(deployment.protocol, token0, token1)
    return None


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
