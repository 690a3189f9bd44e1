"""What one block said of a wallet, as its row keeps it: a few lines of words, which nobody reads while nothing has to be recounted.

The first line is number, revision, time and how many moves there are beyond those that count; then one for each that counts. No
field of a move but the last has a space in it; what is on no list says nothing of lists.
"""

from __future__ import annotations

from typing import NamedTuple

from models.fraud.profile import IN, OUT, Move, Side, TokenMove
from models.fraud.said import Said


class Kept(NamedTuple):
    """What the first line says."""

    number: int
    revision: int
    time: int
    """Unix seconds of the block."""
    more: int
    """Moves beyond those that count."""


def write(said: Said) -> str:
    """What a block says, as text."""
    number, revision, time, moves, more = said
    text = f"{number} {revision} {time} {more}"
    for move in moves:
        text += f"\n{_line(move)}"
    return text


def head(text: str) -> Kept:
    """What the first line of a text says."""
    number, revision, time, more = text.partition("\n")[0].split(" ")
    return Kept(int(number), int(revision), int(time), int(more))


def number(text: str) -> int:
    """The block that a text is of."""
    return int(text[: text.index(" ")])


def moves(text: str) -> list[Move | TokenMove]:
    """The moves of a text."""
    first, *lines = text.split("\n")
    time = int(first.split(" ")[2])
    return [_move(time, line.split(" ")) for line in lines]


def _line(move: Move | TokenMove) -> str:
    if move.__class__ is TokenMove:
        _, side, peer, token, nothing, fame, token_fame, listed = move
        line = f"{side} {'' if peer is None else peer} {token} {'1' if nothing else ''} {fame or ''} {token_fame or ''}"
    else:
        _, side, peer, value, limit, used, price, price_digits, selector, failed, fame, listed = move  # type: ignore[misc]
        gas = f"{'' if limit is None else limit} {'' if used is None else used} {'' if price is None else price} {price_digits}"
        line = f"{side} {'' if peer is None else peer} {value:x} {gas} {selector} {'1' if failed else ''} {fame or ''}"
    return f"{line} {listed}" if listed else line


def _slot(word: str) -> int | None:
    return int(word) if word else None


def _move(time: int, words: list[str]) -> Move | TokenMove:
    side: Side = OUT if words[0] == "1" else IN
    if len(words) <= 8:
        _, peer, token, nothing, fame, token_fame, *listed = words
        return TokenMove(
            time,
            side,
            _slot(peer),
            int(token),
            nothing == "1",
            float(fame or 0),
            float(token_fame or 0),
            " ".join(listed),
        )
    _, peer, value, limit, used, price, price_digits, selector, failed, fame, *listed = words
    return Move(
        time, side, _slot(peer), int(value, 16), int(limit) if limit else None, int(used) if used else None,
        float(price) if price else None, int(price_digits), selector, failed == "1", float(fame or 0), " ".join(listed),
    )  # fmt: skip
