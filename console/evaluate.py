"""`soba evaluate NAME`: score the models on labelled data, with the figures that the cards quote."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from base.settings import ROOT
from console.figures import Figure, show
from console.local.errors import LocalError
from ingest.decode import decode
from ingest.files import find_blocks, read
from ingest.raw import Malformed
from models.mev import detect
from topics.schemas.mev import Finding

SAMPLES = ROOT / "samples" / "blocks"
Pair = frozenset[str]
"""A front and a back transaction; labels name one pair for each pool, so pairs are compared as sets."""

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _evaluate() -> None:
    """Score the models on labelled data."""


@dataclass(slots=True)
class Score:
    """What was found against what is labelled, over all blocks."""

    labelled: int = 0
    found: int = 0
    jaccards: list[float] = field(default_factory=list)
    extras: list[tuple[int, Finding]] = field(default_factory=list)
    missed: list[tuple[int, Pair]] = field(default_factory=list)
    blocks: int = 0
    seconds: list[float] = field(default_factory=list)
    """Decode and detect, for each block."""

    def add(self, number: int, findings: list[Finding], expected: dict[str, Any] | None) -> None:
        """Count one block in; without labels only its time counts."""
        self.blocks += 1
        if expected is None:
            return
        labels: dict[Pair, set[str]] = {}
        for one in expected.get("sandwiches", ()):
            pair = frozenset((one["frontrun_tx"].lower(), one["backrun_tx"].lower()))
            labels.setdefault(pair, set()).update(hash.lower() for hash in one["victim_txs"])
        pairs = {pair: one for one in findings for pair in _pairs(one)}
        for pair, victims in labels.items():
            self.labelled += 1
            if pair in pairs:
                self.found += 1
                told = set(pairs[pair].victims)
                self.jaccards.append(len(told & victims) / len(told | victims))
            else:
                self.missed.append((number, pair))
        self.extras += [(number, one) for one in findings if not any(pair in labels for pair in _pairs(one))]

    def figures(self) -> list[Figure]:
        """The figures of the sandwich detector."""
        mean = sum(self.jaccards) / len(self.jaccards) if self.jaccards else 1.0
        median = sorted(self.seconds)[len(self.seconds) // 2]
        inspect = "mev-inspect-py: about 2"
        return [
            Figure("sandwich pairs found", self.found, "pairs", f"{self.labelled} labelled", f"= {self.labelled}"),
            Figure("victims, mean Jaccard", round(mean, 4), "", None, ">= 0.95", "1"),
            Figure("sandwiches without a label", len(self.extras), "findings", None, None, "0"),
            Figure("decode + detect, all blocks", _rate(self.blocks, sum(self.seconds)), "blocks/s", inspect, ">= 50"),
            Figure("decode + detect, median block", _rate(1, median), "blocks/s", inspect, None, "200"),
        ]


@app.command()
def mev(
    data: Annotated[Path, typer.Option(help="A folder of ID/block.json[.gz] with expected.json beside it.")] = SAMPLES,
    out: Annotated[Path | None, typer.Option(help="Write the findings there, one JSON object a line.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Sandwiches found in blocks against their labels, and blocks a second on one core."""
    score = Score()
    lines: list[bytes] = []
    try:
        files = find_blocks(data)
        for file in files:
            raw = read(file)
            score.seconds.append(_fastest(raw, str(file)))
            block = decode(raw, str(file)).block
            findings = detect(block)
            score.add(block.number, findings, _expected(file))
            lines += [orjson.dumps(_line(one)) for one in findings]
    except Malformed as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    if out is not None:
        try:
            out.write_bytes(b"".join(line + b"\n" for line in lines))
        except OSError as error:
            raise LocalError(
                f"--out {out} cannot be written: {error.strerror}; name a file in a folder that exists"
            ) from error
    for number, pair in score.missed:
        typer.echo(f"missed  block {number}: {' '.join(sorted(pair))}")
    for number, one in score.extras:
        typer.echo(f"extra   block {number}: front {' '.join(one.front)} back {' '.join(one.back)} {one.evidence}")
    raise typer.Exit(show(score.figures(), json))


@app.command()
def fraud(
    data: Annotated[Path, typer.Option(help="A folder with the labelled history (docs/models/fraud.md).")],
    out: Annotated[Path | None, typer.Option(help="Write the scores there: address, quarter, n_tx, score.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Scores of labelled account-quarters by models that have not seen them, behaviour only."""
    from console import evaluate_fraud, fraud_data

    with Console(stderr=True).status("reading") as status:
        history, labels = fraud_data.read(data, status.update)
        status.update("replaying")
        judged = evaluate_fraud.judge(history, labels, evaluate_fraud.judges(past=False))
        if out is not None:
            evaluate_fraud.write(judged, out)
        figures = evaluate_fraud.figures(history, labels, judged, status.update)
        if (table := data / "kaggle_accounts.csv").exists():
            figures.append(evaluate_fraud.table(table))
    raise typer.Exit(show(figures, json))


def _fastest(raw: bytes, where: str) -> float:
    """Seconds of CPU to decode and detect, the best of three: other processes on the machine cost the others."""
    spent = []
    for _ in range(3):
        began = time.process_time()
        detect(decode(raw, where).block)
        spent.append(time.process_time() - began)
    return min(spent)


def _expected(file: Path) -> dict[str, Any] | None:
    for name in ("expected.json", "expected.json.gz"):
        beside = file.with_name(name)
        if beside.exists():
            labels: dict[str, Any] = orjson.loads(read(beside))
            return labels
    return None


def _pairs(finding: Finding) -> Iterator[Pair]:
    return (frozenset((front, back)) for front in finding.front for back in finding.back)


def _line(finding: Finding) -> dict[str, Any]:
    return {
        "block": finding.block_number,
        "kind": finding.kind,
        "front": finding.front,
        "victims": finding.victims,
        "back": finding.back,
        "pools": finding.pools,
        "protocols": finding.protocols,
        "profit": [{"token": one.token, "amount": one.amount_raw} for one in finding.profit],
    }


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds else 0.0
