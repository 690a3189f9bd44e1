"""A profile as one word of text, as it lies in a row: exact, small where little is known, and cheap to make and to read.

Numbers are those that are not 0, each with its place; a bitmap is the places of its bits until they would be no shorter than all
its bytes. Bytes are little-endian and in base64; what was dealt with listed addresses, which few wallets did, follows as JSON.
"""

from __future__ import annotations

import json
from binascii import a2b_base64, b2a_base64
from itertools import accumulate, compress, pairwise
from struct import Struct
from zlib import crc32

from models.fraud.bitmaps import BITS, ONE, marked
from models.fraud.half import NO_TRANSACTIONS, NO_TRANSFERS, Dealt, Half
from models.fraud.layout import OWN, OWN_SEEN, SEEN, TOKENS_SEEN, TRANSACTIONS, TRANSFERS
from models.fraud.profile import Move, Profile, TokenMove

_NAMES = TRANSACTIONS, TRANSFERS, OWN, SEEN, TOKENS_SEEN, OWN_SEEN
LAYOUT = crc32(repr([3, _NAMES, BITS, Dealt.__slots__, Move._fields, TokenMove._fields]).encode())
"""Tells rows of other versions of Soba, whose profiles have other fields: those mean nothing here."""

_ENDS = list(accumulate(map(len, (TRANSACTIONS, TRANSFERS, TRANSACTIONS, TRANSFERS, OWN)), initial=0))
_NUMBERS = _ENDS[-1]
_PARTS = [bytes(range(first, end)) for first, end in pairwise(_ENDS)]
"""Places of the numbers of each half's transactions and transfers, and of those of both."""
_DOUBLES = [Struct(f"<{many}d") for many in range(_NUMBERS + 1)]
_BITMAPS = 2 * len((*SEEN, *TOKENS_SEEN)) + len(OWN_SEEN)
_BYTES = BITS // 8
_FEW = 16
"""So many bits of a bitmap are told one by one, at most; more by all its bytes."""
_SHORTS = [Struct(f"<{many}H") for many in range(_BITMAPS * _FEW + 1)]


def pack(profile: Profile) -> str:
    """A profile as a word without a space, or two where it dealt with listed addresses."""
    came, went = profile.came, profile.went
    places, numbers = b"", list[float]()
    parts = came.numbers, came.transfers, went.numbers, went.transfers, profile.own
    for part, some in zip(_PARTS, parts, strict=True):
        if some is not NO_TRANSACTIONS and some is not NO_TRANSFERS:
            places += bytes(compress(part, some))
            numbers += filter(None, some)
    few: list[int] = []
    wide: list[bytes] = []
    for which, bits in enumerate(
        (
            *(came.peers, came.selectors, came.token_peers, went.peers, went.selectors, went.token_peers),
            *(profile.hours, profile.days, profile.tokens, profile.peers),
        )
    ):
        if not bits:
            continue
        if bits.bit_count() > _FEW:
            wide += bytes((which,)), bits.to_bytes(_BYTES, "little")
            continue
        while bits:
            place = bits.bit_length() - 1
            few.append(BITS * which + place)
            bits ^= ONE[place]
    head = bytes((len(places), len(few), len(wide) // 2))
    doubles, shorts = _DOUBLES[len(places)].pack(*numbers), _SHORTS[len(few)].pack(*few)
    told = b2a_base64(b"".join((head, places, doubles, shorts, *wide)), newline=False).decode()
    if came.listed is None and went.listed is None:
        return told
    return f"{told} {json.dumps([_pack_dealt(came.listed), _pack_dealt(went.listed)])}"


def unpack(packed: str) -> Profile:
    """The profile that was packed.

    Raises:
        ValueError, IndexError, struct.error: it is none of `pack`'s.
    """
    word, _, listed = packed.partition(" ")
    told = a2b_base64(word)
    many, few, wide = told[0], told[1], told[2]
    doubles = 3 + many
    shorts = doubles + 8 * many
    rest = shorts + 2 * few
    numbers, seen = [0.0] * _NUMBERS, [0] * _BITMAPS
    for place, value in zip(told[3:doubles], _DOUBLES[many].unpack_from(told, doubles), strict=True):
        numbers[place] = value
    for one in _SHORTS[few].unpack_from(told, shorts):
        seen[one // BITS] = marked(seen[one // BITS], ONE[one % BITS])
    for at in range(rest, rest + wide * (1 + _BYTES), 1 + _BYTES):
        seen[told[at]] = int.from_bytes(told[at + 1 : at + 1 + _BYTES], "little")
    got, paid = map(_unpack_dealt, json.loads(listed)) if listed else (None, None)
    came, tokens_came, went, tokens_went, own = (numbers[first:end] for first, end in pairwise(_ENDS))
    return Profile(
        Half(_some(came) or NO_TRANSACTIONS, _some(tokens_came) or NO_TRANSFERS, seen[0], seen[1], seen[2], got),
        Half(_some(went) or NO_TRANSACTIONS, _some(tokens_went) or NO_TRANSFERS, seen[3], seen[4], seen[5], paid),
        own,
        *seen[6:],
    )


def _some(numbers: list[float]) -> list[float] | None:
    """Numbers where there are some: how many moves there were is the first of them."""
    return numbers if numbers[0] else None


def _pack_dealt(dealt: Dealt | None) -> list[object] | None:
    """Wei in hex: most readers of JSON would round a number of up to 256 bits."""
    return None if dealt is None else [dealt.moves, hex(dealt.wei), dealt.tokens, dealt.last, dealt.peer, dealt.lists]


def _unpack_dealt(packed: list[object] | None) -> Dealt | None:
    if packed is None:
        return None
    moves, wei, *rest = packed
    return Dealt(moves, int(str(wei), 16), *rest)  # type: ignore[arg-type]
