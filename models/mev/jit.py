"""Just-in-time liquidity: added right before others' swaps, removed right after, so that their fees go to one provider.

An addition and a later removal in another transaction, in the same pool and between the same ticks, by the same one, with a
swap of somebody else between them that begins or ends within the ticks. Uniswap V3 and V4 and their forks; a pair without
ticks counts as one range.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from models.mev.base import Case, Fact, actors, make
from models.mev.view import View
from topics.schemas.chain import Liquidity, Swap
from topics.schemas.mev import Finding

MODEL = "jit/1"
MANAGERS = frozenset(
    {
        "0xc36442b4a4522e871399cd717abdd847ab11fe88",  # Uniswap V3's NFTs: Ethereum, Arbitrum, Optimism, Polygon
        "0x03a520b32c04bf3beef7beb72e919cf822ed34f1",  # the same: Base
        "0x7b8a01b39d58278b5de7e48c8449c9f4f5170613",  # the same: BNB Chain
        "0x3d79edaabc0eab6f08ed885c05fc0b014290d95a",  # the same: Celo
        "0x943e6e07a7e8e791dafc44083e54041d743c46e9",  # the same: Unichain
        "0x46a15b0b27311cedf172ab29e4f4766fbe7f4364",  # PancakeSwap V3's: all its chains
        "0xbd216513d74c8cf14cf4747e6aaa6420ff64ee9e",  # Uniswap V4 PositionManager: Ethereum
        "0x7c5f5a4bbd8fd63184577525326123b519429bdc",  # the same: Base
        "0xd88f38f930b7952f2db2432cb002e7abbf3dd869",  # the same: Arbitrum
        "0x3c3ea4b57a46241e54610e5f022e5c45859a1017",  # the same: Optimism
        "0x1ec2ebf4f37e7363fdfe3551602425af0b3ceef9",  # the same: Polygon
        "0x7a4a5c919ae2541aed11041a1aeee68f1287f95b",  # the same: BNB Chain
        "0x4529a01c7a0410167c5740c487a8de60232617bf",  # the same: Unichain
    }
)
"""They hold the positions of many people. From the protocols' deployment lists."""

MAX_OPEN = 64
"""So many additions of a pool are kept in mind; it bounds the work that a strange block can cause."""


@dataclass(slots=True, eq=False)
class _Added:
    """An addition that may be removed again; `at` is its place in the pool's history."""

    event: Liquidity
    hash: str
    actors: frozenset[str]
    at: int


def detect(view: View, found: Sequence[Finding]) -> list[Finding]:
    """The just-in-time liquidity of a block, in order of its additions."""
    if len({one.event_type for one in view.liquidity} & {"mint", "burn"}) < 2:
        return []
    findings = [one for pool in _pools(view) for one in _of_pool(view, pool)]
    return sorted(findings, key=lambda one: (view.places[one.front[0]], one.id))


def _pools(view: View) -> list[str]:
    return list(dict.fromkeys(one.pool.lower() for one in view.liquidity if one.pool))


def _of_pool(view: View, pool: str) -> list[Finding]:
    open_: deque[_Added] = deque(maxlen=MAX_OPEN)
    findings: list[Finding] = []
    for at, event in enumerate(view.histories[pool].events):
        if not isinstance(event, Liquidity) or event.event_type == "collect":
            continue
        hash, who = event.transaction_hash.lower(), _who(view, event)
        if event.event_type == "mint":
            open_.append(_Added(event, hash, who, at))
            continue
        added = [
            one for one in open_ if one.hash != hash and one.actors & who and _position(one.event) == _position(event)
        ]
        if not added or not _removes(event, added):
            continue
        for one in added:
            open_.remove(one)
        victims = _victims(view, pool, added, at, who)
        if victims:
            findings.append(_finding(view, pool, added, event, victims))
    return findings


def _position(event: Liquidity) -> tuple[int | None, int | None, str | None]:
    """Lower and upper tick, and what tells positions of one owner apart (Uniswap V4)."""
    return event.tick_lower, event.tick_upper, event.salt


def _who(view: View, event: Liquidity) -> frozenset[str]:
    """Every address that may stand for who provides."""
    hash = event.transaction_hash.lower()
    named = (view.signer(hash), view.called(hash), event.owner, event.sender, event.recipient)
    return frozenset(one.lower() for one in named if one) - view.nobody - MANAGERS


def _removes(burn: Liquidity, added: Sequence[_Added]) -> bool:
    """Whether at least half of what was added goes; a removal of nothing only settles fees."""
    if burn.liquidity is None or any(one.event.liquidity is None for one in added):
        return True
    removed = abs(int(burn.liquidity))
    return removed > 0 and removed * 2 >= sum(int(one.event.liquidity or 0) for one in added)


def _victims(view: View, pool: str, added: Sequence[_Added], until: int, who: frozenset[str]) -> list[str]:
    """Transactions of others that swapped within the ticks between the first addition and the removal."""
    first = added[0].event
    own = who | added[0].actors
    inside = first.amount0_raw != "0" and first.amount1_raw != "0"
    found: list[str] = []
    for event in view.histories[pool].events[added[0].at + 1 : until]:
        if not isinstance(event, Swap):
            continue
        began, inside = inside, _within(event.tick, first)
        hash = event.transaction_hash.lower()
        parties = {
            view.signer(hash),
            view.called(hash),
            *((one or "").lower() for one in (event.sender, event.recipient)),
        }
        if (began or inside) and not parties & own:
            found.append(hash)
    return list(dict.fromkeys(found))


def _within(tick: int | None, added: Liquidity) -> bool:
    if tick is None or added.tick_lower is None or added.tick_upper is None:
        return True
    return added.tick_lower <= tick < added.tick_upper


def _finding(view: View, pool: str, added: Sequence[_Added], burn: Liquidity, victims: Sequence[str]) -> Finding:
    hash = burn.transaction_hash.lower()
    front = list(dict.fromkeys(one.hash for one in added))
    own = [*front, hash]
    case = Case(
        kind="jit",
        name=":".join(
            (front[0], hash, pool, *map(str, (burn.tick_lower, burn.tick_upper)), *([burn.salt] if burn.salt else ()))
        ),
        own=own,
        front=front,
        victims=victims,
        back=[hash],
        attackers=_attackers(view, own, added),
        pools=[pool],
        protocols=[burn.protocol],
        profit=_profit(view, pool, added, burn),
        facts=_facts(view, front, hash, added, burn),
        model=MODEL,
    )
    return make(view, case)


def _attackers(view: View, own: Sequence[str], added: Sequence[_Added]) -> list[str]:
    owner = added[0].event.owner
    known = [one for one in actors(view, own) if one not in MANAGERS]
    more = [owner.lower()] if owner and owner.lower() not in {*known, *MANAGERS} else []
    return [*known, *more]


def _facts(view: View, front: Sequence[str], back: str, added: Sequence[_Added], burn: Liquidity) -> list[Fact]:
    facts: list[Fact] = []
    signers = {view.signer(hash) for hash in (*front, back)}
    if len(signers) == 1 and None not in signers:
        facts.append(Fact("same_sender", 0.2))
    else:
        facts.append(Fact("same_contract", 0.15))
    known = [one.event.liquidity for one in added]
    if (
        burn.liquidity is not None
        and None not in known
        and abs(int(burn.liquidity)) == sum(int(one or 0) for one in known)
    ):
        facts.append(Fact("removed_whole", 0.2))
    return facts


def _profit(view: View, pool: str, added: Sequence[_Added], burn: Liquidity) -> dict[str, int]:
    """What came out, with fees where the block tells, less what went in, by token; empty where an amount is unknown."""
    taken = [burn]
    hash = burn.transaction_hash.lower()
    for event in view.histories[pool].events:
        if (
            isinstance(event, Liquidity)
            and event.event_type == "collect"
            and event.transaction_hash.lower() == hash
            and (event.tick_lower, event.tick_upper, event.owner) == (burn.tick_lower, burn.tick_upper, burn.owner)
        ):
            taken = [event]
    tokens = _tokens(view, pool, burn)
    gain = [0, 0]
    for sign, event in (*((-1, one.event) for one in added), *((1, one) for one in taken)):
        if tokens is None or event.amount0_raw is None or event.amount1_raw is None:
            return {}
        gain[0] += sign * abs(int(event.amount0_raw))
        gain[1] += sign * abs(int(event.amount1_raw))
    return {token: amount for token, amount in zip(tokens or (), gain, strict=True) if amount}


def _tokens(view: View, pool: str, burn: Liquidity) -> tuple[str, str] | None:
    """The pool's two tokens: as the event names them, else those that it swaps."""
    if burn.token0 and burn.token1:
        return burn.token0.lower(), burn.token1.lower()
    swapped = {
        token.lower()
        for one in view.histories[pool].events
        if isinstance(one, Swap)
        for token in (one.token_in, one.token_out)
    }
    low, high = (min(swapped), max(swapped)) if swapped else ("", "")
    return (low, high) if len(swapped) == 2 else None
