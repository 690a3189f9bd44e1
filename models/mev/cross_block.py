"""Sandwiches over two blocks: the front in one, the back in the next, and somebody caught between.

Whoever holds a token from one block to the next carries the risk of what others do meanwhile, and many who do mean no harm:
they buy, and sell again a block later. So more is asked than within one block:

- one attacker, by its signer, or by a contract that its signers call, unless that is a router, shared by many, or only what a
  person's own tokens went through; it trades in the pool one way in the first block and only the other way in the second;
- it sells what it bought within 1 %, for more than it paid; or buys back what it sold within 1 %, for less than it got;
- none of its legs is part of another finding of its block;
- between them stands a signed trade of somebody else, in the front's direction, that is no attacker's in a finding of its block.

The confidence is still lower.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise

from models.mev.amounts import matches
from models.mev.base import Fact, make
from models.mev.legs import Leg, read_legs
from models.mev.rounds import Round, bundles
from models.mev.routers import ROUTERS
from models.mev.sandwich import case_of
from models.mev.trades import together
from models.mev.view import View
from topics.schemas.mev import Finding
from topics.schemas.mev_trades import BlockTrades, Swapped

MODEL = "cross-block-sandwich/1"
MATCH = 100
"""What is sold differs from what was bought by at most one part in so many."""
MOST_ROUNDS = 16
"""So many of a pool are looked at, and so many of two blocks told; it bounds what strange ones can cause."""
MOST_LEGS = 64
"""Who has more fronts or more backs in a pool is left out: fronts times backs are paired."""
HELD = Fact("held_over_a_block", -0.3)
ROUTED = Fact("through_a_router", -0.15)


def neighbours(before: BlockTrades, after: BlockTrades) -> bool:
    """Whether one is the block next after the other, as far as is known; of no removed block."""
    if before.chain_id != after.chain_id or before.number + 1 != after.number:
        return False
    if "removed" in (before.status, after.status):
        return False
    known = before.hash is not None and after.parent_hash is not None
    return not known or (before.hash or "").lower() == (after.parent_hash or "").lower()


def pairs(kept: Iterable[BlockTrades]) -> list[tuple[BlockTrades, BlockTrades]]:
    """Those of blocks next to each other by number, in order."""
    there = sorted(kept, key=lambda one: (one.chain_id, one.number))
    return [
        (one, other)
        for one, other in pairwise(there)
        if (one.chain_id, one.number + 1) == (other.chain_id, other.number)
    ]


def detect(before: BlockTrades, after: BlockTrades) -> list[Finding]:
    """The sandwiches whose front is in `before` and whose back is in `after`, in order of their first front."""
    if not neighbours(before, after) or not (pools := sorted(_returns(before, after))):
        return []
    if {one.hash for one in before.transactions} & {one.hash for one in after.transactions}:
        return []  # one of them is not of this chain
    view = View(together(before, after))
    told = {one.hash for half in (before, after) for one in half.transactions if one.told}
    personal = {one.hash for half in (before, after) for one in half.transactions if one.personal}
    legs = read_legs(view)
    contracts = {hash: _contract(view, hash, legs.shared) for hash in view.transactions if hash not in personal}
    found: list[Round] = []
    for pool in pools:
        own = [leg for leg in legs.by_pool.get(pool, ()) if leg.transaction not in told and leg.sender is not None]
        found += _rounds(own, contracts, len(before.transactions))
    return [_finding(view, bundle, contracts, before.number) for bundle in bundles(found[:MOST_ROUNDS])]


def _returns(before: BlockTrades, after: BlockTrades) -> Iterator[str]:
    """Pools in which somebody went one way, and then the other with a gain: most neighbours have none, and cost no more.

    All in which the whole rule finds one, and some more: of several signers who called one contract no gain is asked, as it may
    yet turn out to be nobody's own.
    """
    for pool in before.pools.keys() & after.pools.keys():
        who = _by_contract((*_calls(before, pool), *_calls(after, pool)))
        there, several = _sums(before, pool, who), Counter(who.values())
        for (sold, bought, actor), (paid, got) in _sums(after, pool, who).items():
            front = there.get((bought, sold, actor))
            if front is not None and (several[actor] > 1 or _gain(*front, paid, got)):
                yield pool
                break


def _calls(one: BlockTrades, pool: str) -> Iterator[tuple[str, str | None]]:
    """Who signed in a pool, and the contract they called that may be their own."""
    for event in one.pools[pool]:
        sent = one.transactions[event.sent]
        if isinstance(event, Swapped) and sent.signer is not None and not sent.told:
            called = None if sent.called is None or sent.personal else one.names[sent.called]
            yield one.names[sent.signer], None if called in ROUTERS else called


def _sums(one: BlockTrades, pool: str, who: Mapping[str, str]) -> dict[tuple[str, str, str], tuple[int, int]]:
    """What was sold and bought in a pool, by the two tokens and by who did it; `who` names each signer's."""
    sums: dict[tuple[str, str, str], tuple[int, int]] = {}
    for event in one.pools[pool]:
        if not isinstance(event, Swapped) or event.amount_in_raw is None or event.amount_out_raw is None:
            continue
        sent = one.transactions[event.sent]
        if sent.signer is None or sent.told:
            continue
        key = one.names[event.token_in], one.names[event.token_out], who[one.names[sent.signer]]
        paid, got = sums.get(key, (0, 0))
        sums[key] = paid + int(event.amount_in_raw), got + int(event.amount_out_raw)
    return sums


def _contract(view: View, hash: str, shared: frozenset[str]) -> str | None:
    """The contract of the signer's own that a transaction called."""
    called = view.called(hash)
    return None if called in view.nobody or called in shared else called


def _rounds(own: Sequence[Leg], contracts: Mapping[str, str | None], first: int) -> Iterator[Round]:
    """The rounds in one pool; `first` is the place of the second block's first transaction."""
    for fronts, backs in islice(_round_trips(own, contracts, first), MOST_ROUNDS):
        mine = (*fronts, *backs)
        attackers = {one for leg in mine for one in (leg.sender, contracts.get(leg.transaction)) if one}
        victims = _victims(own, fronts, backs, attackers)
        if not victims:
            continue
        fronts = [leg for leg in fronts if leg.position < victims[-1].position]
        backs = [leg for leg in backs if leg.position > victims[0].position]
        if _gains(fronts, backs):
            yield Round(fronts[0].pool, fronts, victims, backs)


def _round_trips(
    own: Sequence[Leg], contracts: Mapping[str, str | None], first: int
) -> Iterator[tuple[list[Leg], list[Leg]]]:
    """The legs of each who traded one way in the first block and the other in the second, and gained."""
    for mine in _by_actor(own, contracts):
        fronts = [leg for leg in mine if leg.position < first]
        backs = [leg for leg in mine if leg.position >= first]
        if max(len(fronts), len(backs)) > MOST_LEGS:
            continue
        ways = {leg.direction for leg in fronts} | {leg.direction[::-1] for leg in backs}
        if fronts and backs and len(ways) == 1 and _gains(fronts, backs):
            yield fronts, backs


def _by_actor(own: Sequence[Leg], contracts: Mapping[str, str | None]) -> list[list[Leg]]:
    """Legs by who made them: those of one signer, and of all signers who called one contract of their own."""
    who = _by_contract((leg.sender, contracts.get(leg.transaction)) for leg in own if leg.sender is not None)
    found: dict[str, list[Leg]] = defaultdict(list)
    for leg in own:
        found[who[leg.sender or ""]].append(leg)
    return list(found.values())


def _by_contract(calls: Iterable[tuple[str, str | None]]) -> dict[str, str]:
    """Signer → one name for all signers who called one contract, or contracts that have a signer in common."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    signers: dict[str, None] = {}
    for signer, contract in calls:
        signers[signer] = None
        if contract is not None:
            parent[root(contract)] = root(signer)
    return {signer: root(signer) for signer in signers}


def _gains(fronts: Sequence[Leg], backs: Sequence[Leg]) -> bool:
    """Whether fronts and backs end where they began, with a gain; not where an amount is unknown."""
    if any(None in (leg.amount_in, leg.amount_out) for leg in (*fronts, *backs)):
        return False
    paid, bought, sold, got = (
        sum(getattr(leg, name) for leg in legs) for legs in (fronts, backs) for name in ("amount_in", "amount_out")
    )
    return _gain(paid, bought, sold, got)


def _gain(paid: int, bought: int, sold: int, got: int) -> bool:
    """Whether what was bought is sold again for more than was paid, or what was sold is bought back for less."""
    return _gained(bought, sold, paid, got) or _gained(got, paid, sold, bought)


def _gained(bought: int, sold: int, paid: int, got: int) -> bool:
    """Whether a token was sold for more than it was bought for; what was sold of it and not bought gains nothing."""
    return paid > 0 and matches(bought, sold, MATCH) and got * min(bought, sold) > paid * sold


def _victims(own: Sequence[Leg], fronts: list[Leg], backs: list[Leg], attackers: set[str]) -> list[Leg]:
    """Trades of others in the fronts' direction between the first front and the last back."""
    return [
        leg
        for leg in own
        if fronts[0].position < leg.position < backs[-1].position
        and leg.direction == fronts[0].direction
        and not leg.actors & attackers
    ]


def _finding(view: View, bundle: list[Round], contracts: Mapping[str, str | None], before: int) -> Finding:
    """Attackers are who signed and contracts of their own; that they went through what others call too is only evidence."""
    case = case_of(view, bundle)
    case.name = f"{before}:{case.name}"
    case.blocks = [before, view.block.number]
    case.model = MODEL
    signers = {signer for hash in case.own if (signer := view.signer(hash))}
    own = {contract for hash in case.own if (contract := contracts.get(hash))}
    case.attackers = [*sorted(signers), *sorted(own - signers)]
    through = any(view.called(hash) is not None and view.called(hash) not in own for hash in case.own)
    case.facts = [*case.facts, HELD, *([ROUTED] if through else [])]
    return make(view, case)
