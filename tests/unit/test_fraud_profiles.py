"""The handler of profiles: rows and levels of wallets, whatever order, batches and repeats their blocks come in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from agents import profiles
from agents.agent import Output, Record, Result, RowName
from agents.outlet import check_sizes
from models.fraud import kept
from models.fraud.features import of_profile
from models.fraud.lists import SHIPPED, Lists
from models.fraud.wallet import current, evidence, last_time
from models.releases import Models, amended
from tables.registry import PROFILES, VERSION_DIGITS, ProfileRow
from tables.rows import parse
from tests import fraud
from tests.linear import CREATED
from tests.unit.by_hand import address
from tests.unit.wire import TIME, tx
from topics.headers import get
from topics.schemas.chain import WalletActivity
from topics.schemas.lists import Listed
from topics.schemas.wallet import WalletRisk

MODELS: Models = {"fraud": fraud.model()}
ANN, BEA = f"1:{address('ann')}", f"1:{address('bea')}"


def activity(number: int, revision: int, moves: dict[str, int], status: str = "complete") -> WalletActivity:
    """A block in which wallets pay so many others; 0 moves: an empty list."""
    wallets = {
        key: [
            {
                "kind": "transaction",
                "direction": "out",
                "transaction_hash": tx(n),
                "peer": f"0x{number:038x}{n:02x}",
                "value_wei": str(10**15 + n),
                "gas_limit": 21_000,
                "gas_used": 21_000,
                "gas_price_wei": 20 * 10**9,
                "status": 1,
            }
            for n in range(many)
        ]
        for key, many in moves.items()
    }
    head = {"chain_id": 1, "number": number, "revision": revision, "status": status, "timestamp": TIME + 12 * number}
    return WalletActivity.model_validate({**head, "median_gas_price_wei": 10**10, "wallets": wallets})


class Runtime:
    """What the runtime does around the handler; rows are stored as bytes."""

    def __init__(self) -> None:
        self.stored: dict[RowName, bytes] = {}
        self.outputs: list[Output] = []
        self.lists = SHIPPED

    def run(self, *views: WalletActivity, first: int = 0, models: Models = MODELS) -> Result:
        headers = [("request_id", b"r1")]
        batch = [Record("wallet.activity", 0, n, b"0", headers, b"", view) for n, view in enumerate(views, first)]
        names = profiles.keys(batch)
        assert len(names) == len(set(names))
        rows = {(table, key): parse(table.schema, self.stored.get((table, key))) for table, key in names}
        result = profiles.AGENT.call(batch, rows, models, self.lists)
        check_sizes(result)
        for row in result.rows:
            checked = type(row.value).model_validate(dict(row.value))
            assert row.value == checked and row.value.model_dump() == checked.model_dump()
            stored = b"%0*d" % (VERSION_DIGITS, row.version) + row.stored
            if self.stored.get((row.table, row.key), b"")[:VERSION_DIGITS] <= stored[:VERSION_DIGITS]:
                self.stored[row.table, row.key] = stored
        self.outputs += result.outputs
        return result

    def row(self, key: str) -> ProfileRow | None:
        return parse(ProfileRow, self.stored.get((PROFILES, key)))

    def state(self) -> dict[str, dict[str, Any]]:
        """All rows but for their revisions."""
        rows = {key: self.row(key) for table, key in self.stored if table is PROFILES}
        return {key: row.model_dump(exclude={"revision"}) for key, row in sorted(rows.items()) if row is not None}

    def levels(self) -> dict[str, str]:
        """What risk.scores amounts to: the newest state of each id."""
        newest: dict[str, WalletRisk] = {}
        for output in self.outputs:
            one = WalletRisk.model_validate_json(output.value)
            if one.id not in newest or newest[one.id].revision <= one.revision:
                newest[one.id] = one
        return {id: one.risk_level for id, one in sorted(newest.items()) if one.status != "retracted"}


def told(result: Result) -> list[tuple[str, str, str]]:
    said = [WalletRisk.model_validate_json(output.value) for output in result.outputs]
    return [(one.id, one.status, one.risk_level) for one in said]


def test_a_wallet_has_a_row_and_is_told_of_when_its_level_changes() -> None:
    runtime = Runtime()
    assert told(runtime.run(activity(1, 5, {ANN: 2, BEA: 1}))) == []
    row = runtime.row(ANN)
    assert row is not None
    assert (row.chain_id, row.address, row.revision, row.number, row.moves) == (1, address("ann"), 5, 1, 2)
    assert (row.level, row.probability, row.anomaly, row.model) == ("low", 0.0, None, "fraud/tiny")
    result = runtime.run(activity(2, 6, {ANN: 2}))
    assert told(result) == [(ANN, "final", "medium")]
    (output,) = result.outputs
    assert (output.topic, output.key) == ("risk.scores", ANN.encode())
    assert get(output.headers, "ce_id") == f"{ANN}:6".encode() and get(output.headers, "request_id") == b"r1"
    said = WalletRisk.model_validate_json(output.value)
    assert (said.at.block_number, said.at.evidence, said.at.probability) == (2, 4, 0.25)
    assert said.at.anomaly is not None
    assert told(runtime.run(activity(3, 7, {BEA: 1}))) == []
    assert told(runtime.run(activity(4, 8, {ANN: 1}), activity(5, 9, {ANN: 2, BEA: 1}))) == [
        (ANN, "final", "high"), (ANN, "final", "critical"), (BEA, "final", "medium"),
    ]  # fmt: skip
    row = runtime.row(ANN)
    assert row is not None and (row.level, row.moves, row.number) == ("critical", 7, 5)


def test_a_row_says_what_its_own_profile_is_scored() -> None:
    runtime = Runtime()
    runtime.run(*(activity(40 * n, n, {ANN: 1 + n % 3}) for n in range(1, 7)))
    row = runtime.row(ANN)
    assert row is not None and row.folded > 0
    profile = current(row)
    assert profile is not None and evidence(profile) == row.moves
    scores = MODELS["fraud"].loaded.score([of_profile(profile)])
    assert (scores.levels, [row.probability]) == ([row.level], scores.probability.round(6).tolist())


def test_dealings_with_listed_addresses_are_told_and_taken_back_with_their_block() -> None:
    """Also by own lists, and of who is on one itself."""
    bad = activity(3, 7, {ANN: 1})
    (paid,) = bad.wallets[ANN]
    peer = str(paid["peer"])
    entries = [Listed(list="own", address=one, severity="high", added_at=CREATED) for one in (peer, address("bea"))]
    runtime = Runtime()
    runtime.lists = Lists({one.key: one for one in entries})
    got = {**paid, "direction": "in", "value_wei": str(10**18)}
    views = activity(1, 5, {ANN: 1, BEA: 1}), bad.model_copy(update={"wallets": {ANN: [got]}})
    assert told(runtime.run(*views)) == [(BEA, "final", "high"), (ANN, "final", "high")]
    row = runtime.row(ANN)
    assert row is not None and row.exposure is not None and row.exposure.received is not None
    assert (row.exposure.received.address, row.exposure.received.lists, row.exposure.paid) == (peer, ["own"], None)
    assert (row.level, [one.code for one in row.alerts], row.probability) == ("high", ["exposed_to_listed"], 0.0)
    at = WalletRisk.model_validate_json(runtime.outputs[-1].value).at
    assert (at.alerts, at.exposure, at.lists_version) == (row.alerts, row.exposure, runtime.lists.version)
    listed = runtime.row(BEA)
    assert listed is not None and [one.code for one in listed.alerts] == ["listed"]
    gone = bad.model_copy(update={"status": "removed", "revision": 9, "wallets": {ANN: []}})
    assert told(runtime.run(gone)) == [(ANN, "retracted", "low")]
    row = runtime.row(ANN)
    assert row is not None and (row.exposure, row.alerts) == (None, [])
    runtime.lists = SHIPPED
    assert told(runtime.run(activity(4, 10, {BEA: 1}))) == [(BEA, "retracted", "low")], "it is off the list"


def test_a_contract_is_judged_by_lists_alone_until_it_sends_something() -> None:
    router = "1:0x7a250d5630b4cf539739df2c5dacb4c659f2488d"
    first = activity(1, 5, {ANN: 7, BEA: 7, router: 7})
    calls = [{**one, "direction": "in", "selector": "0xa415bcad"} for one in first.wallets[ANN]]
    wallets = {ANN: calls, BEA: first.wallets[BEA], router: first.wallets[router]}
    runtime = Runtime()
    result = runtime.run(first.model_copy(update={"wallets": wallets}))
    assert told(result) == [(BEA, "final", "critical")]
    for key, known in ((ANN, "contract"), (router, "protocol")):
        row = runtime.row(key)
        assert row is not None and (row.known, row.level, row.probability, row.moves) == (known, "low", None, 7)
    entry = Listed(list="own", address=address("ann"), severity="high", added_at=CREATED)
    runtime.lists = Lists({entry.key: entry})
    assert told(runtime.run(activity(2, 6, {ANN: 0}).model_copy(update={"wallets": {ANN: calls[:1]}}))) == [
        (ANN, "final", "high")
    ]
    runtime.lists = SHIPPED
    assert told(runtime.run(activity(3, 7, {ANN: 1}))) == [(ANN, "final", "critical")], "it sends: it is judged"
    row = runtime.row(ANN)
    assert row is not None and (row.known, row.moves) == ("profile", 9) and row.probability


def test_a_call_takes_back_no_alert_that_rests_on_lists() -> None:
    router = "1:0x7a250d5630b4cf539739df2c5dacb4c659f2488d"
    first = activity(1, 5, {ANN: 1})
    (paid,) = first.wallets[ANN]
    entry = Listed(list="own", address=str(paid["peer"]), severity="high", added_at=CREATED)
    got: Any = {**paid, "direction": "in", "value_wei": str(10**18)}
    runtime = Runtime()
    runtime.lists = Lists({entry.key: entry})
    runtime.run(first.model_copy(update={"wallets": {ANN: [got], router: [got]}}))
    assert runtime.levels() == {ANN: "high"}, "what a router is paid says nothing of it"
    call: Any = {**got, "peer": address("cal"), "value_wei": "0", "selector": "0xa415bcad"}
    assert told(runtime.run(activity(2, 6, {ANN: 0}).model_copy(update={"wallets": {ANN: [call]}}))) == []
    row = runtime.row(ANN)
    assert row is not None and (row.known, row.level, row.probability) == ("contract", "high", None)
    assert [one.code for one in row.alerts] == ["exposed_to_listed"] and row.exposure is not None


def test_one_move_is_judged_by_cuts_of_its_side() -> None:
    made = fraud.release([fraud.by_moves((9, 0.0), last=3.0)])
    singles = np.array([[0.1, 0.2, 0.6], [0.6, 0.7, 0.8]])
    models: Models = {"fraud": fraud.model(amended(made, "singles", {"single_cuts": singles}))}
    one = activity(1, 5, {ANN: 1, BEA: 1})
    (paid,) = one.wallets[ANN]
    runtime = Runtime()
    runtime.run(one.model_copy(update={"wallets": {ANN: [{**paid, "direction": "in"}], BEA: [paid]}}), models=models)
    assert runtime.levels() == {ANN: "high"}, "0.5 is high for who is paid, low for who pays"
    row = runtime.row(ANN)
    assert row is not None and row.probability == 0.5
    runtime.run(activity(2, 6, {BEA: 1}), models=models)
    assert runtime.levels() == {ANN: "high", BEA: "high"}, "by two moves it is high at the cuts of all"


def test_a_removed_block_takes_back_what_it_made_of_a_wallet() -> None:
    runtime = Runtime()
    runtime.run(activity(1, 5, {ANN: 1}), activity(2, 6, {ANN: 3, BEA: 3}))
    assert runtime.levels() == {ANN: "medium", BEA: "medium"}
    assert told(runtime.run(activity(2, 9, {ANN: 0, BEA: 0}, "removed"))) == [
        (ANN, "retracted", "low"), (BEA, "retracted", "low"),
    ]  # fmt: skip
    row, other = runtime.row(ANN), Runtime()
    other.run(activity(1, 5, {ANN: 1}))
    alone = other.row(ANN)
    assert row is not None and alone is not None and current(row) == current(alone)
    nothing = runtime.row(BEA)
    assert nothing is not None and (nothing.moves, nothing.level, nothing.probability) == (0, "low", None)
    assert current(nothing) is None


def test_repeats_change_nothing_and_what_is_too_late_is_counted() -> None:
    runtime = Runtime()
    views = [activity(1, 5, {ANN: 3}), activity(2, 6, {ANN: 1}), activity(200, 7, {ANN: 1})]
    runtime.run(*views)
    for again in (runtime.run(*views), runtime.run(activity(2, 3, {ANN: 9}))):
        assert (again.rows, again.outputs, again.warned) == ([], [], {})
    late = runtime.run(activity(2, 50, {ANN: 9}))
    assert (late.rows, late.outputs, late.warned) == ([], [], {"too_late": 1})


def test_repeats_leave_what_a_row_in_memory_has_ready() -> None:
    runtime = Runtime()
    views = [activity(number, number, {ANN: 2, BEA: 1}) for number in (1, 2, 200, 201)]
    rows: dict[RowName, BaseModel | None] = {}

    def run(*views: WalletActivity) -> Result:
        batch = [Record("wallet.activity", 0, n, b"0", [], b"", view) for n, view in enumerate(views)]
        result = profiles.AGENT.call(batch, rows, MODELS, runtime.lists)
        rows.update({(row.table, row.key): row.value for row in result.rows if row.table is PROFILES})
        return result

    def ready() -> Any:
        row = rows[PROFILES, ANN]
        assert isinstance(row, ProfileRow)
        return row.ready

    run(*views)
    assert (before := ready()) is not None
    assert not run(*views).rows and ready() is before, "duplicates"
    assert run(activity(1, 50, {ANN: 9})).warned == {"too_late": 1} and ready() is before
    other = run(activity(1, 51, {ANN: 9}), activity(202, 9, {BEA: 1}))
    assert [row.key for row in other.rows if row.table is PROFILES] == [BEA] and ready() is before
    run(activity(203, 10, {ANN: 1}))
    assert ready() is not None and not run(*views).rows


def test_a_clock_record_says_nothing_of_wallets() -> None:
    clock = WalletActivity.model_validate(
        {"chain_id": 1, "revision": 4, "status": "clock", "timestamp": TIME, "wallets": {}}
    )
    result = Runtime().run(clock)
    assert (result.rows, result.outputs) == ([], [])


def test_what_replaced_a_row_is_newer_than_it_though_its_block_is_older() -> None:
    """A zombie that did not see the second block cannot undo it."""
    runtime = Runtime()
    (first,) = runtime.run(activity(9, 50, {ANN: 1})).rows
    (second,) = runtime.run(activity(8, 40, {ANN: 1})).rows
    assert second.version > first.version >= 50


VIEWS = st.lists(
    st.tuples(
        st.integers(1, 40), st.dictionaries(st.sampled_from((ANN, BEA)), st.integers(0, 3), min_size=1), st.booleans()
    ),
    min_size=1,
    max_size=8,
)


@given(VIEWS, st.randoms(use_true_random=False), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_any_order_and_batches_end_in_the_same_rows_and_levels(
    told: list[tuple[int, dict[str, int], bool]], random: Any, batch: int
) -> None:
    """Later revisions of a block name every wallet that earlier ones named, as validate's views do."""
    named: dict[int, dict[str, int]] = {}
    views: list[WalletActivity] = []
    for revision, (number, moves, removed) in enumerate(told):
        named[number] = {**dict.fromkeys(named.get(number, {}), 0), **({} if removed else moves)}
        views.append(activity(number, revision, named[number], "removed" if removed else "complete"))
    wanted = Runtime()
    for view in views:
        wanted.run(view)
    mixed = [*views, *views]
    random.shuffle(mixed)
    found = Runtime()
    for start in range(0, len(mixed), batch):
        found.run(*mixed[start : start + batch])
    last = {number: revision for revision, (number, _, _) in enumerate(told)}
    # In order of blocks, and only their last revisions.
    plain = Runtime()
    plain.run(*sorted((views[place] for place in last.values()), key=lambda view: view.number or 0))
    assert scored(found.state()) == scored(wanted.state()) == scored(plain.state())
    assert found.levels() == wanted.levels() == plain.levels()


def scored(state: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What a state says of wallets that have moves: a wallet of which all was taken back says no more than one never seen."""
    said = {}
    for key, row in state.items():
        if row["moves"]:
            told = [(kept.head(one)._replace(revision=0), kept.moves(one)) for one in row["kept"] if kept.moves(one)]
            said[key] = {**row, "kept": told, "number": 0}
    return said


@pytest.mark.parametrize("batch", [1, 3, 60])
def test_a_replay_makes_the_same_bytes(batch: int) -> None:
    """Whatever batches they come in, rows and records of a run are those of another."""
    views = [activity(3 * n, n, {ANN: n % 4, BEA: (n * 7) % 5}) for n in range(1, 60)]
    one, other = Runtime(), Runtime()
    one.run(*views)
    for start in range(0, len(views), batch):
        other.run(*views[start : start + batch])
    assert one.stored == other.stored
    assert [(output.value, output.headers) for output in one.outputs] == [
        (output.value, output.headers) for output in other.outputs
    ]


def test_a_hub_makes_a_row_that_fits() -> None:
    runtime = Runtime()
    views: Sequence[WalletActivity] = [activity(n, n, {ANN: 100}) for n in range(128)]
    runtime.run(*views)
    row = runtime.row(ANN)
    assert row is not None and row.moves == 16 * 128
    assert len(runtime.stored[PROFILES, ANN]) < 256_000


BEFORE = {
    "layout": 3680958938, "number": 13234999, "folded": -1, "folded_revision": -1, "more": 0, "window": 0,
    "old": [[1.0], 0], "young": [[1.0], 0], "kept": [[13234998, 0, 1700000000, 0, "1 0x00 0  154455 0.95 11 0x0600c9f3 0 "]],
    "chain_id": 1, "address": address("ann"), "revision": 7, "moves": 7, "level": "critical", "probability": 0.875,
    "anomaly": 0.75, "model": "fraud/tiny",
}  # fmt: skip
"""A row as Soba wrote them when kept blocks were lists."""


def test_a_level_of_a_row_of_another_layout_is_taken_back() -> None:
    runtime = Runtime()
    runtime.stored[PROFILES, ANN] = b"%0*d" % (VERSION_DIGITS, 7) + orjson.dumps(BEFORE)
    row = runtime.row(ANN)
    assert row is not None and current(row) is None and last_time(row) is None
    assert told(runtime.run(activity(2, 3, {ANN: 1}))) == [(ANN, "retracted", "low")]
    row = runtime.row(ANN)
    assert row is not None and (row.moves, row.revision, row.level, len(row.kept)) == (1, 8, "low", 1)


def test_a_row_of_other_fields_begins_anew_and_is_still_replaced() -> None:
    runtime = Runtime()
    runtime.run(activity(1, 5, {ANN: 3}))
    row = runtime.row(ANN)
    assert row is not None
    old = row.model_copy(update={"layout": row.layout ^ 1})
    assert current(old) is None
    runtime.stored[PROFILES, ANN] = b"%0*d" % (VERSION_DIGITS, 5) + old.model_dump_json(exclude_none=True).encode()
    result = runtime.run(activity(2, 6, {ANN: 1}))
    row = runtime.row(ANN)
    assert row is not None and (row.moves, row.revision, row.level) == (1, 6, "low")
    assert told(result) == [(ANN, "retracted", "low")]
