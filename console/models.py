"""`soba models`: which trained models serve, and how one takes the place of another."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from console import releases
from console.drift import drift
from console.local.errors import LocalError
from console.releases import Book, Entry, Standing
from console.running import workers
from models.releases import compare, is_expired
from topics.releases import AT, Act, NotARelease, unpack
from topics.schemas.models import Manifest, Release

app = typer.Typer(help="Trained models: which serve, release one, roll one back.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]
Name = Annotated[str, typer.Argument(help="A model of soba models list.")]


@app.command("list")
def list_(json: AsJson = False) -> None:
    """Every model: the version that serves, where it comes from, how good it is, until when, and which workers serve it."""
    found = Book()
    try:
        _, found = releases.book()
    except LocalError as error:  # what comes with Soba is worth seeing without a cluster too
        print(error, file=sys.stderr)
    running = _running()
    rows = [
        _row(releases.standing(one, found.serving.get(name)), found, running)
        for name, one in sorted(releases.served().items())
    ]
    strangers = sorted(found.serving.keys() - releases.served().keys())
    if json:
        for row in rows:
            print(orjson.dumps(row).decode())
    elif rows:
        _table(rows)
    else:
        print("no agent serves a trained model yet")
    for name in strangers:
        print(f"{name} was released, but no agent of this Soba serves it", file=sys.stderr)


def _row(standing: Standing, found: Book, running: list[dict[str, Any]] | None) -> dict[str, Any]:
    manifest = standing.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "from": "shipped" if standing.entry is None else "release",
        "since": None if standing.entry is None else _time(standing.entry.at),
        "metric": manifest.decides.metric,
        "value": manifest.figure,
        "expires": _time(manifest.expires),
        "expired": is_expired(manifest, datetime.now(UTC)),
        "refused": standing.refused or None,
        "versions": [version for version, _ in _history(found, manifest.name)],
        "workers": None if running is None else [row for row in running if row["name"] == manifest.name],
    }


def _history(found: Book, name: str) -> list[tuple[str, Entry]]:
    """The versions that can be rolled back to, the newest first."""
    return sorted(found.earlier.get(name, {}).items(), key=lambda row: row[1].at, reverse=True)


def _running() -> list[dict[str, Any]] | None:
    """The models that living workers say they serve; None where nobody knows."""
    found = workers()
    if found is None:
        return None
    return [{"worker": f"{row.app_id}:{row.instance}", **one.model_dump()} for row in found for one in row.models]


def _table(rows: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("model", "version", "from", "decided by", "expires", "workers"):
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(
            row["name"],
            row["version"],
            row["from"],
            f"{row['metric']} {row['value']:g}",
            row["expires"][:10] + (" EXPIRED" if row["expired"] else ""),
            _workers(row),
        )
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    for row in rows:
        if row["refused"]:
            print(f"{row['name']}: what was released last is refused: {row['refused']}")
        for worker in row["workers"] or ():
            if worker["refused"] and not row["refused"]:
                print(f"{row['name']}: {worker['worker']} refuses what was released last: {worker['refused']}")


def _workers(row: dict[str, Any]) -> str:
    """`2 of 2` where all serve this version."""
    if row["workers"] is None:
        return "-"
    there = [worker["version"] for worker in row["workers"]]
    others = sorted(set(there) - {row["version"]})
    return f"{there.count(row['version'])} of {len(there)}" + (f", others {', '.join(others)}" if others else "")


@app.command()
def show(
    name: Name,
    version: Annotated[str | None, typer.Option(help="An earlier version; left out: the one that serves.")] = None,
    json: AsJson = False,
) -> None:
    """A model's manifest, how it came to serve, and the versions to roll back to."""
    one = releases.known(name)
    _, found = releases.book()
    serves, shipped = releases.standing(one, found.serving.get(name)), releases.standing(one, None).manifest
    manifest, entry = serves.manifest, serves.entry
    if version is not None and version != manifest.version:
        entry = None if version == shipped.version else _earlier(found, shipped, version)
        manifest = shipped if entry is None else _release(entry).manifest
    if json:
        row = {
            "manifest": manifest.model_dump(mode="json"),
            "serves": manifest == serves.manifest,
            "released": None if entry is None else {"at": _time(entry.at), **asdict(entry.act)},
            "versions": [told for told, _ in _history(found, name)],
            "shipped": shipped.version,
        }
        print(orjson.dumps(row).decode())
        return
    print(f"{manifest.id}, {'the one that serves' if manifest == serves.manifest else 'not the one that serves'}")
    for title, text in (*_facts(manifest), *_acts(entry), ("versions", _versions(found, shipped))):
        print(f"  {title:<12}{text}")


def _facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    decides = manifest.decides
    yield "metrics", ", ".join(f"{metric} {value:g}" for metric, value in manifest.metrics.items())
    yield "decided by", f"{decides.metric}, {'higher' if decides.higher_is_better else 'lower'} is better"
    for version, figures in manifest.beside.items():
        yield "beside", f"{version}: " + ", ".join(f"{metric} {value:g}" for metric, value in figures.items())
    yield "trained on", f"{_time(manifest.window.first)} to {_time(manifest.window.last)}"
    yield "data", manifest.data_hash
    yield "artefact", f"{manifest.format}, sha256 {manifest.sha256}"
    yield "features", ", ".join(map(str, manifest.features)) or "none"
    yield "created", f"{_time(manifest.created)} by {manifest.made_by}"
    yield "expires", _time(manifest.expires) + (" (expired)" if is_expired(manifest, datetime.now(UTC)) else "")
    if manifest.notes:
        yield "notes", manifest.notes


def _acts(entry: Entry | None) -> Iterator[tuple[str, str]]:
    if entry is None:
        yield "released", "never: it comes with Soba"
        return
    yield "released", _time(entry.at) + (f", in place of {entry.act.replaces}" if entry.act.replaces else "")
    if entry.act.compared:
        yield "compared", entry.act.compared
    if entry.act.reason:
        yield "reason", entry.act.reason


@app.command()
def release(
    file: Annotated[Path, typer.Argument(help="A release: a manifest in one line, then the artefact.")],
    force: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Release it though it is worse, or cannot be compared; and why."),
    ] = None,
) -> None:
    """Let a model serve in place of the one that does, if it is not worse out of sample. No worker is restarted."""
    try:
        value = file.read_bytes()
        manifest = unpack(value).manifest
    except OSError as error:
        raise LocalError(f"{file} cannot be read: {error.strerror}") from error
    except NotARelease as error:
        raise LocalError(f"{file} is no release: {error}") from error
    one = releases.known(manifest.name)
    releases.usable(value, one)
    settings, found = releases.book()
    champion = releases.standing(one, found.serving.get(manifest.name)).manifest
    if champion == manifest:
        print(f"{manifest.id} serves already")
        return
    before = found.earlier.get(manifest.name, {}).get(manifest.version)
    if champion.version == manifest.version or (before is not None and before.value != value):
        raise LocalError(f"there is another {manifest.id} already; a version never changes: give this one a new name")
    result = compare(manifest, champion)
    if not result.passes and force is None:
        raise LocalError(
            f"not released: {result.said}", "--force REASON releases it all the same, and keeps the reason"
        )
    act = Act(champion.version, result.said, force or "")
    headers = act.headers(manifest.id)
    # First where it can be found again, then where it serves, so that whatever served can be rolled back to.
    rows = [(f"{manifest.name}{AT}{manifest.version}", value, headers), (manifest.name, value, headers)]
    gone = releases.superseded(found, manifest.name, manifest.version, champion.version)
    releases.put(settings, [*rows, *((key, None, []) for key in gone)])
    print(f"released {manifest.id} in place of {champion.id}: {result.said}")
    print("workers take it between two batches: bin/soba models list")


app.command()(drift)


@app.command()
def rollback(
    name: Name,
    to: Annotated[
        str | None, typer.Option(help="A version; left out: what the one that serves took the place of.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; kept with the release.")] = "",
) -> None:
    """Release an earlier version again."""
    one = releases.known(name)
    settings, found = releases.book()
    entry, shipped = found.serving.get(name), releases.standing(one, None).manifest
    if entry is None:
        raise LocalError(f"{shipped.id}, which comes with Soba, serves: there is nothing to roll back")
    serves = releases.standing(one, entry)
    was = entry.release.manifest.version if entry.release else "what is no release"
    target = to or entry.act.replaces
    if not target:
        versions = _versions(found, shipped)
        raise LocalError(f"what {was} took the place of is not told; name a version by --to: {versions}")
    if serves.entry is not None and target == was:
        print(f"{serves.manifest.id} serves already")
        return
    if target == shipped.version:
        # No record at all: so that a Soba which ships a better one serves that.
        releases.put(settings, [(name, None, Act(was, "", reason).headers(shipped.id))])
    else:
        earlier = _earlier(found, shipped, target)
        manifest = releases.usable(earlier.value, one)
        act = Act(earlier.act.replaces, f"rolled back from {was}", reason)
        releases.put(settings, [(name, earlier.value, act.headers(manifest.id))])
    print(f"rolled back {name} from {was} to {target}")
    print("workers take it between two batches: bin/soba models list")


def _earlier(found: Book, shipped: Manifest, version: str) -> Entry:
    """Raises LocalError when that version is not kept."""
    held = found.earlier.get(shipped.name, {})
    if version not in held:
        versions = _versions(found, shipped)
        raise LocalError(f"no version {version!r} of {shipped.name} is kept; there are: {versions}")
    return held[version]


def _versions(found: Book, shipped: Manifest) -> str:
    """Every version that can serve, the newest release first."""
    return ", ".join([*(version for version, _ in _history(found, shipped.name)), f"{shipped.version} (shipped)"])


def _release(entry: Entry) -> Release:
    """Raises LocalError when the record is none."""
    if entry.release is None:
        raise LocalError(f"what is kept there is no release: {entry.fault}")
    return entry.release


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
