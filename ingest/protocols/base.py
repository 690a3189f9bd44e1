"""What a protocol file is made of: decoders by topic0, and the words of a log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ingest.deployments import PairFamily, Pool, protocol_of
from ingest.facts import Answers, PoolFacts, Question, Wanted, address_of, call
from ingest.parts import Log
from ingest.pools import Pools

Fields = dict[str, Any]
"""Fields of an event as `topics.schemas.chain` has them, none of them null, without those that every event of a log shares."""


class Undecoded(StrEnum):
    """Why a log became no event."""

    UNKNOWN_TOPIC = "unknown_topic"
    """No protocol file knows its topic0."""
    BAD_LAYOUT = "bad_layout"
    """The topic0 is known, but topics or data are of another length: another contract's event of the same signature."""
    UNKNOWN_POOL = "unknown_pool"
    """A swap in a pool whose tokens neither facts nor its address or id nor its own transfers tell."""
    NO_EVENT = "no_event"
    """It only tells of a pool, which is remembered (Initialize of Uniswap V4)."""
    ONE_SIDED = "one_sided"
    """A swap that paid nothing in or took nothing out (flash loan, dust), or of a token for itself: it has no direction."""
    FOREIGN_WRAPPER = "foreign_wrapper"
    """A deposit or withdrawal of a contract that is not the chain's wrapped native token."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a decoder may ask beside its log."""

    chain_id: int
    pools: Pools


Decoder = Callable[[Log, Context], Fields | Undecoded]


def word(data: str, index: int) -> int:
    """The `index`-th 32-byte word of `data`, unsigned."""
    return int(data[2 + 64 * index : 66 + 64 * index], 16)


def amount(data: str, index: int) -> str:
    """The same as decimal text: base units as the wire has them."""
    return str(int(data[2 + 64 * index : 66 + 64 * index], 16))


def signed(data: str, index: int) -> int:
    """The `index`-th word, two's complement."""
    return two_s_complement(word(data, index))


def two_s_complement(value: int) -> int:
    """The signed integer of an unsigned word."""
    return value - (1 << 256) if value >> 255 else value


def words(data: str) -> int:
    """How many whole words `data` holds."""
    return (len(data) - 2) // 64


def party(topic: str) -> str:
    """The address in an indexed topic."""
    return "0x" + topic[26:]


def address(data: str, index: int) -> str:
    """The address in the `index`-th word of `data`, lower case."""
    return "0x" + data[26 + 64 * index : 66 + 64 * index].lower()


def listed(data: str, index: int) -> list[int] | None:
    """The words of the dynamic array that the `index`-th word of `data` points to; None where it ends beyond `data`."""
    start, rest = divmod(word(data, index), 32)
    if rest or start >= words(data):
        return None
    count = word(data, start)
    if start + count >= words(data):
        return None
    return [word(data, start + 1 + at) for at in range(count)]


def is_tick(*values: int) -> bool:
    """Whether these are ticks (int24): a contract that is no pool may log any word."""
    return all(-(1 << 23) <= value < 1 << 23 for value in values)


def traded(pool: Pool, net0: int, gross_in: tuple[int, int], gross_out: tuple[int, int]) -> Fields:
    """Tokens and amounts of a swap that put `net0` (> 0: sold token0) into `pool`, from its gross amounts."""
    sold, bought = (0, 1) if net0 > 0 else (1, 0)
    tokens = (pool.token0, pool.token1)
    return {
        "token_in": tokens[sold],
        "token_out": tokens[bought],
        "amount_in_raw": str(gross_in[sold]),
        "amount_out_raw": str(gross_out[bought]),
    }


def find_pool(log: Log, context: Context, family: PairFamily, net0: int, net1: int) -> Pool | None:
    """The pool that emitted a swap, by every means we have."""
    address = log.address
    return context.pools.find(address, family) or context.pools.infer(log, address, family, net0, net1)


def liquidity(log: Log, context: Context, family: PairFamily) -> Fields:
    """Pool, protocol and (where known) tokens of an event that moves or reports a pool's funds."""
    address = log.address
    pool = context.pools.find(address, family)
    if pool is None:
        return {"pool": address, "protocol": f"{family}_fork"}
    return {"pool": address, "protocol": pool.protocol, "token0": pool.token0, "token1": pool.token1}


def swapped(
    protocol: str, pool: str | None, tokens: tuple[str, str], amounts: tuple[int, int], **who: str
) -> Fields | Undecoded:
    """A swap of the first of `tokens` for the second, as its log told them; `who` may be sender, recipient and maker."""
    paid, got = amounts
    if not paid or not got or tokens[0] == tokens[1]:
        return Undecoded.ONE_SIDED
    return {
        "event_type": "swap",
        "protocol": protocol,
        **({} if pool is None else {"pool": pool}),
        **who,
        "token_in": tokens[0],
        "token_out": tokens[1],
        "amount_in_raw": str(paid),
        "amount_out_raw": str(got),
    }


def parts(tokens: Sequence[str], amounts: Sequence[int]) -> Fields:
    """What moved of each token of a pool, base units; `tokens` is empty where they are unknown."""
    if len(amounts) == 2:
        named = {"token0": tokens[0], "token1": tokens[1]} if tokens else {}
        return {**named, "amount0_raw": str(amounts[0]), "amount1_raw": str(amounts[1])}
    return {**({"tokens": list(tokens)} if tokens else {}), "amounts_raw": list(map(str, amounts))}


def pair_question(family: PairFamily) -> Question:
    """Tokens and factory of a pool of two; whose code it runs follows from them and its address."""

    def read(wanted: Wanted, answers: Answers) -> PoolFacts | None:
        token0, token1, factory = map(address_of, answers)
        if token0 is None or token1 is None or not token0 < token1:
            return None
        protocol = protocol_of(wanted.subject, family, factory, token0, token1) or f"{family}_fork"
        return PoolFacts(protocol=protocol, token0=token0, token1=token1)

    return Question(lambda wanted: [call(wanted.subject, name) for name in ("token0()", "token1()", "factory()")], read)
