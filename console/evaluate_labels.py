"""What other tools found in blocks, as `expected.json` beside each tells it, and how our findings compare.

Arbitrages that people asserted by hand in a tool's tests count as labels too, whatever the tool itself found. Not counted are
labels of what left no logs (`visible_in_logs` false: it was reverted), and arbitrages in a transaction that is a leg of a
labelled sandwich, which mev-inspect-py takes for arbitrages too. What only mev-inspect-js found (`js_only_*`) is neither
asked for nor extra.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import orjson

from ingest.files import read
from topics.schemas.mev import Finding, Kind

Labels = dict[str, Any]
Pair = frozenset[str]
"""A front and a back transaction; labels name one pair for each pool, so pairs are compared as sets."""
KINDS: tuple[Kind, ...] = get_args(Kind)


def labels_of(file: Path) -> Labels | None:
    """The labels beside a block file, or None where there are none."""
    for name in ("expected.json", "expected.json.gz"):
        beside = file.with_name(name)
        if beside.exists():
            labels: Labels = orjson.loads(read(beside))
            return labels
    return None


@dataclass(slots=True)
class Score:
    """What was found against what is labelled, over all blocks."""

    labelled: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    jaccards: list[float] = field(default_factory=list)
    extras: list[Finding] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    """A line each: kind, block and transactions."""

    def add(self, number: int, findings: list[Finding], expected: Labels | None) -> None:
        """Count one block in; without labels there is nothing to count."""
        if expected is None:
            return
        known = {id(one) for one in self._sandwiches(number, findings, expected)}
        for kind, label, matching in _asked(expected):
            met = [one for one in findings if one.kind == kind and matching(one)]
            if label is not None:
                self.labelled[kind] += 1
                self.found[kind] += bool(met)
                if not met:
                    self.missed.append(f"{kind}  block {number}: {label}")
            known |= {id(one) for one in met}
        self.extras += [one for one in findings if id(one) not in known]

    def _sandwiches(self, number: int, findings: list[Finding], expected: Labels) -> list[Finding]:
        """The findings that are labelled, after counting them."""
        labels: dict[Pair, set[str]] = {}
        for one in expected.get("sandwiches", ()):
            pair = frozenset((one["frontrun_tx"].lower(), one["backrun_tx"].lower()))
            if one.get("visible_in_logs", True):
                seen = one.get("victims_visible_in_logs", one["victim_txs"])
                labels.setdefault(pair, set()).update(hash.lower() for hash in seen)
        pairs = {pair: one for one in findings if one.kind == "sandwich" for pair in _pairs(one)}
        for pair, victims in labels.items():
            self.labelled["sandwich"] += 1
            if pair in pairs:
                self.found["sandwich"] += 1
                told = set(pairs[pair].victims)
                self.jaccards.append(len(told & victims) / len(told | victims))
            else:
                self.missed.append(f"sandwich  block {number}: {' '.join(sorted(pair))}")
        beside = {
            frozenset((one["frontrun_tx"].lower(), one["backrun_tx"].lower()))
            for name in ("sandwiches", "js_only_sandwiches")
            for one in expected.get(name, ())
            if "frontrun_tx" in one
        }
        return [one for pair, one in pairs.items() if pair in beside]

    def extra(self, kind: Kind) -> int:
        """How many findings of a kind have no label."""
        return sum(one.kind == kind for one in self.extras)


def _pairs(finding: Finding) -> Iterator[Pair]:
    return (frozenset((front, back)) for front in finding.front for back in finding.back)


class _Arbitrage:
    """A label's transaction, and at least half of its pools."""

    def __init__(self, label: Labels) -> None:
        self.hash = _hash(label)
        path = label.get("path") or label.get("swaps") or ()
        self.pools = {str(one.get("pool") or one.get("contract_address")).lower() for one in path}

    def __call__(self, finding: Finding) -> bool:
        return self.hash in finding.transactions and 2 * len(self.pools & {*finding.pools}) >= len(self.pools)


class _Liquidation:
    """A label's transaction, borrower and amount of debt."""

    def __init__(self, label: Labels) -> None:
        self.hash, self.borrower = _hash(label), label["borrower"].lower()
        self.debt = str(label["debt_amount"])

    def __call__(self, finding: Finding) -> bool:
        borrowers = {one.address for one in finding.roles if one.role == "borrower"}
        repaid = {one.amount_in_raw for one in finding.path}
        return self.hash in finding.transactions and self.borrower in borrowers and self.debt in repaid


class _Jit:
    """A label's two transactions."""

    def __init__(self, label: Labels) -> None:
        self.hashes = (label["deposit_tx"].lower(), label["withdraw_tx"].lower())

    def __call__(self, finding: Finding) -> bool:
        return self.hashes[0] in finding.front and self.hashes[1] in finding.back


def _asked(expected: Labels) -> Iterable[tuple[Kind, str | None, _Arbitrage | _Liquidation | _Jit]]:
    """Kind, how it is named if it is asked for, and what matches it; sandwiches aside."""
    legs = {one[end].lower() for one in expected.get("sandwiches", ()) for end in ("frontrun_tx", "backrun_tx")}
    for one in expected.get("arbitrages", ()):
        hash = _hash(one)
        visible = one.get("visible_in_logs", True) and not one.get("reverted") and hash not in legs
        yield "arbitrage", hash if visible else None, _Arbitrage(one)
    named = {_hash(one) for one in expected.get("arbitrages", ())}
    asserted = (expected.get("asserted_by_upstream_tests") or {}).get("arbitrages") or ()
    for hash in asserted:
        if hash.lower() not in named:
            yield "arbitrage", hash.lower(), _Arbitrage({"tx": hash})
    for one in expected.get("js_only_arbitrages", ()):
        yield "arbitrage", None, _Arbitrage(one)
    for one in expected.get("liquidations", ()):
        yield "liquidation", _hash(one) if one.get("visible_in_logs", True) else None, _Liquidation(one)
    for one in expected.get("jit", ()):
        yield "jit", f"{one['deposit_tx'].lower()} {one['withdraw_tx'].lower()}", _Jit(one)


def _hash(label: Labels) -> str:
    return str(label.get("tx") or label["transaction_hash"]).lower()
