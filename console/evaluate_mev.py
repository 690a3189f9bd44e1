"""The MEV detectors on a folder of labelled blocks: recall and extras by kind, and how fast.

Of blocks that are neighbours, what is over both is found too; labels know of nothing like that, so all of it is extra.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from console import evaluate_vectors
from console.evaluate_labels import KINDS, Score, labels_of
from console.figures import Figure
from ingest.decode import decode
from ingest.files import find_blocks, read
from models.mev import cross_block, detect, look
from topics.schemas.mev import Finding
from topics.schemas.mev_trades import BlockTrades

INSPECT = "mev-inspect-py: about 2"


@dataclass(slots=True)
class Evaluation:
    """What was found, how it scores, and the seconds of CPU that each block took."""

    score: Score = field(default_factory=Score)
    lines: list[bytes] = field(default_factory=list)
    """The findings, one JSON object each."""
    seconds: list[float] = field(default_factory=list)
    vectors: list[tuple[str, bool]] = field(default_factory=list)
    """Cases, and whether they are met."""
    pairs: int = 0
    """How many blocks are next to one another."""
    over_two: list[Finding] = field(default_factory=list)

    def told(self) -> Iterator[str]:
        """A line for each miss and each extra finding."""
        for miss in self.score.missed:
            yield f"missed  {miss}"
        for name, ok in self.vectors:
            if not ok:
                yield f"missed  vector {name}"
        for one in self.score.extras:
            parts = {"front": one.front, "victims": one.victims, "back": one.back, "in": one.transactions}
            named = " ".join(f"{name} {' '.join(hashes)}" for name, hashes in parts.items() if hashes)
            yield f"extra   {one.kind}  {one.place()}: {named} {one.evidence}"

    def figures(self) -> list[Figure]:
        """Recall and extras by kind, then speed."""
        return [*self._recall(), *self._extras(), *self._speed()]

    def _recall(self) -> Iterator[Figure]:
        labelled, found = self.score.labelled, self.score.found
        told = {kind: f"{labelled[kind]} labelled" for kind in KINDS}
        jaccards = self.score.jaccards
        mean = sum(jaccards) / len(jaccards) if jaccards else 1.0
        most = math.ceil(0.95 * labelled["arbitrage"])
        pairs, loans, jit = labelled["sandwich"], labelled["liquidation"], labelled["jit"]
        yield Figure("sandwich pairs found", found["sandwich"], "pairs", told["sandwich"], f"= {pairs}")
        yield Figure("victims, mean Jaccard", round(mean, 4), "", None, ">= 0.95", "1")
        yield Figure(
            "arbitrages found",
            found["arbitrage"],
            "cycles",
            told["arbitrage"],
            f">= {most}",
            str(labelled["arbitrage"]),
        )
        yield Figure("liquidations found", found["liquidation"], "loans", told["liquidation"], f"= {loans}")
        yield Figure("just-in-time liquidity found", found["jit"], "pairs", told["jit"], f"= {jit}")
        if self.vectors:
            met = sum(ok for _, ok in self.vectors)
            yield Figure("vectors met", met, "cases", "mev-inspect-js: all", f"= {len(self.vectors)}")

    def _extras(self) -> Iterator[Figure]:
        for kind in KINDS:
            yield Figure(f"without a label: {kind}", self.score.extra(kind), "findings")
        yield Figure("sandwiches over two blocks", len(self.over_two), "findings", f"{self.pairs} pairs of neighbours")

    def _speed(self) -> Iterator[Figure]:
        median = sorted(self.seconds)[len(self.seconds) // 2]
        every = _rate(len(self.seconds), sum(self.seconds))
        yield Figure("decode + detect, all blocks", every, "blocks/s", INSPECT)
        yield Figure("decode + detect, median block", _rate(1, median), "blocks/s", INSPECT, ">= 200", "500")


def run(data: Path) -> Evaluation:
    """Evaluate the blocks under `data`, and the cases of a folder `vectors` beside it.

    Raises:
        Malformed: there are no blocks, or one is in no form that we take.
    """
    done = Evaluation()
    kept: list[BlockTrades] = []
    for file in find_blocks(data):
        raw = read(file)
        done.seconds.append(_fastest(raw, str(file)))
        block = decode(raw, str(file)).block
        findings, trades = look(block)
        kept.append(trades)
        done.score.add(block.number, findings, labels_of(file))
        done.lines += [orjson.dumps(line(one)) for one in findings]
    for before, after in cross_block.pairs(kept):
        done.pairs += 1
        done.over_two += cross_block.detect(before, after)
    done.score.extras += done.over_two
    done.lines += [orjson.dumps(line(one)) for one in done.over_two]
    vectors = data.resolve().parent / "vectors"
    if vectors.is_dir():
        done.vectors = [(name, evaluate_vectors.met(call)) for name, call in evaluate_vectors.calls(vectors)]
    return done


def line(finding: Finding) -> dict[str, Any]:
    """A finding as `--out` writes it."""
    attacked = {"front": finding.front, "victims": finding.victims, "back": finding.back}
    return {
        "block": finding.block_number,
        "kind": finding.kind,
        **({"blocks": finding.blocks} if finding.blocks else {}),
        **({"transactions": finding.transactions} if finding.transactions else attacked),
        "pools": finding.pools,
        "protocols": finding.protocols,
        "profit": [{"token": one.token, "amount": one.amount_raw} for one in finding.profit],
    }


def _fastest(raw: bytes, where: str) -> float:
    """Seconds of CPU to decode and detect, the best of three: other processes on the machine cost the others."""
    spent = []
    for _ in range(3):
        began = time.process_time()
        detect(decode(raw, where).block)
        spent.append(time.process_time() - began)
    return min(spent)


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds else 0.0
