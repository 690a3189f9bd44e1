"""Files of raw blocks in any form that a node or an archive gives: which blocks they hold, and each block put together.

A file holds one JSON value, or one a line. A value is a mev-block, a bundle (`ingest.raw` has both), or a part of a block: the
result of eth_getBlockBy*, of eth_getBlockReceipts or of eth_getLogs, bare or as the node answered, one or a list of them. Parts of
one block may lie in different files; they find each other by the block's number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import orjson

from ingest.files import read
from ingest.parts import RawBlock
from ingest.raw import Malformed, parse_value, unwrapped

Form = Literal["whole", "block", "receipts", "logs"]
KEPT = 4
"""So many files are kept in memory: parts of a block may lie in different ones."""
NAMED = 5
"""How many of its values an error of a block names."""
ENDINGS = (".json", ".jsonl", ".json.gz", ".jsonl.gz")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: in which file, as the how-many-th, from 0."""

    file: Path
    at: int
    form: Form
    hash: str | None
    """Of its block, where it tells it."""

    def __str__(self) -> str:
        return f"{self.file}, value {self.at + 1}"


@dataclass(slots=True)
class Index:
    """Which blocks the files hold."""

    blocks: dict[int, list[Place]] = field(default_factory=lambda: defaultdict(list))
    """Block number → the values that make it up."""
    passed_over: list[Path] = field(default_factory=list)
    """Files of a folder with nothing of a block in them."""
    values: Callable[[Path], list[Any]] = field(default_factory=lambda: lru_cache(maxsize=KEPT)(_values))
    """A file's values; those of the files read last are kept."""
    _shares: dict[tuple[Path, int], dict[int, list[Any]]] = field(default_factory=dict)

    def put_together(self, number: int, chain_id: int | None = None) -> RawBlock:
        """The block of this number. `chain_id` is for blocks that do not tell theirs.

        Raises:
            Malformed: its values do not fit together, one is not as its form has it, or it is of another chain than `chain_id`.
        """
        by_form: dict[Form, list[Place]] = defaultdict(list)
        hashes: dict[str, Place] = {}
        for place in self.blocks[number]:
            by_form[place.form].append(place)
            if place.hash is not None:
                hashes.setdefault(place.hash, place)
        if len(hashes) > 1:
            (one, first), (other, second), *_ = hashes.items()
            raise Malformed(f"block {number}: {first} is of {one}, {second} of {other}; give one of the two blocks")
        if "whole" not in by_form:
            return self._of_parts(number, by_form, next(iter(hashes), None), chain_id)
        whole = by_form["whole"][0]
        value = self.values(whole.file)[whole.at]
        if chain_id is not None and "block" in value:
            value = {"chain_id": chain_id, **value}
        raw = parse_value(value, str(whole))
        told = raw.header["chain_id"]
        if chain_id not in (None, told):
            raise Malformed(f"{whole}: chain_id: it is {told}, not the {chain_id} that was asked for")
        return raw

    def _of_parts(
        self, number: int, parts: dict[Form, list[Place]], hash: str | None, chain_id: int | None
    ) -> RawBlock:
        where = " and ".join(str(place) for places in parts.values() for place in places[:NAMED])
        if "receipts" not in parts and "logs" not in parts:
            raise Malformed(f"{where}: block {number} came without receipts and logs; add its eth_getBlockReceipts")
        bundle: dict[str, Any] = {
            name: self.values(places[0].file)[places[0].at] if name == "block" else self._elements(places, number)
            for name, places in parts.items()
        }
        if chain_id is not None:
            bundle["chain_id"] = chain_id
        if "block" in bundle:
            return parse_value(bundle, where)
        if chain_id is None:
            raise Malformed(f"{where}: chain_id: receipts and logs do not tell it; give --chain-id, such as 1")
        bundle["block"] = {"number": hex(number), **({"hash": hash} if hash else {})}
        raw = parse_value(bundle, where)
        # Nothing says that these are all of the block's logs.
        return replace(raw, status="partial") if raw.status == "complete" else raw

    def _elements(self, places: list[Place], number: int) -> list[Any]:
        """The receipts or logs of a block, from all lists that hold some of them, each once."""
        found: dict[tuple[Any, Any], list[Any]] = defaultdict(list)
        for place in places:
            for one in self._shared_out(place)[number]:
                alike = found[str(one.get("transactionHash")), str(one.get("logIndex"))]
                if one not in alike:
                    alike.append(one)
        return [one for alike in found.values() for one in alike]

    def _shared_out(self, place: Place) -> dict[int, list[Any]]:
        """A list's elements by their block, so that one of many blocks is gone through once; those used last are kept."""
        held = self._shares.pop((place.file, place.at), None)
        if held is None:
            held = defaultdict(list)
            for one in self.values(place.file)[place.at]:
                held[int(one["blockNumber"], 16)].append(one)
        self._shares[place.file, place.at] = held
        if len(self._shares) > KEPT:
            del self._shares[next(iter(self._shares))]
        return held


def index(paths: Iterable[Path]) -> Index:
    """Look through files, and through all JSON files in and below folders.

    Raises:
        Malformed: a file is missing, is not JSON, or was named and holds nothing of a block.
    """
    found = Index()
    for path in paths:
        named = not path.is_dir()
        files = [path] if named else sorted(one for one in path.rglob("*") if one.name.endswith(ENDINGS))
        for file in files:
            if not _look_through(file, found):
                if named:
                    raise Malformed(f"{file}: nothing of a block is in it; {_FORMS}")
                found.passed_over.append(file)
    found.blocks = dict(sorted(found.blocks.items()))
    return found


_FORMS = (
    "give mev-blocks, objects with `block` and `receipts` or `logs`, or results of eth_getBlockByNumber, "
    "eth_getBlockReceipts or eth_getLogs"
)


def _look_through(file: Path, found: Index) -> bool:
    any_found = False
    for at, value in enumerate(found.values(file)):
        for number, form, hash in _told(value, f"{file}, value {at + 1}"):
            found.blocks[number].append(Place(file, at, form, hash))
            any_found = True
    return any_found


def _values(file: Path) -> list[Any]:
    """The values of a file in order, answers of nodes unwrapped, lists of blocks and batches of answers laid out.

    Raises:
        Malformed: it cannot be read, is not JSON, or holds the error of a node.
    """
    data = read(file)
    try:
        held = [orjson.loads(data)]
    except orjson.JSONDecodeError as error:
        held = []
        for at, line in enumerate(data.splitlines(), start=1):
            if not line.strip():
                continue
            try:
                held.append(orjson.loads(line))
            except orjson.JSONDecodeError as fault:
                told = f"{error}" if at == 1 else f"line {at}: {fault}"
                raise Malformed(f"{file}: not JSON ({told}); give one JSON value, or one a line") from None
    laid_out = []
    for at, value in enumerate(held):
        where = f"{file}, value {at + 1}"
        value = unwrapped(value, where)
        if isinstance(value, list) and value and all(map(_stands_alone, value)):
            laid_out += [unwrapped(one, where) for one in value]
        else:
            laid_out.append(value)
    return laid_out


def _stands_alone(value: Any) -> bool:
    """Whether it is a block or an answer, not one of the receipts or logs that make up a value together."""
    return isinstance(value, dict) and not _FORM_KEYS.isdisjoint(value)


_FORM_KEYS = {"jsonrpc", "schema", "block", "transactions"}


def _told(value: Any, where: str) -> Iterator[tuple[int, Form, str | None]]:
    """What a value is, and of which blocks; nothing where it is something else."""
    if isinstance(value, dict):
        if "schema" in value and isinstance(value.get("number"), int):
            yield value["number"], "whole", _hash(value.get("block_hash"))
        elif "block" in value:
            head = unwrapped(value["block"], f"{where}: block")
            yield _number(head, "number", where), "whole", _hash(head.get("hash"))
        elif "number" in value and "transactions" in value:
            yield _number(value, "number", where), "block", _hash(value.get("hash"))
    elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        form: Form | None = "logs" if "topics" in value[0] else "receipts" if "gasUsed" in value[0] else None
        if form is not None:
            yield from {
                (_number(one, "blockNumber", f"{where}, element {at}"), form, _hash(one.get("blockHash"))): None
                for at, one in enumerate(value)
            }


def _number(value: Any, name: str, where: str) -> int:
    try:
        return int(value[name], 16)
    except (KeyError, TypeError, ValueError):
        held = value.get(name) if isinstance(value, dict) else value
        raise Malformed(f"{where}: {name}: {held!r:.60} is no number of a block; give a hex quantity") from None


def _hash(value: Any) -> str | None:
    return value.lower() if isinstance(value, str) else None
