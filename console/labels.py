"""`soba labels`: what is known of wallets, for training to learn from and for scores to be measured by."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from pydantic import ValidationError
from redis.exceptions import RedisError

from base.settings import Settings
from base.wording import counted, wording
from console import compacted, label_file, priors
from console.addresses import lowered
from console.local.errors import LocalError, NothingChanged
from models.chain.normal_form import is_address
from models.fraud.outcomes import RAISED, judged, precision, recall, tally
from topics.entries import NoEntry, entry
from topics.headers import cloud_event
from topics.registry import LABELS
from topics.schemas.labels import Label, Prior, Verdict

app = typer.Typer(help="What is known of wallets: add, import, show, remove.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]
Chain = Annotated[int, typer.Option("--chain-id", min=0, help="The chain of the wallets.")]
Addresses = Annotated[list[str], typer.Argument(help="Wallets, 0x and 40 hex digits, in any case.")]


@app.command()
def add(
    addresses: Addresses,
    label: Annotated[str, typer.Option(help="fraud, ordinary, or unknown, which withdraws what was known.")],
    chain_id: Chain = 1,
    source: Annotated[str, typer.Option(help="Who says so.")] = "",
    group: Annotated[str | None, typer.Option(help="The campaign that they belong to; else each stands alone.")] = None,
    confidence: Annotated[float, typer.Option(help="0 to 1; below 0.5 it does not count.")] = 1.0,
    note: Annotated[str, typer.Option(help="What else there is to say.")] = "",
) -> None:
    """Label wallets, and keep with it how each had been judged before."""
    about = {"chain_id": chain_id, "source": source, "group": group, "confidence": confidence, "note": note}
    now = datetime.now(UTC)
    found = [_label({**about, "address": _lowered(one), "label": label, "labelled_at": now}) for one in addresses]
    _put(found)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV with a header, or JSON lines (.jsonl).")],
    source: Annotated[str, typer.Option(help="Who says so, where the file does not tell.")] = "",
) -> None:
    """Label the wallets of a file. Where a row is no label nothing is changed, and the lines of such rows are named.

    Columns: address and label (fraud, ordinary, unknown, or 1 and 0); others where they are there: chain_id (1), source, group (the
    campaign), labelled_at (now), confidence (1.0), note. What else it holds is left aside.
    """
    found, bad = label_file.read(file, source or file.name, datetime.now(UTC))
    if bad:
        raise NothingChanged(
            [f"{file}, line {line}: {why}" for line, why in bad], len(found) + len(bad), "label", "labels"
        )
    _put(list({one.key: one for one in found}.values()))


@app.command()
def show(
    addresses: Annotated[list[str] | None, typer.Argument(help="Only these wallets.")] = None,
    json: AsJson = False,
    count: Annotated[int, typer.Option("-n", min=0, help="How many of the newest a table lists.")] = 20,
) -> None:
    """The labels, and how the wallets had been judged before: precision and recall of each level."""
    settings, found = held()
    chosen = sorted(found.values(), key=lambda one: one.labelled_at, reverse=True)
    if addresses:
        wanted = {one.lower() for one in addresses}
        if missing := wanted - {one.address for one in chosen}:
            first = f"no label of {', '.join(sorted(missing))}; soba labels add gives one"
            raise LocalError(first, *_unlabelled(settings, sorted(filter(is_address, missing))))
        chosen = [one for one in chosen if one.address in wanted]
    if json:
        for one in chosen:
            print(one.model_dump_json(exclude_none=True))
        return
    _table(chosen[:count] if not addresses else chosen)
    if addresses:
        for one in chosen:
            print(f"before it was labelled, {one.key} was {_own_level(one.prior)}")
        return
    print(counted(len(chosen), "label"))
    _outcomes(chosen)


@app.command()
def remove(addresses: Addresses, chain_id: Chain = 1) -> None:
    """Take labels back, as if they had never been."""
    settings, found = held()
    keys = [f"{chain_id}:{one.lower()}" for one in addresses]
    if missing := [key for key in keys if key not in found]:
        raise LocalError(f"no label of {', '.join(missing)} (chain:address); soba labels show lists them")
    compacted.put(settings, LABELS.name, [(key, None, []) for key in dict.fromkeys(keys)])
    print(f"took back {len(set(keys)):,} of {counted(len(found), 'label')}")


def held() -> tuple[Settings, dict[str, Label]]:
    """Every label as it stands now, by key; what is no label is told on standard error.

    Raises LocalError when no Kafka answers, or the topic is missing.
    """
    settings, book = compacted.book(LABELS.name)
    found: dict[str, Label] = {}
    for key, seen in book.items():
        try:
            one = entry(Label, key, seen.value)
        except NoEntry as error:
            print(f"{seen.topic}/{seen.partition}/{seen.offset} is no label: {error}", file=sys.stderr)
        else:
            found[key] = cast(Label, one)
    return settings, found


def _unlabelled(settings: Settings, addresses: Sequence[str]) -> list[str]:
    """How wallets of Ethereum without a label are judged now, a line each; or why that is not known."""
    asked = [Label(address=one, label="unknown", labelled_at=datetime.now(UTC)) for one in addresses]
    try:
        found = priors.of(settings, asked)
    except (LocalError, RedisError, OSError) as error:
        return [f"how its behaviour is judged is not known: {error}"]
    return [f"{one.key} is {_own_level(found.get(one.key))}" for one in asked]


def _own_level(prior: Prior | None) -> str:
    """What the model and its rules made of a wallet's moves, in words that go on after `is` or `was`."""
    if prior is None:
        return "not judged by its behaviour"
    share = "" if prior.probability is None else f"probability {prior.probability:.3f}, "
    known = "; the model was trained on its campaign, so that proves nothing" if prior.trained_on else ""
    moves = counted(prior.evidence, "move")
    return f"judged {prior.level} by its behaviour alone, whatever lists say: {share}{moves}, {prior.model}{known}"


def _lowered(given: str) -> str:
    """An address in lower case; what is none as it is, for the schema to name."""
    return lowered(given) if is_address(given) else given


def _label(fields: dict[str, Any]) -> Label:
    try:
        return Label.model_validate(fields)
    except ValidationError as error:
        raise LocalError(str(wording(error.errors(include_url=False)[0]))) from error


def _put(labels: Sequence[Label]) -> None:
    """Write what is new, with how each wallet had been judged when it was labelled first."""
    settings, before = held()
    new = [one for one in labels if one.key not in before]
    judgements = priors.of(settings, new)
    changed = []
    for one in labels:
        old = before.get(one.key)
        prior = one.prior or (judgements.get(one.key) if old is None else old.prior)
        one = one.model_copy(update={"prior": prior})
        if old is None or one != old.model_copy(update={"labelled_at": one.labelled_at}):
            changed.append(one)
    rows = [(one.key, one.model_dump_json(exclude_none=True).encode(), _headers(one)) for one in changed]
    compacted.put(settings, LABELS.name, rows)
    said = Counter(one.label for one in changed)
    words = ", ".join(f"{many:,} {verdict}" for verdict, many in sorted(said.items())) or "nothing new"
    unseen = sum(one.prior is None for one in changed)
    stood = f"{len(labels) - len(changed):,} stood so already, {unseen:,} had never been judged"
    print(f"labelled {words}; {stood}{_turned(changed, before)}")


def _turned(changed: Iterable[Label], before: Mapping[str, Label]) -> str:
    """How many earlier labels said otherwise, and what became of them; empty where none did."""
    pairs = ((before[one.key].label, one.label) for one in changed if one.key in before)
    turned = Counter((old, new) for old, new in pairs if old != new)
    if not turned:
        return ""
    each = ", ".join(
        f"{many:,} {old} {'is' if many == 1 else 'are'} {new} now" for (old, new), many in sorted(turned.items())
    )
    return f"; {counted(turned.total(), 'earlier label')} said otherwise: {each}"


def _headers(one: Label) -> list[tuple[str, bytes]]:
    return cloud_event(f"{one.key}:{one.labelled_at.timestamp():.0f}", "soba labels", "soba.label")


def _table(labels: Iterable[Label]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("wallet", "label", "sure", "group", "source", "labelled", "had been judged"):
        table.add_column(title, overflow="fold")
    for one in labels:
        table.add_row(
            one.key, one.label, f"{one.confidence:g}", one.group or "", one.source, f"{one.labelled_at:%Y-%m-%d}", judged(one)
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _outcomes(labels: Iterable[Label]) -> None:
    counts = tally(labels)
    verdicts: tuple[Verdict, ...] = ("fraud", "ordinary")
    for verdict in verdicts:
        parts = {level: many for (said, level), many in counts.items() if said == verdict}
        print(f"  {verdict:<10}" + (", ".join(f"{many:,} {level}" for level, many in parts.items()) or "none"))
    for level in RAISED:
        shares = [_share(share(counts, level)) for share in (precision, recall)]
        print(f"  {level:<10}precision {shares[0]}, recall {shares[1]}")


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
