"""What is kept of a wallet over blocks: how its moves become profiles, in windows of chain time, whatever order blocks come in.

A profile covers two spans of 45 days and a new one begins with each span, so that the older of two, which is the one to score,
always knows 45 to 90 days. Time never goes back within it: a block that says so counts at the time of the one before.

Blocks may say something else later, or be removed. So the last 64 blocks of a wallet are kept as they came, and only what is
older is folded into the profiles, once and in order: whatever comes within those, in any order and however often, ends in the
same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from models.fraud.packed import LAYOUT, pack, unpack
from models.fraud.profile import DAY_S, IN, OUT, Move, Profile, Side, TokenMove, digits
from topics.schemas.chain import WalletActivity, WalletMove
from topics.schemas.wallet import Kept, Known

HOP_S = 45 * DAY_S
KEPT_BLOCKS = 64
"""A wallet's blocks that are as far as this behind its newest are folded."""
MOST = 16
"""Moves of a wallet that count of one block: a row of 64 full blocks then has about 110 kB. What is beyond is only a number."""

BUSY = 2
"""Blocks kept of a wallet from which on its row, while it is in a worker's memory, has its profiles ready."""

Moves = Sequence[Move | TokenMove]
Packed = tuple[int, list[Any] | None, list[Any] | None]
"""Span, older and younger profile."""
Fame = Callable[[str], float]
"""`Scorer.fame`."""
Listed = Callable[[str], str]
"""The lists that name an address, with commas between: `Lists.names` on a chain."""
Verdict = Literal["new", "duplicate", "too_late"]


def on_no_list(address: str) -> str:
    """Where lists are not asked, as in training."""
    return ""


def moves_of(
    move: WalletMove, time: int, median_gas_price_wei: int | None, fame: Fame, listed: Listed = on_no_list
) -> Move | TokenMove:
    """What a profile counts of a move of wallet.activity, at `time` (unix seconds); serving and training both go through here.

    `median_gas_price_wei` is what others pay at the time, None where nobody knows. What failed moved no value, and neither did
    what a wallet sent to itself: both count as going out, and so does a swap, by the token sold (but see `counting`).
    """
    side = IN if move.direction == "in" else OUT
    peer = move.peer
    peer_fame = 0.0 if peer is None else fame(peer)
    lists = "" if peer is None or move.direction == "self" else listed(peer)
    if move.kind != "transaction":
        token = move.token or ""
        return TokenMove(time, side, peer, token, _nothing(move), peer_fame, fame(token), lists)
    failed = move.status == 0
    value = 0 if failed or move.direction == "self" or move.value_wei is None else max(0, int(move.value_wei))
    price = move.gas_price_wei
    against = price / median_gas_price_wei if price is not None and median_gas_price_wei else None
    price_digits = digits(price) if price else 0
    selector = move.selector or "0x"
    return Move(
        time, side, peer, value, move.gas_limit, move.gas_used, against, price_digits, selector, failed, peer_fame, lists
    )  # fmt: skip


def _nothing(move: WalletMove) -> bool:
    """Whether the token amount is known to be zero."""
    if move.amount_raw is not None:
        return int(move.amount_raw) == 0
    return move.amount is not None and Decimal(move.amount) == 0


def counting(moves: Sequence[WalletMove]) -> Sequence[WalletMove]:
    """What counts of a wallet's moves in a block: no swap that transfers of its transaction tell of, too.

    Training knows transfers alone, and a swap of several pools has one swap for each of them.
    """
    if len(moves) == 1:
        return moves
    swapped = {move.transaction_hash for move in moves if move.kind == "swap"}
    if not swapped:
        return moves
    told = {move.transaction_hash for move in moves if move.kind == "transfer"}
    return [move for move in moves if move.kind != "swap" or move.transaction_hash not in told]


class Said(NamedTuple):
    """What a block, in one revision, says of a wallet."""

    number: int
    revision: int
    time: int
    """Unix seconds of the block; 0 where that is not known, and then nothing counts."""
    moves: Moves
    """Those that count, in order."""
    more: int = 0
    """How many more there are."""


def said(view: WalletActivity, moves: Sequence[WalletMove], fame: Fame, listed: Listed = on_no_list) -> Said:
    """What a view, which is not a clock record, says of a wallet by these `moves`: nothing where its block was removed."""
    number, time = view.number or 0, view.timestamp
    if view.status == "removed" or time is None:
        return Said(number, view.revision, time or 0, ())
    median, moves = view.median_gas_price_wei, counting(moves)
    counted = [moves_of(move, time, median, fame, listed) for move in moves[:MOST]]
    return Said(number, view.revision, time, counted, len(moves) - len(counted))


@dataclass(slots=True)
class Windows:
    """The two profiles of a wallet. `old` is None where the younger one knows as much, `young` where nothing is known."""

    span: int = 0
    """In which span of `HOP_S` the younger one began, and the last move was."""
    old: Profile | None = None
    young: Profile | None = None

    @property
    def scored(self) -> Profile | None:
        """The one that knows more."""
        return self.old or self.young

    def add(self, moves: Iterable[Move | TokenMove]) -> None:
        """Count moves, in order."""
        for move in moves:
            young = self.young
            if young is None:
                self.span = move.time // HOP_S
                young = self.young = Profile()
            else:
                if move.time < young.last:
                    move = move._replace(time=young.last)
                if (span := move.time // HOP_S) != self.span:
                    self.old = young if span == self.span + 1 else None
                    self.span = span
                    young = self.young = Profile()
            _count(young, move)
            if self.old is not None:
                _count(self.old, move)


def _count(profile: Profile, move: Move | TokenMove) -> None:
    profile.move(move) if move.__class__ is Move else profile.token_move(move)  # type: ignore[arg-type]


def current(known: Known) -> Profile | None:
    """The profile to score of a row; None where no move counts."""
    return Memory(known).scored


def evidence(profile: Profile) -> int:
    """How many moves a profile knows."""
    came, went = profile.came, profile.went
    return came.moves + went.moves + came.tokens + went.tokens


class Memory:
    """What is known of a wallet, in hand: take contributions of blocks, then say what to score and what to keep.

    What it is made from stays as it is, but for what a busy wallet has `ready`, which it takes over. A row of a Soba whose profiles
    have other fields says nothing: its wallet begins anew.
    """

    __slots__ = ("_base", "_folded", "_folded_revision", "_head", "_more", "_numbers", "_packed", "kept", "number")

    def __init__(self, known: Known | None) -> None:
        self._packed: Packed | None = 0, None, None
        """The base as a row has it; None where `_base` knows more."""
        self._base: Windows | None = None
        """The base at work."""
        self._head: Head | None = None
        """With all that is kept."""
        if known is None or known.layout != LAYOUT:
            self.number = self._folded = self._folded_revision = -1
            self._more = 0
            self.kept: list[Kept] = []
            self._head = Head()
        else:
            self.number, self._folded, self._folded_revision = known.number, known.folded, known.folded_revision
            self._more = known.more
            self.kept = list(map(Kept._make, known.kept))
            self._packed = known.window, known.old, known.young
            if known.ready is not None:
                (self._base, self._head), known.ready = known.ready, None
        self._numbers = [one.number for one in self.kept]

    def take(self, said: Said) -> Verdict:
        """Take what a block says of the wallet: a newer revision replaces an older one."""
        number, revision, time, moves, more = said
        if number <= self._folded:
            return "duplicate" if revision <= self._folded_revision else "too_late"
        place = bisect_left(self._numbers, number)
        there = place < len(self._numbers) and self._numbers[place] == number
        if there and self.kept[place].revision >= revision:
            return "duplicate"
        one = Kept(number, revision, time, more, _written(moves))
        if there:
            self.kept[place], self._head = one, None
            return "new"
        last = place == len(self._numbers)
        self.kept.insert(place, one)
        self._numbers.insert(place, number)
        self.number = max(self.number, number)
        if self._head is not None and not (last and self._head.add(moves)):
            self._head = None
        self._fold()
        return "new"

    def _fold(self) -> None:
        """Fold what no late block of a chain should change any more."""
        past = bisect_left(self._numbers, self.number - KEPT_BLOCKS + 1)
        if not past:
            return
        base = self._base or _unpacked(self._packed)
        for one in self.kept[:past]:
            base.add(_read(one))
            self._folded = one.number
            self._folded_revision = max(self._folded_revision, one.revision)
            self._more += one.more
        del self.kept[:past], self._numbers[:past]
        if self._head is None and self._base is None:
            # The common case, a wallet that is here once: no second copy is needed.
            self._packed = _packed(base)
            self._head = _ahead(base, self.kept)
        else:
            self._base, self._packed = base, None

    @property
    def scored(self) -> Profile | None:
        """The profile to score; None where no move counts."""
        if self._head is None:
            if self._packed is None and self._base is not None:
                self._packed = _packed(self._base)
            self._head = _ahead(_unpacked(self._packed), self.kept)
        return self._head.profile

    def fields(self) -> dict[str, Any]:
        """The fields of `Known`."""
        if self._packed is None and self._base is not None:
            self._packed = _packed(self._base)
        window, old, young = self._packed or (0, None, None)
        return {
            "layout": LAYOUT,
            "number": self.number,
            "folded": self._folded,
            "folded_revision": self._folded_revision,
            "more": self._more,
            "window": window,
            "old": old,
            "young": young,
            "kept": self.kept,
            "ready": (self._base, self._head) if len(self.kept) >= BUSY else None,
        }


@dataclass(slots=True)
class Head:
    """The profile to score, the base and all that is kept in it, and in which span its newest move was."""

    span: int = 0
    profile: Profile | None = None

    def add(self, moves: Moves) -> bool:
        """Count moves of a newer block; False where another window is the one to score now."""
        if not moves:
            return True
        profile = self.profile
        if profile is None:
            self.span = moves[0].time // HOP_S
            profile = self.profile = Profile()
        for move in moves:
            if move.time < profile.last:
                move = move._replace(time=profile.last)
            if move.time // HOP_S != self.span:
                return False
            _count(profile, move)
        return True


def _ahead(base: Windows, kept: Iterable[Kept]) -> Head:
    """What is scored once what is kept is counted, too; `base` is used up."""
    for one in kept:
        base.add(_read(one))
    return Head(base.span, base.scored)


def _unpacked(packed: Packed | None) -> Windows:
    span, old, young = packed or (0, None, None)
    return Windows(span, None if old is None else unpack(old), None if young is None else unpack(young))


def _packed(windows: Windows) -> Packed:
    old, young = windows.old, windows.young
    return windows.span, None if old is None else pack(old), None if young is None else pack(young)


# A kept move as a line of words; no field of a move has a space in it. What is on no list says nothing of lists.


def _written(moves: Moves) -> str:
    return "\n".join([_line(move) for move in moves])


def _line(move: Move | TokenMove) -> str:
    if move.__class__ is TokenMove:
        _, side, peer, token, nothing, fame, token_fame, listed = move
        line = f"{side} {peer or ''} {token} {nothing:d} {fame or ''} {token_fame or ''}"
    else:
        _, side, peer, value, limit, used, price, price_digits, selector, failed, fame, listed = move  # type: ignore[misc]
        gas = f"{_told(limit)} {_told(used)} {_told(price)}"
        line = f"{side} {peer or ''} {value:x} {gas} {price_digits} {selector} {failed:d} {fame or ''}"
    return f"{line} {listed}" if listed else line


def _told(value: float | None) -> str:
    return "" if value is None else repr(value)


def _read(kept: Kept) -> list[Move | TokenMove]:
    return [_move(kept.time, line.split(" ")) for line in kept.moves.split("\n")] if kept.moves else []


def _move(time: int, words: list[str]) -> Move | TokenMove:
    side: Side = OUT if words[0] == "1" else IN
    if len(words) <= 7:
        _, peer, token, nothing, fame, token_fame, *listed = words
        return TokenMove(
            time, side, peer or None, token, nothing == "1", float(fame or 0), float(token_fame or 0), *listed
        )
    _, peer, value, limit, used, price, price_digits, selector, failed, fame, *listed = words
    return Move(
        time, side, peer or None, int(value, 16), int(limit) if limit else None, int(used) if used else None,
        float(price) if price else None, int(price_digits), selector, failed == "1", float(fame or 0), *listed,
    )  # fmt: skip
