"""What an undisturbed run amounts to, and in what another one differs from it (DESIGN.md 3.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from agents.app import WORKERS
from tests.chaos.events import REMOVED
from tests.chaos.witness import Chain, Witness
from tests.conftest import wait_for
from topics.schemas.mev import Kind


@dataclass(slots=True)
class Difference:
    """How far a state is from the one that was wanted."""

    lost: int = 0
    """Events that are in no block and no dead letter, though they were in the undisturbed run."""
    twice: int = 0
    """Events that are there once too often."""
    rows: int = 0
    """Ids of topics, and rows of tables, that do not say the same."""

    def __bool__(self) -> bool:
        return bool(self.lost or self.twice or self.rows)

    def add(self, other: Difference) -> None:
        """Count another one in."""
        self.lost += other.lost
        self.twice += other.twice
        self.rows += other.rows


def difference(wanted: dict[str, Any], found: dict[str, Any]) -> Difference:
    """Between two states of the witness."""
    if wanted == found:
        return Difference()
    before, after = _events(wanted), _events(found)
    rows = 0
    for name, part in wanted.items():
        for a, b in zip(_rows(part), _rows(found[name]), strict=True):
            rows += sum(a.get(key) != b.get(key) for key in a.keys() | b.keys())
    return Difference((before - after).total(), (after - before).total(), rows)


def _events(state: dict[str, Any]) -> Counter[Any]:
    """The events of a state by identity: those in blocks, and those that were refused."""
    inside = (
        (number, event.get("transaction_hash"), event.get("log_index"), event.get("event_id"))
        for number, block in state["chain.blocks"].items()
        for event in block["events"]
    )
    return Counter(inside) + Counter(map(tuple, state["chain.events.dlq"]))


def _rows(part: Any) -> list[dict[Any, Any]]:
    """A part as a list of tables."""
    if isinstance(part, list):
        return [Counter(map(tuple, part))]
    if part.keys() == {"clock", "said"}:
        return [{"clock": part["clock"]}, part["said"]]
    return [part]


def still(witness: Witness, chain_id: int, tick: Callable[[], Any] = bool) -> Any:
    """The state of a chain once all workers have done all there is; no time without a change would say so on a busy machine."""
    wait_for(lambda: tick() or witness.offsets.at_rest(WORKERS), 120, every=0.1)
    return witness.state(chain_id)


def check_calm(calm: dict[str, Any]) -> None:
    """The undisturbed run itself did what its events call for: comparing with nothing would prove nothing."""
    assert set(calm["chain.blocks"]) == {str(number) for number in range(1_001, 1_010)}
    assert calm["chain.blocks"][str(REMOVED)]["status"] == "removed"
    assert calm["chain.blocks"]["1005"]["status"] == "complete"
    assert calm["chain.blocks"]["1006"]["status"] == "partial"
    assert len(calm["mev.findings"]) >= 10 and len(calm["alerts"]) == len(calm["mev.findings"])
    for part, mark in (("mev.findings", ""), ("alerts", "mev.")):
        assert {one["kind"] for one in calm[part].values()} == {mark + kind for kind in get_args(Kind)}
    over_two = {tuple(one["blocks"]): one["status"] for one in calm["mev.findings"].values() if one["blocks"]}
    assert over_two == {(1_004, 1_005): "final", (1_007, 1_008): "final", (1_008, 1_009): "final"}
    reasons = {reason for reason, _ in calm["chain.events.dlq"]}
    assert {"amount_negative", "conflicting_duplicate", "other_fork", "malformed_json"} <= reasons
    assert len(calm["table profiles"]) > 100
    assert calm["pair.trades"]["said"] and calm["wallet.activity"]["said"] and calm["pair.trades"]["clock"]


def told_of(chain: Chain, retracted: bool = False) -> bool:
    """Whether the block that is removed for good has, or had, findings and alerts of every kind."""
    for topic, mark in (("mev.findings", ""), ("alerts", "mev.")):
        told = [one for one in chain.told(topic).values() if one.get("block_number") == REMOVED]
        found = {one["kind"] for one in told if (one["status"] == "retracted") is retracted}
        if found != {mark + kind for kind in get_args(Kind)}:
            return False
    return True


def explain(calm: dict[str, Any], found: dict[str, Any]) -> None:
    """Print where two states differ."""
    for name, wanted in calm.items():
        if wanted != found[name]:
            print(f"--- {name} differs")
            if isinstance(wanted, dict):
                keys = [key for key in {*wanted, *found[name]} if wanted.get(key) != found[name].get(key)]
                print(f"{len(wanted)} wanted, {len(found[name])} found, {len(keys)} differ")
                for key in keys[:2]:
                    print(f"{key}: wanted {str(wanted.get(key))[:300]}\n   found {str(found[name].get(key))[:300]}")
            else:
                print(f"missing {[one for one in wanted if one not in found[name]]}"[:1000])
                print(f"too much {[one for one in found[name] if one not in wanted]}"[:1000])
                print(f"{len(wanted)} wanted, {len(found[name])} found")
