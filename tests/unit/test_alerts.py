"""Alerts from findings: text, severity, and that they follow what they were made from."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from agents import alerts
from agents.agent import Record, Result
from base.settings import ROOT
from ingest.files import read_blocks
from models.alerts import CATALOGUE, QUOTES, Template, amount_text, from_finding
from models.mev import detect
from tables.registry import ALERTS
from tests.unit.by_hand import X, address, hash_of
from tests.unit.wire import TRACE
from topics.headers import get
from topics.schemas.alerts import Alert
from topics.schemas.mev import Finding, Kind, TokenAmount

YFI = "0x0bc529c00c6401aef6d220be8c6ea1667f6ad93e"
YFI_LOAN = "0x93690c02fc4d58734225d898ea4091df104040450c0f204b6bf6f6850ac4602f"
WETH = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
USDC = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"


def finding(**more: Any) -> Finding:
    return Finding.model_validate({
        "id": "sandwich:1:7:f:b", "chain_id": 1, "block_number": 7, "revision": 5, "status": "final", "kind": "sandwich",
        "front": [hash_of("f")], "victims": [hash_of("v")], "back": [hash_of("b")], "attackers": [address("bot")],
        "pools": [X], "protocols": ["uniswap_v2"], "profit": [{"token": WETH, "amount_raw": "49991481915322274"}],
        "confidence": 1, "evidence": [], "model": "sandwich/1", **more,
    })  # fmt: skip


def gain(token: str, amount: int) -> dict[str, Any]:
    return {"profit": [{"token": token, "amount_raw": str(amount)}]}


def run(*values: Finding, held: dict[Any, Any] | None = None) -> Result:
    batch = [Record("mev.findings", 0, i, b"1:7", [("traceparent", TRACE)], b"", one) for i, one in enumerate(values)]
    assert {key for _, key in alerts.AGENT.keys(batch)} == {f"alert:{one.id}" for one in values}
    return alerts.AGENT.call(batch, held or {}, {})


def test_an_alert_says_what_the_finding_says() -> None:
    alert = from_finding(finding())
    assert alert.text == (
        f"Sandwich in block 7 on uniswap_v2: one trade was caught between {hash_of('f')} and {hash_of('b')}; "
        "the attacker gained 0.049991 WETH, before gas."
    )
    assert (alert.kind, alert.entity, alert.severity, alert.source) == ("mev.sandwich", "1:7", "low", finding().id)
    assert (alert.block_timestamp, from_finding(finding(block_timestamp=1_700_000_000)).block_timestamp) == (
        None,
        1_700_000_000,
    )
    assert "2 trades were caught" in from_finding(finding(victims=[hash_of("v"), hash_of("w")])).text
    assert "unknown" in from_finding(finding(profit=[], protocols=[])).text


@pytest.mark.parametrize(
    ("profit", "worth", "told"),
    [
        ({USDC: 5 * 10**6}, 10**15, "the attacker gained 5 USDC, before gas."),
        ({USDC: -5 * 10**6, WETH: 0}, -(10**15), "the attacker is short of 5 USDC, before gas."),
        ({X: -39743588601639732, WETH: 10**17}, 9 * 10**16, "the attacker gained tokens worth 0.09 ETH, before gas."),
        ({X: 39743588601639732, WETH: -(10**17)}, -1, "is short of tokens worth 0.000000000000000001 ETH, before gas."),
        ({USDC: -5 * 10**6, WETH: 10**17}, 10**16, "the attacker gained tokens worth 0.01 ETH, before gas."),
        ({USDC: -5 * 10**6, WETH: 10**17}, 0, "the attacker gained tokens worth 0 ETH, before gas."),
        # Where not all have a price, all of them.
        ({USDC: -5 * 10**6, WETH: 10**17}, None, "gained 0.1 WETH and is short of 5 USDC, before gas."),
        ({X: -39, WETH: 10**17}, None, f"gained 0.1 WETH and is short of 39 base units of {X}, before gas."),
        ({USDC: 5 * 10**6, X: 7}, None, f"the attacker gained 5 USDC, 7 base units of {X}, before gas."),
        ({X: 7}, None, "what the attacker gained is in tokens without a known price."),
    ],
)
def test_a_gain_is_told_of_all_tokens_or_by_what_they_are_worth_together(
    profit: dict[str, int], worth: int | None, told: str
) -> None:
    amounts = [{"token": token, "amount_raw": str(raw)} for token, raw in profit.items()]
    alert = from_finding(finding(profit=amounts, profit_wei=None if worth is None else str(worth)))
    assert alert.text.endswith(told)
    assert len(alert.args["profit"]) == len(amounts)  # type: ignore[arg-type]


def test_a_liquidator_has_paid_the_debt_that_it_closed() -> None:
    (decoded,) = read_blocks(ROOT / "samples" / "blocks" / "ethereum-11017338")
    (loan,) = [one for one in detect(decoded.block) if one.transactions == [YFI_LOAN] and one.kind == "liquidation"]
    assert [int(one.amount_raw) > 0 for one in loan.profit] == [True, False]
    assert from_finding(loan).text.endswith(
        f"{YFI_LOAN} closed a loan; the liquidator gained tokens worth 12.454007 ETH, before gas."
    )
    unpriced = from_finding(loan.model_copy(update={"profit_wei": None}))
    assert (
        f"the liquidator gained 292.262556 ETH and is short of 5722594594602333796 base units of {YFI},"
        in unpriced.text
    )
    assert unpriced.severity == "low"


@pytest.mark.parametrize(
    ("kind", "more", "told"),
    [
        ("arbitrage", {"transactions": ["a"], "path": 3}, "Arbitrage in block 7 on uniswap_v2: {a} closed a cycle of 3 swaps;"),
        ("liquidation", {"transactions": ["a"], "path": 1}, "Liquidation in block 7 on uniswap_v2: {a} closed a loan;"),
        ("liquidation", {"transactions": ["a"], "path": 2}, "Liquidation in block 7 on uniswap_v2: {a} closed 2 loans;"),
        (
            "jit",
            {"front": ["f"], "victims": ["v"], "back": ["b"]},
            "Just-in-time liquidity in block 7 on uniswap_v2: added in {f} for one trade, removed in {b};",
        ),
        (
            "backrun",
            {"victims": ["v"], "back": ["b"]},
            "Back-run in block 7 on uniswap_v2: {b} traded right behind another's trade;",
        ),
        (
            "frontrun",
            {"front": ["f"], "victims": ["v"]},
            "Front-run in block 7 on uniswap_v2: {f} did first what another was about to do;",
        ),
    ],
)  # fmt: skip
def test_every_finding_kind_has_a_text(kind: str, more: dict[str, Any], told: str) -> None:
    parts = {name: [hash_of(one) for one in hashes] for name, hashes in more.items() if name != "path"}
    step = {"transaction_hash": hash_of("a"), "pool": X, "token_in": X, "token_out": WETH}
    none: dict[str, list[str]] = {"front": [], "victims": [], "back": []}
    one = finding(kind=kind, path=[step] * more.get("path", 0), **none | parts, profit=[{"token": X, "amount_raw": "5"}],
                  profit_wei="31200000000000000")  # fmt: skip
    text = told.format(**{name: hash_of(name) for name in "afbv"})
    who = {"arbitrage": "arbitrageur", "liquidation": "liquidator", "backrun": "searcher"}.get(kind, "attacker")
    assert from_finding(one).text == f"{text} the {who} gained tokens worth 0.0312 ETH, before gas."
    assert from_finding(one.model_copy(update={"status": "retracted"})).text.startswith("Taken back")
    lost = one.model_copy(update={"profit_wei": "-1"})
    assert from_finding(lost).text.endswith("is short of tokens worth 0.000000000000000001 ETH, before gas.")


def test_the_catalogue_holds_every_kind() -> None:
    assert {f"mev.{kind}" for kind in get_args(Kind)} <= set(CATALOGUE)


def test_a_text_says_only_what_arguments_hold() -> None:
    with pytest.raises(KeyError):
        Template(count="n", one="{absent}", other="").fill({"n": 1})


@pytest.mark.parametrize(
    "more, severity",
    [
        (gain(WETH, 10**17 - 1), "low"),
        (gain(WETH, 10**17), "medium"),
        (gain(WETH, 10**18), "high"),
        (gain(WETH, 10**19), "critical"),
        (gain(WETH, 10**30), "critical"),
        (gain(USDC, 2_000 * 10**6), "high"),
        (gain(WETH, -(10**20)), "low"),
        (gain(X, 10**30), "low"),
        # What was paid for it has no price: nobody knows whether it is a gain.
        ({"profit": [*gain(WETH, 10**20)["profit"], *gain(X, -5)["profit"]]}, "low"),
        ({"profit": [*gain(WETH, 10**18)["profit"], *gain(X, 5)["profit"]]}, "high"),
        ({**gain(WETH, 10**18), "chain_id": 56}, "low"),
        ({**gain(X, 1), "victims": [hash_of(str(i)) for i in range(5)]}, "medium"),
        ({**gain(WETH, 10**19), "victims": [hash_of(str(i)) for i in range(5)]}, "critical"),
        ({**gain(WETH, 10**19), "status": "retracted"}, "info"),
        # By its worth, where the block tells the prices: of all tokens together, those without known decimals too.
        ({**gain(X, 5), "profit_wei": str(10**18)}, "high"),
        ({**gain(WETH, 10**19), "profit_wei": str(-(10**17))}, "low"),
        ({**gain(X, 5), "profit_wei": str(10**18), "chain_id": 56}, "low"),
        (gain("0x" + "00" * 20, 10**18), "high"),
    ],
)
def test_severity_by_gain_and_victims(more: dict[str, Any], severity: str) -> None:
    assert from_finding(finding(**more)).severity == severity


def test_amounts_in_words() -> None:
    words = {10**18: "1", -1: "-0.000000000000000001", 0: "0", 15 * 10**17: "1.5", 123456789 * 10**10: "1.234567"}
    for amount, text in words.items():
        assert amount_text(1, TokenAmount(token=WETH, amount_raw=str(amount))) == f"{text} WETH"
    assert amount_text(1, TokenAmount(token=X, amount_raw="-7")) == f"-7 base units of {X}"
    assert amount_text(5, TokenAmount(token=WETH, amount_raw="7")) == f"7 base units of {WETH}"
    assert all(token == token.lower() for _, token in QUOTES)


def test_the_agent_writes_what_it_says_and_follows_revisions() -> None:
    first, back = finding(), finding(revision=6, status="retracted")
    result = run(first, back, finding(revision=4))
    told = [Alert.model_validate_json(output.value) for output in result.outputs]
    assert [(one.status, one.revision) for one in told] == [("final", 5), ("retracted", 6)]
    assert told[1].text.startswith("Taken back") and told[0].id == told[1].id == "alert:sandwich:1:7:f:b"
    (output, _), (row,) = result.outputs, result.rows
    assert (output.topic, output.key) == ("alerts", b"1:7")
    assert get(output.headers, "ce_id") == b"alert:sandwich:1:7:f:b:5" and get(output.headers, "traceparent") == TRACE
    assert (row.table, row.key, row.version, row.value) == (ALERTS, told[1].id, 6, told[1])
    assert [(one.index.name, one.key, one.score) for one in row.pointers] == [("alerts_by_chain", "1", 7)], (
        "a block without a time is older than any with"
    )
    assert run(first, held={(ALERTS, told[1].id): told[1]}) == Result(older=1)
    assert run(back, held={(ALERTS, told[1].id): told[1]}).rows == result.rows
