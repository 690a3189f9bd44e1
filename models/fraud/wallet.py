"""What is kept of a wallet over blocks, so that its profiles are the same whatever order blocks come in.

Blocks may say something else later, or be removed. So what the last 64 blocks of a wallet's chain or more said of it is kept as it
came, and only what is older is folded into the base, once and in order: whatever comes within those, in any order and however
often, ends in the same.

Blocks are taken in spans of 64 by their numbers. Beside the base, which knows what came before the span before the newest block's,
lies what was known when the newest block's began (`turn`). When a span begins, what is known becomes the turn and the turn the
base: as long as blocks come in order, each move is counted once.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, Literal

from models.fraud import kept
from models.fraud.layout import MOVES, TOKENS
from models.fraud.packed import LAYOUT
from models.fraud.profile import Profile
from models.fraud.said import Said
from models.fraud.windows import Windows
from topics.schemas.wallet import Known

SPAN = 64
"""Blocks by number; so many before the newest are kept at least, and fewer than twice as many."""

AGAIN = 2
"""Kept blocks from which on a row in memory has all ready: most wallets are not seen twice, and one block is soon counted again."""

Verdict = Literal["new", "duplicate", "too_late"]


def current(known: Known) -> Profile | None:
    """The profile to score of a row; None where no move counts."""
    return Memory(known).scored


def last_time(known: Known) -> int | None:
    """When the newest block was that says something of a row's wallet, unix seconds; None where that is not known."""
    return kept.head(known.kept[-1]).time if known.kept and known.layout == LAYOUT else None


def evidence(profile: Profile) -> int:
    """How many moves a profile knows."""
    came, went = profile.came, profile.went
    return int(came.numbers[MOVES] + went.numbers[MOVES] + came.transfers[TOKENS] + went.transfers[TOKENS])


class Memory:
    """What is known of a wallet, in hand: take contributions of blocks, then say what to score and what to keep.

    A row of a Soba whose profiles have other fields says nothing: its wallet begins anew.
    """

    __slots__ = (
        "_base", "_folded", "_folded_revision", "_head", "_kept", "_more", "_stale", "_turn", "number",
    )  # fmt: skip

    def __init__(self, known: Known | None = None) -> None:
        self._head: Windows | None = None
        """With all that is kept; None where that has to be counted first."""
        self._stale = False
        """Whether `_turn` does not know all of what it should."""
        if known is None or known.layout != LAYOUT:
            self.number = self._folded = self._folded_revision = -1
            self._more = 0
            self._base: str | None = None
            self._turn: str | None = None
            """None where it is the base."""
            self._kept: list[str] = []
            self._head = Windows()
            return
        self.number, self._folded, self._folded_revision = known.number, known.folded, known.folded_revision
        self._more, self._base, self._turn, self._kept = known.more, known.base, known.turn, known.kept.copy()

    @classmethod
    def of(cls, known: Known) -> Memory:
        """That of a row: the one that is ready, which it then has no more, or else made of what the row says.

        A row never changes otherwise: who fails with what was ready finds in it what was so before. Who took in nothing new may
        give it back.
        """
        there = vars(known)  # what pydantic asks of each assignment costs as much as all else here
        ready, there["ready"] = there["ready"], None
        return ready if isinstance(ready, Memory) else cls(known)

    def take(self, said: Said) -> Verdict:
        """Take what a block says of the wallet: a newer revision replaces an older one."""
        number, revision = said.number, said.revision
        if number > self.number:
            if number // SPAN != self.number // SPAN and self.number >= 0:
                self._begin(number)
            self.number = number
            self._kept.append(kept.write(said))
            if self._head is not None:
                self._head.add(said.moves)
            return "new"
        if number <= self._folded:
            return "duplicate" if revision <= self._folded_revision else "too_late"
        place = self._place(number)
        there = kept.head(self._kept[place]) if place < len(self._kept) else None
        if there is None or there.number != number:
            self._kept.insert(place, kept.write(said))
        elif there.revision < revision:
            self._kept[place] = kept.write(said)
        else:
            return "duplicate"
        self._head = None
        if number < _start(self.number):
            self._stale = True
            self._known()
        return "new"

    def _begin(self, number: int) -> None:
        """Take in that a block of a later span than the newest is to come."""
        known = self._known().packed()
        next_one = _start(number) == _start(self.number) + SPAN
        if next_one:
            self._base = self._base if self._turn is None else self._turn
            self._turn = None if known == self._base else known
        else:
            self._base, self._turn = known, None
        self._fold(self._place(_start(number) - SPAN))

    def _fold(self, many: int) -> None:
        """Let go of the first so many that are kept: the base knows them."""
        for text in self._kept[:many]:
            self._folded, revision, _, more = kept.head(text)
            self._folded_revision = max(self._folded_revision, revision)
            self._more += more
        del self._kept[:many]

    def _place(self, number: int) -> int:
        """Where a block is, or would be, among those that are kept."""
        return bisect_left(self._kept, number, key=kept.number)

    def _known(self) -> Windows:
        """All that is known."""
        if self._head is not None:
            return self._head
        start = _start(self.number)
        if self._stale:
            windows = Windows.unpacked(self._base)
            if past := self._place(start - SPAN):
                self._count(windows, 0, past)
                self._base = windows.packed()
                self._fold(past)
            self._count(windows, 0, self._place(start))
            turn = windows.packed()
            self._turn, self._stale = None if turn == self._base else turn, False
        else:
            windows = Windows.unpacked(self._base if self._turn is None else self._turn)
        self._count(windows, self._place(start), len(self._kept))
        self._head = windows
        return windows

    def _count(self, windows: Windows, first: int, end: int) -> None:
        for text in self._kept[first:end]:
            windows.add(kept.moves(text))

    @property
    def scored(self) -> Profile | None:
        """The profile to score; None where no move counts."""
        return self._known().scored

    def fields(self) -> dict[str, Any]:
        """The fields of `Known`."""
        return {
            "layout": LAYOUT,
            "number": self.number,
            "folded": self._folded,
            "folded_revision": self._folded_revision,
            "more": self._more,
            "base": self._base,
            "turn": self._turn,
            "kept": self._kept.copy(),
            "ready": self.ready,
        }

    @property
    def ready(self) -> Memory | None:
        """What a row in memory has ready: it, where that saves counting again."""
        return self if len(self._kept) >= AGAIN else None


def _start(number: int) -> int:
    """The first block of a block's span."""
    return number // SPAN * SPAN
