"""What `soba fuzz` throws at the pipeline: hypothesis strategies for values of chain.events, from good to not JSON at all."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from zlib import crc32

import orjson
from hypothesis import strategies as st

from base.settings import ROOT
from console.bench.events import BLOCK_EVENTS, blocks
from ingest.files import read_blocks
from topics.schemas.chain import Block, Liquidation, Liquidity, Swap, Sync, Transaction, Transfer

REAL = ("ethereum-18999999-real", "ethereum-12674514", "ethereum-13323642")
"""Shipped blocks whose events are bent."""
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Literal:
    """JSON text, or what somebody takes for it, written as it stands."""

    text: str


@dataclass(frozen=True, slots=True)
class Pairs:
    """An object whose keys may repeat, or be no text at all."""

    pairs: tuple[tuple[Any, Any], ...]


def write(value: Any, ascii: bool = True) -> str:
    """JSON of a value that may hold `Literal` and `Pairs`."""
    if isinstance(value, Literal):
        return value.text
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{write(k, ascii)}:{write(v, ascii)}" for k, v in value.pairs) + "}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{write(k, ascii)}:{write(v, ascii)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(write(one, ascii) for one in value) + "]"
    return json.dumps(value, ensure_ascii=ascii)


LITERALS = [
    Literal(text)
    for text in (
        "NaN", "Infinity", "-Infinity", "-NaN", "nan", "1e400", "-1e400", "1e-400", "-0", "-0.0", "01", "1.", ".5", "+1", "0x10",
        "1_000", "1e5", "5.0", "1E+2", "9" * 78, "9" * 79, "-" + "9" * 78, "9" * 400, "9" * 4_300, "9" * 4_301, "1" * 20_000,
        "0." + "0" * 200 + "1", str(2**63), str(2**63 - 1), str(-(2**63)), str(-(2**63) - 1), str(2**64), str(2**256), "True",
        "None", "undefined", "'x'", '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\x00"', '"\x00"', '"\n"', '"\\u12"', '"',
        "[]]", "{}}", "[1,]", '{"a":1,}', "/*x*/1", "[" * 30 + "]" * 30, "[" * 210 + "]" * 210, '{"a":' * 210 + "1" + "}" * 210,
    )
]  # fmt: skip
TEXTS = [
    "", " ", "0x", "0X" + "ab" * 20, "0x" + "g" * 40, "0x" + "A" * 40, "0x" + "aB" * 20, "0x" + "1" * 40 + "\n", "0x" + "１" * 40,
    "0x" + "ab" * 32, "0x" + "AB" * 32, "0x" + "ab" * 32 + " ", "0x" + "ab" * 33, "\ud800", "\udfff\ud800", "\x00", "\u202e0x12",
    "\ufeff", "é" * 33, "e\u0301", "ﬀ", "İ", "ß", "\u2028", "𝟙", "٣", "1e5", "1E99", "1e-99", "-1", "-0", "0", "00", "+5", "1" * 79,
    "NaN", "inf", "1.5.2", "0." + "0" * 77 + "1", "2023-04-08T00:00:11Z", "2023-13-40T00:00:00Z", "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00Z", "0001-01-01T00:00+23:59", "2023-04-08 00:00", "١٢٣٤-01-01T00:00", "swap", "SWAP", "teleport",
    "__class__", "$ref", "'; DROP", "{{7*7}}", "A" * 300, "\U0001f980" * 70, "WETH", "weth", "soba\r\nX: y", "complete", "removed",
]  # fmt: skip
NUMBERS = [
    0,
    1,
    -1,
    5,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    2**64,
    10**30,
    10**78,
    1e308,
    0.1,
    -0.0,
    1.5,
    1e22,
]

_FIELDS = sorted(
    {
        name
        for model in (Swap, Transfer, Sync, Liquidity, Liquidation, Transaction, Block)
        for name in model.model_fields
    }
)
fields = st.sampled_from(_FIELDS)
chars = st.characters(codec=None)  # lone surrogates too
scalars = st.one_of(
    st.sampled_from([None, True, False, *NUMBERS]),
    st.sampled_from(TEXTS),
    st.sampled_from(LITERALS),
    st.integers(),
    st.floats(),
    st.text(chars, max_size=12),
)
keys = st.one_of(fields, st.sampled_from(TEXTS), st.text(chars, max_size=6))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(st.tuples(keys, inner), max_size=4).map(lambda pairs: Pairs(tuple(pairs))),
    ),
    max_leaves=6,
)


@cache
def _events() -> list[dict[str, Any]]:
    """Good events, each complete when it comes alone: of shipped real blocks, and one of each type."""
    found: list[dict[str, Any]] = []
    for name in REAL:
        (one,) = read_blocks(ROOT / "samples" / "blocks" / name)
        block = orjson.loads(one.block.model_dump_json(exclude_none=True))
        about = {"chain_id": block["chain_id"], "block_number": block["number"]}
        about["timestamp"] = block.get("timestamp", 1_700_000_000)
        found += [{**event, **about} for event in block["events"][:60]]
    made = next(blocks(1))
    found += [orjson.loads(value) for value, reason in zip(made.values, made.reasons, strict=True) if reason is None][
        : BLOCK_EVENTS // 2
    ]
    return found


@cache
def _transactions() -> list[dict[str, Any]]:
    (one,) = read_blocks(ROOT / "samples" / "blocks" / REAL[0])
    block = orjson.loads(one.block.model_dump_json(exclude_none=True))
    found: list[dict[str, Any]] = block["transactions"][:40]
    return found


@st.composite
def bent(draw: st.DrawFn, of: Any) -> Any:
    """A good object of the list that `of` returns, with none to three things done to it."""
    good = of()
    found = dict(good[draw(st.integers(0, len(good) - 1))])
    twice: list[tuple[Any, Any]] = []
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(sorted(found))) if found else "event_type"
        deed = draw(st.integers(0, 7))
        if deed == 0:
            found.pop(name, None)
        elif deed == 1:
            found[name] = draw(scalars)
        elif deed == 2:
            twice.append((name, draw(scalars)))
        elif deed == 3:
            found[draw(keys)] = draw(values)
        elif deed == 4:
            found[draw(fields)] = draw(scalars)
        elif deed == 5:
            found[name] = [found.get(name)]
        elif deed == 6:
            found[name] = str(found.get(name)).upper()
        else:
            found[name] = None
    return Pairs((*found.items(), *twice)) if twice else found


events = bent(_events)
elements = st.one_of(events, events, events, values)


@st.composite
def envelopes(draw: st.DrawFn) -> Any:
    """A block envelope, bent."""
    number = draw(st.sampled_from([0, 12_674_514, 13_323_642, 17_000_000, 2**63 - 1]))
    inside: list[Any] = []
    for event in draw(st.lists(elements, max_size=4)):
        if isinstance(event, dict) and draw(st.booleans()):
            event = {name: one for name, one in event.items() if name not in ("chain_id", "block_number", "timestamp")}
        inside.append(event)
    found: dict[str, Any] = {
        "chain_id": draw(st.sampled_from([1, 1, 1, 10, 56, 2**63 - 1])),
        "number": number,
        "status": draw(st.sampled_from(["complete", "complete", "partial", "removed"])),
        "events": inside,
    }
    if draw(st.booleans()):
        found["transactions"] = draw(st.lists(bent(_transactions), max_size=3))
    if draw(st.booleans()):
        found |= {"hash": draw(st.sampled_from(["0x" + "ab" * 32, "0x" + "AB" * 32])), "timestamp": 1_700_000_000}
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        found[draw(st.one_of(st.sampled_from(sorted(found)), keys))] = draw(values)
    return found


arrays = st.lists(elements, max_size=5)
ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7", "latin-1", "cp037")


@st.composite
def encoded(draw: st.DrawFn, shape: st.SearchStrategy[Any]) -> bytes:
    """A value as bytes, mostly as JSON says."""
    text = write(draw(shape), draw(st.booleans()))
    encoding = draw(st.sampled_from((*("utf-8",) * 20, *ENCODINGS)))
    # Without an error handler of its own a surrogate would raise here: as bytes it is what a careless producer sends.
    return text.encode(encoding, errors="surrogatepass" if encoding.startswith("utf-") else "replace")


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """Bytes of a value, cut, doubled or damaged."""
    value = draw(encoded(st.one_of(events, envelopes(), arrays)))
    at = draw(st.integers(0, max(0, len(value) - 1)))
    deed = draw(st.integers(0, 7))
    if deed == 0:
        return value[:at]
    if deed == 1:
        return value[:at] + draw(st.binary(min_size=1, max_size=4)) + value[at + 1 :]
    if deed == 2:
        return value[:at] + bytes([value[at] ^ (1 << draw(st.integers(0, 7)))]) + value[at + 1 :] if value else b""
    if deed == 3:
        return value + draw(st.sampled_from([b",", b"]", b"}", b"\x00", b" ", b"\n{}", b",1,", b"],[", value]))
    if deed == 4:
        return draw(st.sampled_from([b"\x00", b"\xef\xbb\xbf", b" " * 50, b"[", b"{", b"]", b","])) + value
    if deed == 5:
        return value[at:]
    if deed == 6:
        return value.replace(
            draw(st.sampled_from([b'"', b":", b"{", b",", b"e", b"0x"])), draw(st.binary(max_size=2)), 1
        )
    return value.replace(b'"', b"'")


@st.composite
def nested(draw: st.DrawFn) -> bytes:
    """Brackets inside brackets, closed or not, also within an event."""
    depth = draw(st.sampled_from([2, 50, 120, 190, 198, 199, 200, 201, 255, 1_000, 20_000, 100_000]))
    opening, closing = draw(st.sampled_from([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"events":', b"}]"), (b"[[],", b"]")]))
    inner = opening * depth + b"1" + closing * draw(st.sampled_from([depth, depth, depth - 1, depth + 1, 0]))
    place = draw(st.integers(0, 3))
    if place == 0:
        return inner
    event = write(draw(events)).encode()
    if place == 1:
        return b"[" + event + b"," + inner + b"]"
    if place == 2:
        return event[:-1] + b',"more":' + inner + b"}"
    return b'{"chain_id":1,"number":5,"status":"complete","events":[' + event + b"," + inner + b"]}"


@st.composite
def large(draw: st.DrawFn) -> bytes:
    """Values up to and beyond what the topic takes: long text, many elements, much space, long numbers."""
    size = draw(st.sampled_from([*[70_000] * 6, *[300_000] * 4, MIB, MIB, 8 * MIB - 2_000, 8 * MIB + 100]))
    event = write(draw(events)).encode()
    deed = draw(st.integers(0, 6))
    if deed == 0:
        return event[:-1] + b',"protocol":"' + b"x" * size + b'"}'
    if deed == 1:
        return b"[" + b"1," * (size // 2) + event + b"]"
    if deed == 2:
        return b" " * size + event
    if deed == 3:
        return b'{"number":' + b"7" * size + b"}"
    if deed == 4:
        return event[:-1] + b"," + b",".join(b'"f%d":1' % one for one in range(size // 12)) + b"}"
    if deed == 5:
        return b"[" + b",".join([event] * max(1, size // len(event))) + b"]"
    return b'{"chain_id":1,"number":5,"status":"complete","events":[' + b"{}," * (size // 3) + event + b"]}"


KINDS: dict[str, tuple[int, st.SearchStrategy[bytes]]] = {
    "event": (30, encoded(events)),
    "envelope": (20, encoded(envelopes())),
    "array": (14, encoded(arrays)),
    "any JSON": (12, encoded(values)),
    "broken bytes": (14, broken()),
    "nested": (5, nested()),
    "any bytes": (4, st.binary(max_size=60)),
}
"""Each kind of input and how many of a hundred are of it. Large ones are drawn apart: they cost by their size."""
_TURN = [name for name, (weight, _) in KINDS.items() for _ in range(weight)]


@st.composite
def inputs(draw: st.DrawFn) -> tuple[str, bytes]:
    """A kind of input, and one of it."""
    kind = draw(st.sampled_from(_TURN))
    return kind, draw(KINDS[kind][1])


_SPLICES = (
    b"null",
    b"NaN",
    b"1e999",
    b"-1",
    b"0",
    b"true",
    b'""',
    b"[]",
    b"{}",
    b'"\\ud800"',
    b"9" * 80,
    b"\x00",
    b"\xff",
    b"\xc0\x80",
    b'"',
    b",",
)


def damaged(value: bytes, other: bytes) -> Iterator[bytes]:
    """Further inputs made from a drawn one, at a fraction of what drawing costs: each value has always the same ones."""
    rng = random.Random(crc32(value))
    yield _spliced(value, rng)
    at, place = rng.randrange(len(value) + 1), rng.randrange(len(other) + 1)
    yield value[:at] + other[place:]
    out = bytearray(value[:65_536])
    for _ in range(rng.randrange(1, 4)):
        if out:
            out[rng.randrange(len(out))] = rng.randrange(256)
    yield bytes(out)
    yield _spliced(_spliced(value, rng), rng)


def _spliced(value: bytes, rng: random.Random) -> bytes:
    """The value with one token of its JSON in another's place."""
    tokens = list(_TOKEN.finditer(value[:65_536]))
    if not tokens:
        return rng.choice(_SPLICES)
    one, two = rng.choice(tokens), rng.choice(tokens)
    new = two[0] if rng.random() < 0.5 else rng.choice(_SPLICES)
    return value[: one.start()] + new + value[one.end() :]


_TOKEN = re.compile(rb'"[^"]{0,200}"|[-+0-9.eE]{1,100}|true|false|null')
