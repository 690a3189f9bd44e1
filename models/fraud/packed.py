"""A profile as plain numbers and text, as it lies in a row: exact, and small where little is known.

A half in which nothing happened is 0 and so are moments without a value; moments of one value are that value alone, and a bitmap
is the places of its bits, three hex digits each, until all its digits are shorter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any
from zlib import crc32

from models.fraud.profile import BITS, NOTHING, Dealt, Distinct, Half, Moments, Move, Profile, TokenMove

Packed = list[Any]
_DIGITS = BITS // 4
_WIDE = "last_value"
"""A number of up to 256 bits, which most readers of JSON would round: in hex."""
LAYOUT = crc32(
    repr(
        [
            *((one.name, one.type) for kind in (Profile, Half, Moments, Dealt) for one in fields(kind)),
            *(BITS, Move._fields, TokenMove._fields),
        ]
    ).encode()
)
"""Tells rows of other versions of Soba, whose profiles have other fields: those mean nothing here."""


def pack(profile: Profile) -> Packed:
    """A profile as a list that JSON keeps exactly."""
    return [to(value) if to else value for to, value in zip(_PROFILE_TO, _profile(profile), strict=True)]


def unpack(packed: Sequence[Any]) -> Profile:
    """The profile that was packed.

    Raises:
        ValueError, TypeError: it is none of `pack`'s.
    """
    return Profile(*[back(value) if back else value for back, value in zip(_PROFILE_BACK, packed, strict=True)])


def _pack_half(half: Half) -> Packed | int:
    if not half.moves and not half.tokens:
        return 0
    return [to(value) if to else value for to, value in zip(_HALF_TO, _half(half), strict=True)]


def _unpack_half(packed: Any) -> Half:
    if packed == 0:
        return Half()
    return Half(*[back(value) if back else value for back, value in zip(_HALF_BACK, packed, strict=True)])


def _pack_moments(moments: Moments) -> Any:
    count = moments.count
    if count == 0:
        return 0
    if count == 1:
        return [moments.mean]
    return [count, moments.mean, moments.squares, moments.low, moments.high]


def _unpack_moments(packed: Any) -> Moments:
    if packed == 0:
        return NOTHING
    if len(packed) == 1:
        (value,) = packed
        return Moments(1, value, 0.0, value, value)
    return Moments(*packed)


def _pack_bits(distinct: Distinct) -> str:
    bits = distinct
    if not bits:
        return ""
    if bits.bit_count() * 3 >= _DIGITS:
        return f"{bits:0{_DIGITS}x}"
    places = []
    while bits:
        place = bits.bit_length() - 1
        places.append(f"{place:03x}")
        bits ^= 1 << place
    return "".join(places)


def _unpack_bits(packed: str) -> Distinct:
    if len(packed) == _DIGITS:
        return int(packed, 16)
    bits = 0
    for at in range(0, len(packed), 3):
        bits |= 1 << int(packed[at : at + 3], 16)
    return bits


def _pack_dealt(dealt: Dealt | None) -> Packed | int:
    return 0 if dealt is None else [dealt.moves, hex(dealt.wei), dealt.tokens, dealt.last, dealt.peer, dealt.lists]


def _unpack_dealt(packed: Any) -> Dealt | None:
    if packed == 0:
        return None
    moves, wei, *rest = packed
    return Dealt(moves, int(wei, 16), *rest)


_Form = Callable[[Any], Any] | None
_FORMS: dict[str, tuple[_Form, _Form]] = {
    "int": (None, None),
    "float": (None, None),
    "Moments": (_pack_moments, _unpack_moments),
    "Distinct": (_pack_bits, _unpack_bits),
    "Half": (_pack_half, _unpack_half),
    "Dealt | None": (_pack_dealt, _unpack_dealt),
    _WIDE: (hex, lambda packed: int(packed, 16)),
}
"""By a field's type, or its name: how its value is packed and unpacked; None: as it is."""


def _forms(kind: type[Profile] | type[Half]) -> tuple[Callable[[Any], Any], list[_Form], list[_Form]]:
    told = fields(kind)
    found = [_FORMS[one.name if one.name == _WIDE else str(one.type)] for one in told]
    return attrgetter(*(one.name for one in told)), [to for to, _ in found], [back for _, back in found]


_profile, _PROFILE_TO, _PROFILE_BACK = _forms(Profile)
_half, _HALF_TO, _HALF_BACK = _forms(Half)
