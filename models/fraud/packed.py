"""A profile as plain numbers and text, as it lies in a row: exact, and small where little is known.

A half in which nothing happened is 0 and so are moments without a value; moments of one value are that value alone, and a bitmap
is the places of its bits, three hex digits each, until all its digits are shorter.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from models.fraud.profile import BITS, Distinct, Half, Moments, Profile

Packed = list[Any]
_DIGITS = BITS // 4
_HALF_NUMBERS = (
    "moves", "failed", "zero", "calls", "plain", "whole_price", "tenths", "hundredths", "again", "fresh", "total", "last",
    "tokens", "empty_tokens",
)  # fmt: skip
_HALF_MOMENTS = ("value", "gap", "gas_limit", "gas_share", "gas_price", "fame", "token_fame", "coin_fame")
_HALF_DISTINCT = ("peers", "selectors", "token_peers")
_NUMBERS = ("first", "last", "created", "bursts", "quick", "drains", "balance", "peak", "sine", "cosine")
_MOMENTS = ("delay", "gap")
_DISTINCT = ("hours", "days", "tokens", "peers")
_half_numbers, _half_moments, _half_distinct = map(
    lambda names: attrgetter(*names), (_HALF_NUMBERS, _HALF_MOMENTS, _HALF_DISTINCT)
)
_numbers, _moments, _distinct = map(lambda names: attrgetter(*names), (_NUMBERS, _MOMENTS, _DISTINCT))


def pack(profile: Profile) -> Packed:
    """A profile as a list that JSON keeps exactly."""
    return [
        *_numbers(profile),
        *map(_pack_moments, _moments(profile)),
        *map(_pack_bits, _distinct(profile)),
        _pack_half(profile.came),
        _pack_half(profile.went),
    ]


def unpack(packed: Sequence[Any]) -> Profile:
    """The profile that was packed.

    Raises:
        ValueError, TypeError: it is none of `pack`'s.
    """
    first, last, created, bursts, quick, drains, balance, peak, sine, cosine, *rest = packed
    delay, gap, hours, days, tokens, peers, came, went = rest
    return Profile(
        first, last, _unpack_half(came), _unpack_half(went), created, bursts, quick, drains, balance, peak,
        _unpack_moments(delay), _unpack_moments(gap),
        _unpack_bits(hours), _unpack_bits(days), _unpack_bits(tokens), _unpack_bits(peers), sine, cosine,
    )  # fmt: skip


def _pack_half(half: Half) -> Packed | int:
    if not half.moves and not half.tokens:
        return 0
    return [
        *_half_numbers(half),
        f"{half.last_value:x}",  # up to 256 bits, which most readers of JSON would round
        *map(_pack_moments, _half_moments(half)),
        *map(_pack_bits, _half_distinct(half)),
    ]


def _unpack_half(packed: Any) -> Half:
    if packed == 0:
        return Half()
    (
        moves, failed, zero, calls, plain, whole_price, tenths, hundredths, again, fresh, total, last, tokens, empty_tokens,
        last_value, value, gap, gas_limit, gas_share, gas_price, fame, token_fame, coin_fame, peers, selectors, token_peers,
    ) = packed  # fmt: skip
    return Half(
        moves, failed, zero, calls, plain, whole_price, tenths, hundredths, again, fresh, total, last, int(last_value, 16),
        _unpack_moments(value), _unpack_moments(gap), _unpack_moments(gas_limit), _unpack_moments(gas_share),
        _unpack_moments(gas_price), _unpack_moments(fame), _unpack_bits(peers), _unpack_bits(selectors),
        tokens, empty_tokens, _unpack_moments(token_fame), _unpack_moments(coin_fame), _unpack_bits(token_peers),
    )  # fmt: skip


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
