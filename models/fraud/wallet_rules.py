"""Named rules about a wallet's past, each with its number, in constant time: what a person would look for in its profile.

Cuts are conservative: `soba evaluate fraud` prints how many ordinary wallets each of them names (docs/models/fraud.md). The model
has seen what they look at and weighs it better, so none raises a level beyond `medium` but dealings with listed addresses, which
no model sees. Codes of alerts about a party of a request begin with `sender_` or `receiver_`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from models.fraud.bitmaps import distinct
from models.fraud.half import Dealt, Half
from models.fraud.layout import DRAINS, PEAK, QUICK, TENTHS, TOKENS, VALUE
from models.fraud.lists import Hits
from models.fraud.profile import DAY_S, WEI, Profile
from topics.schemas.wallet import LEVELS, Dealings, Exposure, Level, Warned

FEW_DRAINS, MOSTLY = 20, 0.9
MANY_PEERS, FEW_PEERS = 20, 2.1
"""Senders and receivers, as a bitmap counts them: a little above two are two."""
FEW_ROUND, NEARLY_ALL = 10, 0.95
FEW_RETURNS = 5
YOUNG_S = 3 * DAY_S
LARGE_ETHER = 100.0
ETHER_CHAINS = frozenset({1, 10, 324, 8453, 42161, 42170, 59144, 534352})
"""Whose own coin is ether, so that it is known what a large amount is."""
SIZEABLE_WEI = WEI // 10
"""Less may come from a listed address to harm who gets it: anybody can be sent dust."""
EXPOSED: tuple[tuple[float, Level], ...] = ((0.5, "high"), (0.1, "medium"))
"""Which part of all ether that came in came from listed addresses, and what that means."""

LISTED = "listed"
"""The alert of who is on a list itself."""
EXPOSED_TO, PAID = "exposed_to_listed", "paid_listed"
"""Those of who dealt with such addresses."""
BY_LISTS = frozenset({LISTED, EXPOSED_TO, PAID})
"""What says nothing of behaviour."""

Rule = tuple[str, Level, str, float]
"""Code, severity, what is said of `it`, and the number."""


def of_wallet(profile: Profile, chain_id: int) -> list[Warned]:
    """What the rules say of a wallet; of most nothing, at the cost of a few comparisons."""
    came, went = profile.came, profile.went
    told, gone = came.numbers, went.numbers
    got, paid = told[VALUE], gone[VALUE]
    quiet = got < FEW_ROUND and paid < FEW_DRAINS and profile.own[PEAK] < LARGE_ETHER
    traded = (got >= FEW_RETURNS and paid >= FEW_RETURNS) or (
        came.transfers[TOKENS] >= FEW_RETURNS and went.transfers[TOKENS] >= FEW_RETURNS
    )
    if quiet and not traded and came.listed is None and went.listed is None:
        return []
    found = [
        Warned(code=code, severity=severity, message=f"it {said}", value=round(value, 4))
        for code, severity, said, value in _found(profile, came, went, chain_id)
    ]
    return [*found, *of_dealings(profile)]


def _found(profile: Profile, came: Half, went: Half, chain_id: int) -> Iterator[Rule]:
    own, got, paid = profile.own, came.paid, went.paid
    drains, quick, tenths = (int(many) for many in (own[DRAINS], own[QUICK], came.numbers[TENTHS]))
    if paid >= FEW_DRAINS and drains >= MOSTLY * paid and quick >= MOSTLY * went.moves:
        # Low: addresses that exchanges take deposits by do so, and frauds hardly.
        said = f"emptied itself {drains} times, {quick} times within ten minutes of being paid"
        yield "fast_drain", "low", said, drains
    if got >= MANY_PEERS and paid:
        senders, receivers = distinct(came.peers), distinct(went.peers)
        if senders >= MANY_PEERS and receivers <= FEW_PEERS:
            said = f"takes from about {senders:.0f} wallets and gives to {receivers:.0f}: many to one"
            yield "many_to_one", "medium", said, senders
    if got >= FEW_ROUND and tenths >= NEARLY_ALL * got:
        said = f"is paid in round amounts: {tenths} of {got} are multiples of 0.1 ether"
        yield "round_values", "medium", said, tenths / got
    if min(got, paid) >= FEW_RETURNS and _between_two(profile, came, went):
        said = f"trades to and fro with one wallet: {came.moves} times in, {went.moves} times out"
        yield "wash", "medium", said, came.moves + went.moves
    if min(came.tokens, went.tokens) >= FEW_RETURNS and _only_one(came.token_peers, went.token_peers):
        said = f"sends tokens to and fro with one address: {came.tokens} times in, {went.tokens} times out"
        yield "token_wash", "medium", said, came.tokens + went.tokens
    peak, seconds = own[PEAK], profile.last - profile.first
    if peak >= LARGE_ETHER and seconds <= YOUNG_S and chain_id in ETHER_CHAINS:
        said = f"held {peak:.6g} ether {seconds / 3600:.1f} hours after its first move in months"
        yield "new_wallet_large_amount", "medium", said, peak


def _between_two(profile: Profile, came: Half, went: Half) -> bool:
    """Whether all that ever happened was two wallets paying each other."""
    return _only_one(came.peers, went.peers) and profile.tokens == 0


def _only_one(came: int, went: int) -> bool:
    """Whether two bitmaps of addresses know one, the same."""
    return came == went and came.bit_count() == 1


def _listed(profile: Profile) -> bool:
    return profile.came.listed is not None or profile.went.listed is not None


def exposure(profile: Profile) -> Exposure | None:
    """What a wallet dealt with listed addresses; None where that is nothing."""
    if not _listed(profile):
        return None
    return Exposure(received=_dealings(profile.came), paid=_dealings(profile.went))


def _dealings(half: Half) -> Dealings | None:
    dealt = half.listed
    if dealt is None:
        return None
    share = min(1.0, dealt.wei / WEI / half.total) if half.total else None
    return Dealings(
        moves=dealt.moves,
        value_wei=str(dealt.wei),
        share=share,
        tokens=dealt.tokens,
        last_at=dealt.last,
        address=dealt.peer,
        lists=dealt.lists.split(","),
    )


def of_dealings(profile: Profile) -> list[Warned]:
    """What is said of dealings with listed addresses; of contracts, too, since anybody may make one of a wallet by a call."""
    return list(_dealt_with(profile)) if _listed(profile) else []


def _dealt_with(profile: Profile) -> Iterator[Warned]:
    """Directions apart: money from a listed address is suspicious, money to one is a victim's, told and no more."""
    came, went = profile.came, profile.went
    if (dealt := came.listed) is not None:
        share = dealt.wei / WEI / came.total if came.total else 0.0
        level: Level = "low"
        if dealt.wei >= SIZEABLE_WEI:
            level = next((level for least, level in EXPOSED if share >= least), "low")
        said = f"received {_told(dealt)} from listed addresses, {share:.1%} of all ether that came in; {_last(dealt)}"
        yield Warned(code=EXPOSED_TO, severity=level, message=f"it {said}", value=dealt.peer)
    if (dealt := went.listed) is not None:
        share = dealt.wei / WEI / went.total if went.total else 0.0
        said = f"paid {_told(dealt)} to listed addresses, {share:.1%} of all ether that went out; {_last(dealt)}"
        yield Warned(code=PAID, severity="low", message=f"it {said}", value=dealt.peer)


def _told(dealt: Dealt) -> str:
    tokens = f" and {dealt.tokens} token transfers" if dealt.tokens else ""
    return f"{dealt.wei / WEI:.6g} ether in {dealt.moves} transactions{tokens}"


def _last(dealt: Dealt) -> str:
    day = datetime.fromtimestamp(dealt.last, UTC).date().isoformat()
    return f"last {dealt.peer} ({dealt.lists.replace(',', ', ')}), on {day}"


def of_lists(hits: Hits, address: str) -> list[Warned]:
    """The alert of who is on lists itself; none where no list names it."""
    if not hits:
        return []
    said = f"it is on {'a list' if len(hits) == 1 else 'lists'}: {', '.join(hit.list for hit in hits)}"
    return [Warned(code=LISTED, severity=worst(hit.severity for hit in hits), message=said, value=address)]


def worst(levels: Iterable[Level]) -> Level:
    """The highest of some levels; `low` of none."""
    return max(levels, key=LEVELS.index, default="low")


def about(name: str, alerts: Sequence[Warned]) -> list[Warned]:
    """A wallet's alerts as those of a party of a request: `sender` or `receiver`."""
    return [
        one.model_copy(update={"code": f"{name}_{one.code}", "message": f"the {name}: {one.message}"}) for one in alerts
    ]
