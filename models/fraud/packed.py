"""A profile as plain numbers and text, as it lies in a row: exact, and small where little is known.

A half in which nothing happened is 0 and so are moments without a value; moments of one value are that value alone, and a bitmap
is the places of its bits, three hex digits each, until all its digits are shorter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from models.fraud.profile import BITS, Distinct, Half, Moments, Profile

Packed = list[Any]
_DIGITS = BITS // 4


def pack(profile: Profile) -> Packed:
    """A profile as a list that JSON keeps exactly: its fields in order."""
    return [how(value) for how, value in zip(_PACK_PROFILE, _of_profile(profile), strict=True)]


def unpack(packed: Sequence[Any]) -> Profile:
    """The profile that was packed.

    Raises:
        ValueError, TypeError: it is none of `pack`'s.
    """
    return Profile(*[how(value) for how, value in zip(_UNPACK_PROFILE, packed, strict=True)])


def _pack_half(half: Half) -> Packed | int:
    if not half.moves and not half.tokens:
        return 0
    return [how(value) for how, value in zip(_PACK_HALF, _of_half(half), strict=True)]


def _unpack_half(packed: Any) -> Half:
    return Half() if packed == 0 else Half(*[how(value) for how, value in zip(_UNPACK_HALF, packed, strict=True)])


def _same(value: Any) -> Any:
    return value


def _hex(value: int) -> str:
    return f"{value:x}"  # up to 256 bits, which most readers of JSON would round


def _unhex(text: str) -> int:
    return int(text, 16)


def _pack_moments(moments: Moments) -> Any:
    count = moments.count
    if count == 0:
        return 0
    if count == 1:
        return [moments.mean]
    return [count, moments.mean, moments.squares, moments.low, moments.high]


def _unpack_moments(packed: Any) -> Moments:
    if packed == 0:
        return Moments()
    if len(packed) == 1:
        (value,) = packed
        return Moments(1, value, 0.0, value, value)
    return Moments(*packed)


def _pack_bits(distinct: Distinct) -> str:
    bits = distinct.bits
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
        return Distinct(int(packed, 16))
    bits = 0
    for at in range(0, len(packed), 3):
        bits |= 1 << int(packed[at : at + 3], 16)
    return Distinct(bits)


_Ways = dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]]
_BY_TYPE: _Ways = {
    "int": (_same, _same),
    "float": (_same, _same),
    "Moments": (_pack_moments, _unpack_moments),
    "Distinct": (_pack_bits, _unpack_bits),
    "Half": (_pack_half, _unpack_half),
}
_BY_NAME: _Ways = {"last_value": (_hex, _unhex)}


def _ways(kind: type[Half] | type[Profile], place: int) -> list[Callable[[Any], Any]]:
    """How each field is packed (`place` 0) or unpacked (1)."""
    return [(_BY_NAME.get(field.name) or _BY_TYPE[str(field.type)])[place] for field in fields(kind)]


_PACK_HALF, _UNPACK_HALF = _ways(Half, 0), _ways(Half, 1)
_PACK_PROFILE, _UNPACK_PROFILE = _ways(Profile, 0), _ways(Profile, 1)
_of_half = attrgetter(*[field.name for field in fields(Half)])
_of_profile = attrgetter(*[field.name for field in fields(Profile)])
