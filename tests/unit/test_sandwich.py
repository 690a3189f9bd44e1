"""The sandwich detector on the shipped blocks and on shapes written here."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from base.settings import ROOT
from ingest.decode import decode
from ingest.files import find_blocks, read, read_blocks
from models import mev
from models.mev import rounds
from models.mev.routers import ROUTERS
from tests.unit.by_hand import POOL, X, Y, Z, address, block, hash_of, swap
from topics.schemas.chain import Block
from topics.schemas.mev import Finding

FILES = find_blocks(ROOT / "samples" / "blocks")
BOT = {"f": ("bot", "c"), "v": ("victim", None), "b": ("bot", "c")}


def detect(of: Block) -> list[Finding]:
    """The sandwiches of a block: what else is found in it is tested elsewhere."""
    return [one for one in mev.detect(of) if one.kind == "sandwich"]


def names(hashes: list[str]) -> str:
    """The names behind made-up hashes, joined."""
    return " ".join(bytes.fromhex(hash[2:]).lstrip(b"\0").decode() for hash in hashes)


def only(of: Block) -> Finding:
    (finding,) = detect(of)
    return finding


def shape(of: Block) -> list[tuple[str, str, str]]:
    return [(names(one.front), names(one.victims), names(one.back)) for one in detect(of)]


def simple(**more: Any) -> Block:
    return block(
        swap("f", 0, X, Y, 100, 1000), swap("v", 1, X, Y, 50, 400), swap("b", 2, Y, X, 1000, 110), senders=BOT, **more
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_every_labelled_pair_with_its_victims_and_nothing_else(file: Path) -> None:
    labels: dict[tuple[str, str], set[str]] = {}
    for one in json.loads(file.with_name("expected.json").read_text())["sandwiches"]:
        labels.setdefault((one["frontrun_tx"], one["backrun_tx"]), set()).update(one["victim_txs"])
    found = {(front, back): set(one.victims) for one in detect(decode(read(file)).block)
             for front in one.front for back in one.back}  # fmt: skip
    assert found == labels


@pytest.mark.parametrize(
    "chain_id, router",
    [(56, "0x10ed43c718714eb63d5aa57b78b54704e256024e"), (8453, "0x4752ba5dbc23f44d87826276bf6fd6b1c372ad24")],
)
def test_two_people_who_trade_through_another_chains_router_are_two(chain_id: int, router: str) -> None:
    of = block(
        swap("f", 0, X, Y, 100, 1000, sender=router), swap("v", 1, X, Y, 50, 400), swap("b", 2, Y, X, 300, 28, sender=router),
        senders={"f": ("one", None), "v": ("victim", None), "b": ("other", None)}, chain_id=chain_id,
    )  # fmt: skip
    assert detect(of) == []


def test_profits_are_those_of_mev_inspect_py() -> None:
    """Its profit is what the back returned less what the front paid, in one pool: ours in that token (0 is left out)."""
    checked = 0
    for file in FILES:
        findings = detect(decode(read(file)).block)
        for label in json.loads(file.with_name("expected.json").read_text())["sandwiches"]:
            (finding,) = (one for one in findings if label["frontrun_tx"] in one.front)
            if "frontrun_swap" in label and len(finding.pools) == 1:
                profits = {one.token: one.amount_raw for one in finding.profit}
                assert profits.get(label["profit_token"], "0") == label["profit_amount"]
                checked += 1
    assert checked == 11


def test_a_finding_says_all_that_is_known() -> None:
    finding = only(simple(status="partial", timestamp=1_700_000_000, hash="0x" + "ab" * 32, revision=41))
    assert finding.model_dump(exclude_none=True) == {
        "id": f"sandwich:1:7:{hash_of('f')}:{hash_of('b')}", "chain_id": 1, "block_number": 7, "block_hash": "0x" + "ab" * 32,
        "block_timestamp": 1_700_000_000, "revision": 41, "status": "provisional", "kind": "sandwich",
        "front": [hash_of("f")], "victims": [hash_of("v")], "back": [hash_of("b")],
        "attackers": [address("bot"), address("c")], "pools": [POOL], "protocols": ["uniswap_v2"],
        "profit": [{"token": X, "amount_raw": "10"}], "losses": [], "confidence": 1.0,
        "evidence": ["same_sender", "position_closed", "profit_in_every_token"], "model": "sandwich/2",
        "transactions": [], "blocks": [], "path": [], "prices": [], "related": [],
        "roles": [{"address": address(name), "role": role} for name, role in
                  (("bot", "searcher"), ("c", "contract"), ("victim", "victim"))],
    }  # fmt: skip


def test_status_follows_the_block() -> None:
    assert only(simple()).status == "final"
    assert detect(simple(status="removed")) == []


def test_the_sell_side_and_kept_inventory() -> None:
    sold = block(swap("f", 0, Y, X, 1000, 110), swap("v", 1, Y, X, 400, 40), swap("b", 2, X, Y, 100, 1000), senders=BOT)
    assert [(one.token, one.amount_raw) for one in only(sold).profit] == [(X, "10")]
    imbalanced = block(
        swap("f", 0, X, Y, 100, 1000), swap("v", 1, X, Y, 50, 400), swap("b", 2, Y, X, 900, 104), senders=BOT
    )
    assert [(one.token, one.amount_raw) for one in only(imbalanced).profit] == [(X, "4"), (Y, "100")]


@pytest.mark.parametrize(
    "events, why",
    [
        ([swap("f", 0, X, Y, 1, 9), swap("b", 2, Y, X, 9, 1)], "nobody between"),
        ([swap("f", 0, X, Y, 1, 9), swap("v", 1, Y, X, 1, 9), swap("b", 2, Y, X, 9, 1)], "the other direction between"),
        (
            [swap("f", 0, X, Y, 1, 9), swap("v", 1, X, Y, 1, 9, pool=Z), swap("b", 2, Y, X, 9, 1)],
            "another pool between",
        ),
        ([swap("v", 0, X, Y, 1, 9), swap("f", 1, X, Y, 1, 9), swap("b", 2, Y, X, 9, 1)], "before"),
        ([swap("f", 0, X, Y, 1, 9), swap("b", 1, Y, X, 9, 1), swap("v", 2, X, Y, 1, 9)], "after"),
        ([swap("f", 0, X, Y, 1, 9), swap("v", 1, X, Y, 1, 9), swap("b", 2, X, Y, 9, 1)], "no way back"),
        ([swap("f", 0, X, X, 1, 9), swap("v", 1, X, X, 1, 9), swap("b", 2, X, X, 9, 1)], "no swaps at all"),
        (
            [swap("f", 0, X, Y, 1, 9), swap("v", 1, X, Y, 1, 9), swap("f", 2, Y, X, 9, 1) | {"transaction_index": 0}],
            "one tx",
        ),
    ],
)
def test_what_is_no_sandwich(events: list[dict[str, Any]], why: str) -> None:
    assert detect(block(*events, senders=BOT)) == [], why


def three(**senders: tuple[str, str | None]) -> Block:
    """A front, a victim, a back by `senders`; the back does not sell what the front bought."""
    return block(
        swap("f", 0, X, Y, 100, 1000), swap("v", 1, X, Y, 50, 400), swap("b", 2, Y, X, 700, 80), senders=senders
    )


def test_who_is_the_same_one() -> None:
    router = next(iter(sorted(ROUTERS)))
    assert shape(three(f=("a", "c"), v=("v", None), b=("b", "c"))) == [("f", "v", "b")]
    assert shape(three(f=("a", "c"), v=("v", None), b=("b", "d"))) == []
    assert shape(three(f=("a", "c"), v=("v", "c"), b=("b", "c"))) == [], "the victim came through the same contract"
    through = three(f=("a", None), v=("v", None), b=("b", None))
    for transaction in through.transactions:
        transaction.to_address = router
    assert detect(through) == []


def test_a_contract_of_many_needs_matching_amounts() -> None:
    crowd = [swap(f"u{i}", 10 + i, X, Z, 1, 1, pool=Z) for i in range(5)]
    users: dict[str, tuple[str, str | None]] = {f"u{i}": (f"user{i}", "c") for i in range(5)}
    people: dict[str, tuple[str, str | None]] = {"f": ("a", "c"), "v": ("v", None), "b": ("b", "c")}
    legs = [swap("f", 0, X, Y, 100, 1000), swap("v", 1, X, Y, 50, 400)]
    loose = block(*legs, swap("b", 2, Y, X, 700, 80), *crowd, senders={**people, **users})
    tight = block(*legs, swap("b", 2, Y, X, 990, 110), *crowd, senders={**people, **users})
    assert (shape(loose), shape(tight)) == ([], [("f", "v", "b")])


def test_without_senders_the_swaps_own_parties_tell() -> None:
    c, router, pool2 = address("c"), sorted(ROUTERS)[3], address("pool2")
    legs = [
        swap("f", 0, X, Y, 100, 1000, sender=c, recipient=c),
        swap("v", 1, X, Y, 50, 400, sender=router, recipient=address("v")),
        swap("b", 2, Y, X, 900, 110, sender=c, recipient=pool2),
        swap("b", 2, X, Z, 110, 5, sender=c, recipient=c, pool=pool2),
    ]
    assert shape(block(*legs)) == [("f", "v", "b")]
    assert only(block(*legs)).evidence[0] == "same_contract"
    by_router = [leg | {"sender": router, "recipient": router} for leg in legs]
    assert detect(block(*by_router)) == []


def test_many_attackers_around_each_other_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has all victims of those inside it: named in sum, they would grow with the square of the block."""
    many = 100
    legs = [swap("v", many, X, Y, 50, 400)]
    senders: dict[str, tuple[str, str | None]] = {"v": ("victim", None)}
    for at in range(many):
        legs += [swap(f"f{at}", at, X, Y, 100, 1000), swap(f"b{at}", 2 * many - at, Y, X, 1000, 110)]
        senders |= {f"f{at}": (f"bot{at}", f"c{at}"), f"b{at}": (f"bot{at}", f"c{at}")}
    crowded = block(*legs, senders=senders)
    told = detect(crowded)
    assert len(told) == many and sum(len(one.victims) for one in told) == many * (many + 1) // 2
    monkeypatch.setattr(rounds, "MOST_LOOKED_AT", 1_000)
    told = detect(crowded)
    # The inner ones: 1 + 2 + ... + 44 victims.
    assert [len(one.victims) for one in told] == list(range(44, 0, -1))


def test_many_of_each_and_several_pools_are_one_bundle() -> None:
    senders = {**BOT, "f2": ("bot", "c"), "v2": ("w", None), "b2": ("bot", "c")}
    several = block(
        swap("f", 0, X, Y, 100, 1000), swap("v", 1, X, Y, 50, 400), swap("f2", 2, X, Y, 100, 900),
        swap("v2", 3, X, Y, 9, 80), swap("b", 4, Y, X, 500, 60), swap("v2", 5, X, Y, 9, 80),
        swap("b2", 6, Y, X, 1400, 170), senders=senders,
    )  # fmt: skip
    assert shape(several) == [("f f2", "v v2", "b b2")]
    assert [(one.token, one.amount_raw) for one in only(several).profit] == [(X, "30")]
    pools = block(
        *simple().model_dump(exclude_none=True)["events"],
        *(
            event | {"pool": Z, "log_index": event["log_index"] + 1}
            for event in simple().model_dump(exclude_none=True)["events"]
        ),
        senders=BOT,
    )
    assert only(pools).pools == sorted([POOL, Z])
    assert [(one.token, one.amount_raw) for one in only(pools).profit] == [(X, "20")]


def test_two_rounds_of_one_bot_are_two_findings() -> None:
    senders = {name + n: who for n in "12" for name, who in BOT.items()}
    round: list[tuple[str, Any]] = [("f", (X, Y, 100, 1000)), ("v", (X, Y, 50, 400)), ("b", (Y, X, 900, 110))]
    twice = block(
        *(swap(tx + n, i + 3 * int(n), *how) for n in "12" for i, (tx, how) in enumerate(round)),
        senders=senders,
    )  # fmt: skip
    assert shape(twice) == [("f1", "v1", "b1"), ("f2", "v2", "b2")]


def test_a_closed_round_trip_is_no_front_for_what_follows() -> None:
    later = block(
        swap("f", 0, X, Y, 100, 1000), swap("g", 1, Y, X, 1000, 99), swap("v", 2, X, Y, 50, 400),
        swap("b", 3, Y, X, 700, 80), senders={**BOT, "g": ("bot", "c")},
    )  # fmt: skip
    assert detect(later) == []


def test_a_back_that_sells_far_more_is_a_front_too() -> None:
    centre = block(
        swap("f", 0, X, Y, 100, 1000), swap("v", 1, X, Y, 50, 400), swap("m", 2, Y, X, 9000, 900),
        swap("w", 3, Y, X, 500, 40), swap("b", 4, X, Y, 800, 8000),
        senders={**BOT, "m": ("bot", "c"), "w": ("w", None)},
    )  # fmt: skip
    assert shape(centre) == [("f", "v", "m"), ("m", "w", "b")]


def test_order_comes_from_indexes_and_else_from_arrival() -> None:
    events = simple().model_dump(exclude_none=True)["events"]
    shuffled = events[:]
    random.Random(1).shuffle(shuffled)
    assert shape(block(*shuffled, senders=BOT)) == [("f", "v", "b")]
    bare = [{name: event[name] for name in event if not name.endswith("_index")} for event in events]
    assert shape(block(*bare, senders=BOT)) == [("f", "v", "b")]


def test_unknown_amounts_leave_profit_out() -> None:
    bare = [
        {name: event[name] for name in event if not name.startswith("amount")}
        for event in simple().model_dump(exclude_none=True)["events"]
    ]
    finding = only(block(*bare, senders=BOT))
    assert (finding.profit, finding.evidence, finding.confidence) == ([], ["same_sender"], 0.7)


def test_amounts_beyond_the_wire_are_left_out() -> None:
    huge = 10**78 - 1
    events = [swap(tx, i, X, Y, huge, huge) for i, tx in enumerate(("f", "g", "v"))]
    finding = only(block(*events, swap("b", 3, Y, X, huge, 1), senders={**BOT, "g": ("bot", "c")}))
    assert [one.token for one in finding.profit] == [Y]


def pair_block() -> Block:
    """A pair of 10^6 X and 10^6 Y: front buys 10^4 X worth, a victim 10^4, someone sells, a second victim, and the back."""
    reserves, events, log = [1_000_000, 1_000_000], [], 0

    def trade(tx: str, index: int, sell_x: bool, paid: int) -> int:
        nonlocal log
        a, b = (0, 1) if sell_x else (1, 0)
        got = paid * 997 * reserves[b] // (reserves[a] * 1000 + paid * 997)
        reserves[a] += paid
        reserves[b] -= got
        sold, bought = (X, Y) if sell_x else (Y, X)
        common = {"transaction_hash": hash_of(tx), "transaction_index": index, "pool": POOL}
        events.append(
            {**common, "event_type": "sync", "log_index": log, "reserve0_raw": reserves[0], "reserve1_raw": reserves[1]}
        )
        events.append(swap(tx, index, sold, bought, paid, got, log_index=log + 1))
        log += 2
        return got

    bought = trade("f", 0, True, 10_000)
    trade("v", 1, True, 10_000)
    trade("s", 2, False, 3_000)
    trade("w", 3, True, 20_000)
    trade("b", 4, False, bought)
    return block(*events, senders={**BOT, "s": ("s", None), "w": ("w", None)})


def test_losses_by_running_the_pool_again_without_the_attacker() -> None:
    assert X < Y
    # v: 10000 * 997 * 10^6 // (10^9 + 9970000) = 9871 where it got 9678. Then s sells 3000 Y for 3041 X, and w, from
    # (1006959, 993129), gets 19284 where it got 18913.
    finding = only(pair_block())
    losses = [(names([one.transaction_hash]), one.token, one.amount_raw) for one in finding.losses]
    assert losses == [("v", Y, "193"), ("w", Y, "371")]


@pytest.mark.parametrize("change", ["no_sync", "fork", "liquidity", "no_raw"])
def test_losses_are_left_out_where_the_block_cannot_tell(change: str) -> None:
    events = pair_block().model_dump(exclude_none=True)["events"]
    if change == "no_sync":
        events = [event for event in events if event["event_type"] != "sync"]
    for event in events:
        if change == "fork" and event["event_type"] == "swap":
            event["protocol"] = "uniswap_v2_fork"
        if change == "no_raw":
            event.pop("amount_out_raw", None)
    if change == "liquidity":
        mint = {"event_type": "mint", "pool": POOL, "transaction_hash": hash_of("m"), "transaction_index": 0}
        events.insert(2, mint)
    assert only(block(*events, senders={**BOT, "s": ("s", None), "w": ("w", None)})).losses == []


def test_losses_in_real_pools_are_positive_and_small() -> None:
    counted = 0
    for one in read_blocks(ROOT / "samples" / "blocks"):
        swaps = {(e.transaction_hash, e.pool): e for e in one.block.events if e.event_type == "swap"}
        for loss in (loss for finding in detect(one.block) for loss in finding.losses):
            got = int(swaps[loss.transaction_hash, loss.pool].amount_out_raw or 0)
            assert 0 < int(loss.amount_raw) < got
            counted += 1
    assert counted == 19


def paid_by(tx: str, index: int, token: str, who: str) -> dict[str, Any]:
    """The signer's own tokens go into the pool, as a router has them do."""
    moved = {"event_type": "transfer", "transaction_hash": hash_of(tx), "transaction_index": index}
    ends = {"from_address": address(who), "to_address": POOL, "token_in": token, "amount_in_raw": "1"}
    return {**moved, **ends, "log_index": index * 10 + 5}


def test_a_victim_may_come_through_the_same_unknown_router() -> None:
    """On chains whose routers nobody has told us, with no more users in the block than these two."""
    router = {"sender": address("r")}
    senders = {"f": ("bot", "r"), "v": ("victim", "r"), "b": ("bot", "r")}
    found = block(
        swap("f", 0, X, Y, 100, 1000, recipient=address("bot"), **router),
        swap("v", 1, X, Y, 50, 400, recipient=address("victim"), **router),
        swap("b", 2, Y, X, 1000, 110, recipient=address("r"), **router),
        paid_by("b", 2, Y, "bot"),
        senders=senders,
    )
    assert shape(found) == [("f", "v", "b")]


def test_two_people_at_one_unknown_router_sandwich_nobody() -> None:
    router = {"sender": address("r")}
    senders = {"f": ("one", "r"), "v": ("two", None), "b": ("three", "r")}
    found = block(
        swap("f", 0, X, Y, 100, 1000, recipient=address("one"), **router),
        swap("v", 1, X, Y, 50, 400, recipient=address("two")),
        swap("b", 2, Y, X, 3000, 310, recipient=address("r"), **router),
        paid_by("b", 2, Y, "three"),
        senders=senders,
    )
    assert shape(found) == []
