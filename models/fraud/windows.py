"""The windows of chain time that a wallet's moves become profiles in.

A profile covers two spans of 45 days and a new one begins with each span, so that the older of two, which is the one to score,
always knows 45 to 90 days. Time never goes back within it: a block that says so counts at the time of the one before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from models.fraud.layout import LATEST
from models.fraud.packed import pack, unpack
from models.fraud.profile import DAY_S, Move, Profile, TokenMove

HOP_S = 45 * DAY_S


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
                if move.time < (latest := young.own[LATEST]):
                    move = move._replace(time=int(latest))
                if (span := move.time // HOP_S) != self.span:
                    self.old = young if span == self.span + 1 else None
                    self.span = span
                    young = self.young = Profile()
            for profile in (young,) if self.old is None else (young, self.old):
                profile.move(move) if isinstance(move, Move) else profile.token_move(move)

    def packed(self) -> str | None:
        """As it lies in a row: the span and its one or two profiles, a line each; None where nothing is known."""
        if self.young is None:
            return None
        told = f"{self.span}\n{pack(self.young)}"
        return told if self.old is None else f"{told}\n{pack(self.old)}"

    @classmethod
    def unpacked(cls, packed: str | None) -> Windows:
        """What was packed."""
        if packed is None:
            return cls()
        span, young, *old = packed.split("\n")
        return cls(int(span), unpack(old[0]) if old else None, unpack(young))
