"""`soba lists`: addresses that operators list, beside the public lists that come with Soba."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import TypeAdapter, ValidationError

from base.wording import counted, wording
from console import compacted
from console.addresses import lowered
from console.asking import sure
from console.local.errors import LocalError, NothingChanged
from console.running import as_of, workers
from models.chain.normal_form import is_address
from models.fraud.lists import NAMES, PUBLIC_SEVERITY, SHIPPED, Lists
from tables.registry import WorkerRow
from topics.entries import NoEntry, entry
from topics.headers import Headers, cloud_event
from topics.registry import LISTS
from topics.schemas.lists import Listed, ListName, key
from topics.schemas.wallet import LEVELS

app = typer.Typer(help="Lists of addresses: add some, take them off, show them.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A list, such as `exchange-hack`: small letters, digits and `._-`.")]
Addresses = Annotated[list[str] | None, typer.Argument(help="0x and 40 hex digits each.")]
File = Annotated[
    Path | None, typer.Option(help="A file of addresses, one a line; what follows `#` is a note. `-`: standard input.")
]
Chain = Annotated[int | None, typer.Option("--chain-id", min=0, help="On this chain; left out: on every one.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]

_NAME: TypeAdapter[str] = TypeAdapter(ListName)
Row = tuple[str, bytes | None, Headers]


@app.command()
def add(
    name: Name,
    addresses: Addresses = None,
    file: File = None,
    chain_id: Chain = None,
    severity: Annotated[str, typer.Option(help=f"The least level of who is on it: {', '.join(LEVELS)}.")] = "critical",
    source: Annotated[str, typer.Option(help="Who says so.")] = "",
    note: Annotated[str, typer.Option(help="Why; one beside an address in a file goes before.")] = "",
) -> None:
    """Put addresses on a list; one that is there already is put anew. Workers take it without a restart."""
    given = _given(_name(name), addresses, file)
    now = datetime.now(UTC).replace(microsecond=0)
    entries = [_entry(name, address, chain_id, severity, source, said or note, now) for address, said in given.items()]
    settings, found = compacted.book(LISTS.name)
    there = sum(entry.key in found for entry in entries)
    compacted.put(settings, LISTS.name, [_row(entry.key, entry.model_dump_json().encode()) for entry in entries])
    print(f"{name}: {len(entries) - there:,} added, {there:,} put anew; workers take them between two batches")


@app.command()
def remove(name: Name, addresses: Addresses = None, file: File = None, chain_id: Chain = None) -> None:
    """Take addresses off a list; those that stand there for another chain, or for every one, stay."""
    given = _given(_name(name), addresses, file)
    settings, found = compacted.book(LISTS.name)
    keys = [key(name, chain_id, address) for address in given]
    missing = [address for address, one in zip(given, keys, strict=True) if one not in found]
    compacted.put(settings, LISTS.name, [_row(one, None) for one in keys if one in found])
    print(f"{name}: {len(keys) - len(missing):,} taken off")
    if missing:
        where = "for every chain" if chain_id is None else f"for chain {chain_id}"
        told = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        left = any(one.partition(":")[0] == name for one in found if one not in keys)
        look = f"bin/soba lists show {name} says what is"
        raise LocalError(
            f"{told}: not on {name} {where}",
            look if left else f"there is no list {name!r}; bin/soba lists show names those there are",
        )


@app.command()
def drop(name: Name, yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False) -> None:
    """Take every address off a list, and with it the list."""
    settings, found = compacted.book(LISTS.name)
    keys = [one for one in found if one.partition(":")[0] == _name(name)]
    if not keys:
        raise LocalError(
            f"there is no list {name!r}; there are: {', '.join(_names(found)) or 'none but the public ones'}"
        )
    sure(f"this takes {counted(len(keys), 'address', 'addresses')} off {name}, and with them the list", yes)
    compacted.put(settings, LISTS.name, [_row(one, None) for one in keys])
    print(f"{name}: {len(keys):,} taken off; the list is gone")


@app.command()
def show(
    name: Annotated[str | None, typer.Argument(help="A list; left out: how many addresses each has.")] = None,
    json: AsJson = False,
) -> None:
    """The lists, and which workers know them as they stand; or what is on one of them."""
    _, found = compacted.book(LISTS.name)
    entries, faults = _accepted(found)
    for fault in faults:
        print(fault, file=sys.stderr)
    if name in NAMES:
        _show_public(name, json)
        return
    if name is not None:
        chosen = [entry for entry in entries if entry.list == name]
        if not chosen:
            raise LocalError(f"there is no list {name!r} of one's own; there are: {', '.join(_names(found)) or 'none'}")
        _show_one(chosen, json)
        return
    lists = Lists({entry.key: entry for entry in entries})
    running = workers()
    knowing = None if running is None else [row.lists == lists.version for row in running if row.lists]
    many = Counter(entry.list for entry in entries)
    if json:
        told = {"version": lists.version, "lists": dict(many), "public": lists.public(), "workers": knowing}
        print(orjson.dumps(told).decode())
        return
    for own, count in sorted(many.items()):
        print(f"{own:<24}{count:>8,}  {', '.join(sorted({entry.severity for entry in entries if entry.list == own}))}")
    for public, count in lists.public().items():
        print(f"{public:<24}{count:>8,}  {PUBLIC_SEVERITY}, comes with Soba")
    print(f"version {lists.version}{'' if running is None else _knowing(running, lists.version)}")


def _knowing(running: Sequence[WorkerRow], version: str) -> str:
    """How many of the workers that ask for lists know them as they stand, and what of those that do not."""
    asking = [row for row in running if row.lists]
    if not asking:
        return "; no worker that asks for lists is running"
    late = sum(row.lists != version for row in asking)
    told = f"; workers that know it: {len(asking) - late} of {len(asking)}{as_of(asking)}"
    if late:
        # They know it before they say so: hearts beat every few seconds.
        told += f"; {late} {'has' if late == 1 else 'have'} not said so yet: workers take a change within a second or so and say so"
        told += " some seconds later; if it stays so, see the log that bin/soba status names"
    return told


def _show_one(entries: Sequence[Listed], json: bool) -> None:
    for one in sorted(entries, key=lambda one: (one.address, one.chain_id or -1)):
        if json:
            print(one.model_dump_json())
            continue
        chain = "every chain" if one.chain_id is None else f"chain {one.chain_id}"
        said = "; ".join(filter(None, (one.source, one.note)))
        print(f"{one.address}  {chain:<12} {one.severity:<9} {one.added_at:%Y-%m-%d}  {said}")


def _show_public(name: str, json: bool) -> None:
    addresses = SHIPPED.on(name)
    for one in addresses:
        print(orjson.dumps({"list": name, "address": one, "severity": PUBLIC_SEVERITY}).decode() if json else one)
    if not json:
        told = f"{name}: {counted(len(addresses), 'address', 'addresses')} on every chain, {PUBLIC_SEVERITY}"
        print(f"{told}; it comes with Soba, models/fraud/lists/README.md says from where", file=sys.stderr)


def _accepted(found: dict[str, Any]) -> tuple[list[Listed], list[str]]:
    """What workers take of the topic, and in words what they do not."""
    entries, faults = [], []
    for told, seen in found.items():
        try:
            one = entry(Listed, told, seen.value)
        except NoEntry as error:
            faults.append(f"{LISTS.name}/{seen.partition}/{seen.offset} lists nothing: {error}")
        else:
            entries += [] if one is None else [one]
    return entries, faults


def _names(found: dict[str, Any]) -> list[str]:
    return sorted({one.partition(":")[0] for one in found})


def _name(name: str) -> str:
    try:
        _NAME.validate_python(name)
    except ValidationError:
        raise LocalError(
            f"{name!r} is no name of a list; give small letters, digits and `._-`, a letter first, such as exchange-hack"
        ) from None
    if name in NAMES:
        raise LocalError(f"{name} comes with Soba and is not changed here; give a list of your own another name")
    return name


def _given(name: str, addresses: list[str] | None, file: Path | None) -> dict[str, str]:
    """The addresses of a command in lower case, each with its note."""
    lines = [(f"argument {place}", address, "") for place, address in enumerate(addresses or (), 1)]
    lines += _lines(file) if file is not None else []
    if not lines:
        raise LocalError(f"no address is given; name some: bin/soba lists add {name} 0x..., or --file FILE")
    found, faults = {}, []
    for where, address, note in lines:
        if not is_address(address):
            faults.append(f"{where}: {address[:60]!r} is no address; give 0x and 40 hex digits")
            continue
        try:
            found[lowered(address)] = note
        except LocalError as error:
            faults.append(f"{where}: {error}")
    if faults:
        raise NothingChanged(faults, len(lines), "address", "addresses")
    return found


def _lines(file: Path) -> Iterator[tuple[str, str, str]]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise LocalError(f"--file {file} cannot be read: {error}; name a text file of addresses, one a line") from error
    for number, line in enumerate(text.split("\n"), 1):
        address, _, note = line.partition("#")
        if address.strip():
            yield f"{file}, line {number}", address.strip(), note.strip()


def _entry(
    name: str, address: str, chain_id: int | None, severity: str, source: str, note: str, now: datetime
) -> Listed:
    try:
        return Listed.model_validate(
            {
                "list": name,
                "address": address,
                "chain_id": chain_id,
                "severity": severity,
                "source": source,
                "note": note,
                "added_at": now,
            }
        )
    except ValidationError as error:
        raise LocalError(f"--{wording(error.errors(include_url=False)[0])}") from None


def _row(at: str, value: bytes | None) -> Row:
    headers: Headers = cloud_event(at, "soba lists", "soba.list.entry")
    return at, value, headers
